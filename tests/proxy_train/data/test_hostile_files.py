"""Files that would run, write elsewhere or grow are refused by their names, and nothing of them is obeyed."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from effsearch.proxy_train.data import archive
from effsearch.proxy_train.data.cifar import load_numbers
from effsearch.proxy_train.data.datasets import ImageData, load_images, open_images
from effsearch.proxy_train.data.download import download_file
from effsearch.proxy_train.data.images import decode_image
from effsearch.proxy_train.data.layout import list_classes
from effsearch.proxy_train.data.listing import FoundFile
from effsearch.proxy_train.data.shipping import ImageShipment, ship_images
from effsearch.space.errors import DataError, RunError


class Run:
    """Touches a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


def png(colour: int = 0) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), (colour, 9, 9)).save(file, "png")
    return file.getvalue()


def tar(path: Path, *members: tarfile.TarInfo, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as packed:  # type: ignore[call-overload]
        for index in range(10):
            info = tarfile.TarInfo(f"{'ab'[index % 2]}/{index}.png")
            info.size = len(png(index))
            packed.addfile(info, io.BytesIO(png(index)))
        for member in members:
            packed.addfile(member, io.BytesIO(b"\0" * min(member.size, 100)))
    return path


def member(name: str, **values: Any) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    for key, value in values.items():
        setattr(info, key, value)
    return info


@pytest.mark.parametrize(
    ("hostile", "message"),
    [
        (member("a/../../x.png"), "'a/../../x.png' points outside"),
        (member("/etc/x.png"), "'/etc/x.png' points outside"),
        (member("a/\x1b[2J.png"), r"'a/\\x1b\[2J.png' has characters in its name that no name has"),
        (member("a/0.png"), "a/0.png is packed twice"),
        (member("a/p.png", pax_headers={"mtime": "inf"}), "is no archive that can be read"),
    ],
)
def test_a_hostile_tar_is_refused(tmp_path: Path, hostile: tarfile.TarInfo, message: str) -> None:
    path = tar(tmp_path / "data.tar", hostile)
    with pytest.raises(DataError, match=message):
        load_images(str(path), resolution=8, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_of_a_tar_are_passed_over(tmp_path: Path, kind: bytes) -> None:
    path = tar(tmp_path / "data.tar", member("a/l.png", type=kind, linkname="/etc/passwd"))
    images = load_images(str(path), resolution=8, cache_dir=tmp_path / "cache")
    assert sum(map(len, (images.train, images.val, images.test))) == 10


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_tars_header_of_megabytes_is_not_read(tmp_path: Path, kind: bytes) -> None:
    path = tmp_path / "data.tar"
    path.write_bytes(member("././@LongLink", size=2**30, type=kind).tobuf(tarfile.GNU_FORMAT) + b"a" * 2**20)
    with pytest.raises(DataError, match="a header of 1,073,741,824 bytes is too long"):
        list(archive.iterate_members(path, want_content=False))


def test_a_member_that_is_said_to_have_terabytes_is_refused_by_what_is_said(tmp_path: Path) -> None:
    path = tmp_path / "data.tar"
    path.write_bytes(member("a/readme.txt", size=2**40).tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024)
    with pytest.raises(DataError, match=r"data\.tar unpacks to more than 1,073,741,824 bytes"):
        list(archive.iterate_members(path, want_content=False))


def test_an_archive_that_unpacks_to_too_much_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "FREE_BYTES", 10_000)
    path = tmp_path / "data.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("a/readme.txt", b"\0" * 10**6)
    with pytest.raises(DataError, match=r"data\.zip unpacks to more than .* bytes, 200 times what it has"):
        list(archive.iterate_members(path, want_content=False))
    tar(tmp_path / "data.tar.gz", member("readme.txt", size=100), mode="w:gz")
    monkeypatch.setattr(archive, "MAX_MEMBERS", 5)
    with pytest.raises(DataError, match="has more than 5 members"):
        list(archive.iterate_members(tmp_path / "data.tar.gz", want_content=False))


def test_a_zip_whose_list_is_too_long_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    with path.open("wb") as file:
        file.write(b"PK\3\4")
        file.truncate(300 << 20)
        file.seek(0, os.SEEK_END)
        file.write(struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, 300 << 20, 4, 0))
    with pytest.raises(DataError, match="lists its members in 314,572,800 bytes"):
        list(archive.iterate_members(path, want_content=False))


def test_classes_that_look_the_same_or_cannot_be_shown_are_refused() -> None:
    def of(*names: str) -> list[FoundFile]:
        return [FoundFile(f"{name}/0.png", 1, 1) for name in names]

    with pytest.raises(DataError, match=r"the classes 'e\\u0301' and '\\xe9' look the same"):
        list_classes(of("e\u0301", "\u00e9"), [], where="data")
    with pytest.raises(DataError, match=r"the class 'a\\x1b\[31m' has characters"):
        list_classes(of("a\x1b[31m", "b"), [], where="data")


@pytest.mark.parametrize(
    "content",
    [
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\nshowpage\n",
        b"8BPS\0\1" + b"\0" * 6 + struct.pack(">HIIHH", 3, 8, 8, 8, 3) + b"\0" * 400,
        b"<svg xmlns='http://www.w3.org/2000/svg'></svg>",
        b"#!/bin/sh\ntrue\n",
        b"",
    ],
)
def test_what_is_no_picture_by_its_content_has_no_reader_whatever_its_name(content: bytes) -> None:
    with pytest.raises(OSError, match="cannot identify image file"):
        decode_image(content, 8)


def test_a_pipe_among_images_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(OSError, match="no regular file"):
        decode_image(tmp_path / "a.png", 8)


def test_a_png_of_gigapixels_is_refused_by_its_header(tmp_path: Path) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    for name in "ab":
        (tmp_path / "data" / name).mkdir(parents=True)
        for index in range(5):
            (tmp_path / "data" / name / f"{index}.png").write_bytes(png(index))
    bomb = chunk(b"IHDR", struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)) + chunk(b"IEND", b"")
    (tmp_path / "data" / "a" / "bomb.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bomb)
    with pytest.raises(DataError, match=r"first a/bomb\.png: Image size \(2500000000 pixels\) exceeds limit"):
        load_images(str(tmp_path / "data"), resolution=8, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("protocol", range(6))
def test_no_pickle_runs_anything(tmp_path: Path, protocol: int) -> None:
    canary = tmp_path / "canary"
    with pytest.raises(pickle.UnpicklingError, match="system is not allowed in a batch of numbers"):
        load_numbers(pickle.dumps({b"data": Run(canary)}, protocol))
    assert not canary.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"cbuiltins\nexec\n(S'1'\ntR.", "builtins.exec is not allowed"),
        (b"cbuiltins\nbytes\n(I99999999999\ntR.", "bytes of a number are not allowed"),
        (b"cnumpy\nload\n(S'/etc/passwd'\ntR.", "numpy.load is not allowed"),
    ],
)
def test_no_pickle_calls_anything_but_constructors(text: bytes, message: str) -> None:
    with pytest.raises(pickle.UnpicklingError, match=message):
        load_numbers(text)


def test_a_pickle_that_numbers_its_values_by_billions_takes_no_table_of_that_size() -> None:
    assert load_numbers(b"I1\nr\xff\xff\xff\x7f.") == 1


def test_a_label_that_nests_without_end_is_refused_before_it_is_spread_out(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    (folder / "batches.meta.txt").write_text("a b c d e f g h i j")
    nested = b"]" + b"K\x00a" + b"2\x86" * 40  # (x, x) of (x, x) of ...
    (folder / "data_batch_1").write_bytes(b"\x80\x02}(U\x04data" + b"K\x00" + b"U\x06labels" + nested + b"u.")
    (folder / "test_batch").write_bytes(b"")
    with pytest.raises(DataError, match="data_batch_1 is no batch of CIFAR-10: the labels must be a list"):
        load_images(str(folder), resolution=32, cache_dir=tmp_path / "cache")


@pytest.fixture
def images(tmp_path: Path) -> ImageData:
    return load_images(str(tar(tmp_path / "sound.tar")), resolution=8, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize(
    "change",
    [
        {"resolution": 16},
        {"class_names": ["only one"]},
        {"class_names": "ab"},
        {"counts": {"train": -2, "val": 1, "test": 1, "left_out": 0}},
        {"channel_std": [1.0]},
        {"channel_mean": None},
        {"fingerprint": {}},
    ],
)
def test_a_cache_that_says_another_thing_than_it_holds_is_damaged(
    images: ImageData, change: dict[str, Any]
) -> None:
    path = images.handle / "meta.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RunError, match=r"are damaged .*; delete that folder"):
        open_images(images.handle)


@pytest.mark.parametrize("name", ["images.npy", "rows.npz"])
def test_pickles_in_a_cache_are_not_read(images: ImageData, tmp_path: Path, name: str) -> None:
    canary = tmp_path / "canary"
    objects = np.array([Run(canary)], dtype=object)
    path = images.handle / name
    if name == "images.npy":
        np.save(path, objects, allow_pickle=True)
    else:
        np.savez(path, labels=objects, digests=objects, places=objects)
    with pytest.raises(RunError, match="are damaged"):
        open_images(images.handle)
    assert not canary.exists()


def test_a_table_that_unpacks_to_more_than_it_has_is_damaged(images: ImageData) -> None:
    np.savez_compressed(images.handle / "rows.npz", labels=np.zeros(10**6))
    with pytest.raises(RunError, match=r"rows\.npz unpacks to more than it has"):
        open_images(images.handle)


def test_images_that_anybody_may_change_are_not_trusted(images: ImageData) -> None:
    (images.handle / "images.npy").chmod(0o666)
    with pytest.raises(RunError, match=r"anybody may write .*images\.npy.*chmod -R o-w .*EFFSEARCH_CACHE"):
        open_images(images.handle)


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "other.npy"])
def test_a_driver_writes_no_other_file_than_those_of_the_images(
    images: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("EFFSEARCH_CACHE", str(tmp_path / "node"))
    sent = ship_images(images)
    shipment = ImageShipment(handle=tmp_path / "gone", fingerprint=sent.fingerprint, num_bytes=sent.num_bytes)
    with pytest.raises(RunError, match=r"the driver sent .* which is no part of the images"):
        shipment.unpack([(name, b"evil")])
    assert not list(tmp_path.rglob("evil"))


def test_a_driver_sends_no_more_than_it_announced(
    images: ImageData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EFFSEARCH_CACHE", str(tmp_path / "node"))
    shipment = ImageShipment(handle=tmp_path / "gone", fingerprint=images.fingerprint, num_bytes=10)
    with pytest.raises(RunError, match=r"the driver sent 'images\.npy'"):
        shipment.unpack([("images.npy", b"x" * 11)])


@pytest.mark.parametrize("url", ["http://example.com/x", "file:///etc/passwd", "ftp://example.com/x"])
def test_nothing_is_downloaded_but_over_tls(tmp_path: Path, url: str) -> None:
    with pytest.raises(RunError, match="only https is downloaded from"):
        download_file(url, tmp_path / "file", md5="0" * 32)
    assert not (tmp_path / "file").exists()


def test_a_server_leads_to_no_place_without_tls(tmp_path: Path, redirecting: str) -> None:
    with pytest.raises(RunError, match="only https is downloaded from"):
        download_file(f"{redirecting}/file", tmp_path / "file", md5="0" * 32)


@pytest.fixture
def redirecting(monkeypatch: pytest.MonkeyPatch) -> Any:
    import threading
    from http.server import BaseHTTPRequestHandler, HTTPServer

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", "http://192.0.2.1/file")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
