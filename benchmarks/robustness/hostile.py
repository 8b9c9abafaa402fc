# ruff: noqa: E501, E731 - a case stands on a line
"""Is anything of a hostile archive, image, checkpoint or journal executed, or written outside its place?

    python -m benchmarks.robustness.hostile --seed 0

Every case is read by what a command reads it with, in a process of its own with a bound on its memory. A case fails
if a canary is touched, if a file appears outside the cache, if it is not refused by its name (or, where it is harmless,
read as what it is), or if it takes over 500 MB or 20 s. The figures are appended to benchmarks/results/fuzz.jsonl.
"""

import io
import json
import os
import pickle
import random
import resource
import struct
import sys
import tarfile
import tempfile
import time
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from benchmarks.recording import append_record
from benchmarks.robustness.asking import parser_for

MOST_ADDED_BYTES = 500e6
MOST_SECONDS = 20.0


class Case(NamedTuple):
    """A hostile file."""

    kind: str  # archive, image, checkpoint, cache, journal
    name: str
    make: Callable[[Path, Path], None]  # writes it: its path, the canary's
    may_be_read: bool = False  # as what it is, where nothing in it is hostile once nobody obeys it


class Run:
    """Touches a file when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.canary}",)


def png(side: int = 8, colour: int = 0) -> bytes:
    """Give a small sound image."""
    file = io.BytesIO()
    Image.new("RGB", (side, side), (colour, 9, 9)).save(file, "png")
    return file.getvalue()


def _sound_members() -> dict[str, bytes]:
    return {
        f"{name}/{index}.png": png(8, 20 * index + shift)
        for shift, name in enumerate("ab")
        for index in range(5)
    }


def tar_with(
    *extra: tuple[tarfile.TarInfo, bytes], mode: str = "w", pax: dict[str, str] | None = None
) -> Callable[[Path, Path], None]:
    """Give what packs sound images with hostile members."""

    def make(path: Path, canary: Path) -> None:
        with tarfile.open(path, mode, format=tarfile.PAX_FORMAT, pax_headers=pax) as archive:
            for name, content in _sound_members().items():
                archive.addfile(_member(name, len(content)), io.BytesIO(content))
            for info, content in extra:
                archive.addfile(info, io.BytesIO(content))

    return make


def _member(
    name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, link: str = "", **more: Any
) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, link
    for key, value in more.items():
        setattr(info, key, value)
    return info


def zip_with(
    extra: list[tuple[str, bytes]], *, link: str = "", method: int = zipfile.ZIP_DEFLATED
) -> Callable[[Path, Path], None]:
    """Give what packs sound images with hostile members into a zip."""

    def make(path: Path, canary: Path) -> None:
        with warnings.catch_warnings(), zipfile.ZipFile(path, "w", method) as archive:
            warnings.simplefilter("ignore")
            for name, content in [*_sound_members().items(), *extra]:
                archive.writestr(name, content)
            if link:
                info = zipfile.ZipInfo("a/link.png")
                info.external_attr = 0o120777 << 16
                archive.writestr(info, link)

    return make


TRAVERSALS = (
    "../x.png",
    "a/../../x.png",
    "/etc/x.png",
    "a/../../../../tmp/effsearch-owned.png",
    "..",
    "/",
    "a/..",
)
NAMES = ("a/\x1b[2J.png", "a/x\ny.png", "a\x07/x.png", "a/\r.png", "\x9b31m/x.png")
LINKS = ("/etc/passwd", "../../../etc/passwd", "/dev/zero", "a/0.png", ".", "")


def archives(rng: random.Random) -> Iterator[Case]:
    """Give hostile archives."""
    for name in TRAVERSALS:
        for mode in ("w", "w:gz", "w:xz"):
            yield Case(
                "archive",
                f"{mode} {name}",
                tar_with((_member(name, 4), b"evil"), mode=mode),
                name in ("..", "/", "a/.."),
            )
        yield Case("archive", f"zip {name}", zip_with([(name, b"evil")]), name in ("..", "/", "a/.."))
    for name in NAMES:
        yield Case("archive", f"tar {name!r}", tar_with((_member(name, 4), b"evil")))
        yield Case("archive", f"zip {name!r}", zip_with([(name, b"evil")]))
    for link in LINKS:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
            yield Case("archive", f"link {link}", tar_with((_member("a/l.png", 0, kind, link), b"")), True)
        yield Case("archive", f"zip link {link}", zip_with([], link=link), True)
    for kind in (tarfile.CHRTYPE, tarfile.BLKTYPE, tarfile.FIFOTYPE, b"Z"):
        yield Case("archive", f"device {kind!r}", tar_with((_member("a/d.png", 0, kind), b"")), True)
    for size in (10**9, 2**40, 2**62):
        yield Case("archive", f"member said to have {size}", _lying_tar(size))
    for key, value in (
        ("mtime", "inf"),
        ("mtime", "nan"),
        ("size", "-1"),
        ("size", "99999999999999999999"),
        ("path", "../x.png"),
    ):
        info = _member("a/p.png", 4, pax_headers={key: value})
        yield Case("archive", f"pax {key}={value}", tar_with((info, b"evil")), True)
    for name in ("a/0.png", "b/4.png"):
        yield Case("archive", f"twice {name}", tar_with((_member(name, len(png())), png())))
        yield Case("archive", f"zip twice {name}", zip_with([(name, png())]))
    for num in (2 * 10**8, 3 * 10**8):
        yield Case("archive", f"image of {num} zeros", zip_with([("a/z.png", b"\0" * num)]))
        yield Case("archive", f"gz image of {num} zeros", _zeros_tar(num, "a/z.png"))
    yield Case("archive", "bomb of 20 GB outside images", _bomb_tar(20))
    yield Case("archive", "long name of 1 GB", _header_tar(tarfile.GNUTYPE_LONGNAME))
    yield Case("archive", "pax header of 1 GB", _header_tar(tarfile.XHDTYPE))
    yield Case(
        "archive", "nested", zip_with([("a/inner.zip", b"PK\3\4" + b"\0" * 100), ("a/x.tar", b"x")]), True
    )
    yield Case(
        "archive", "classes that look alike", zip_with([("e\u0301/x.png", png()), ("\u00e9/x.png", png())])
    )
    yield Case("archive", "encrypted", _encrypted_zip)
    yield Case("archive", "overlapping members", _overlapping_zip)
    yield Case("archive", "a million members", _many_members)
    for number in range(40):
        yield Case(
            "archive",
            f"damaged tar {number}",
            _damaged(tar_with(mode=rng.choice(["w", "w:gz", "w:xz"])), rng.random()),
            True,
        )
        yield Case("archive", f"damaged zip {number}", _damaged(zip_with([]), rng.random()), True)
    for number, content in enumerate(
        (b"", b"PK\3\4", b"PK\5\6" + b"\0" * 18, b"\x1f\x8b" + b"\0" * 20, b"BZh9", b"\xfd7zXZ\0")
    ):
        yield Case("archive", f"stub {number}", _bytes(content))


def _bytes(content: bytes) -> Callable[[Path, Path], None]:
    return lambda path, canary: path.write_bytes(content) and None


def _lying_tar(size: int) -> Callable[[Path, Path], None]:
    def make(path: Path, canary: Path) -> None:
        info = _member("a/big.png", size)
        path.write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 1024)

    return make


def _zeros_tar(num: int, name: str) -> Callable[[Path, Path], None]:
    def make(path: Path, canary: Path) -> None:
        with tarfile.open(path, "w:gz", compresslevel=1) as archive:
            archive.addfile(_member(name, num), _Zeros(num))

    return make


class _Zeros(io.RawIOBase):
    def __init__(self, num: int) -> None:
        self.left = num

    def read(self, size: int = -1) -> bytes:
        size = min(self.left, size if size >= 0 else self.left)
        self.left -= size
        return b"\0" * size


def _bomb_tar(gigabytes: int) -> Callable[[Path, Path], None]:
    def make(path: Path, canary: Path) -> None:
        piece = b"\0" * 2**20
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        with path.open("wb") as file:
            file.write(packer.compress(_member("a/readme.txt", gigabytes << 30).tobuf(tarfile.GNU_FORMAT)))
            for _ in range(64):  # the rest is not looked at, or should not be
                file.write(packer.compress(piece))
            file.write(packer.flush())

    return make


def _header_tar(kind: bytes) -> Callable[[Path, Path], None]:
    def make(path: Path, canary: Path) -> None:
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        with path.open("wb") as file:
            file.write(packer.compress(_member("././@LongLink", 1 << 30, kind).tobuf(tarfile.GNU_FORMAT)))
            for _ in range(1024):
                file.write(packer.compress(b"a" * 2**20))
            file.write(packer.flush())

    return make


def _encrypted_zip(path: Path, canary: Path) -> None:
    zip_with([])(path, canary)
    content = bytearray(path.read_bytes())
    place = 0
    while (place := content.find(b"PK\x01\x02", place)) >= 0:
        content[place + 8] |= 1
        place += 4
    place = 0
    while (place := content.find(b"PK\x03\x04", place)) >= 0:
        content[place + 6] |= 1
        place += 4
    path.write_bytes(content)


def _overlapping_zip(path: Path, canary: Path) -> None:
    """Many entries of the list lead to one large member."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/0.png", b"\0" * 10**8)
        first = archive.infolist()[0]
        for index in range(1, 5_000):
            copy = zipfile.ZipInfo(f"a/{index}.png")
            for name in ("header_offset", "CRC", "compress_size", "file_size", "compress_type", "flag_bits"):
                setattr(copy, name, getattr(first, name))
            archive.filelist.append(copy)


def _many_members(path: Path, canary: Path) -> None:
    """A list of a hundred million members, said and not there."""
    path.write_bytes(
        b"PK\3\4"
        + b"\0" * (300 << 20)
        + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 65535, 65535, 300 << 20, 4, 0)
    )


def _damaged(make: Callable[[Path, Path], None], seed: float) -> Callable[[Path, Path], None]:
    def made(path: Path, canary: Path) -> None:
        make(path, canary)
        rng = random.Random(seed)
        content = bytearray(path.read_bytes())
        for _ in range(rng.choice([1, 4, 40])):
            content[rng.randrange(len(content))] = rng.randrange(256)
        if rng.random() < 0.3:
            del content[rng.randrange(len(content)) :]
        path.write_bytes(content)

    return made


def images(rng: random.Random) -> Iterator[Case]:
    """Give hostile images; each lies in a folder beside sound ones."""
    for width, height in ((50_000, 50_000), (2**31 - 1, 1), (1, 2**31 - 1), (0, 0), (0, 8), (20_000, 20_000)):
        header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
        content = (
            b"\x89PNG\r\n\x1a\n"
            + _chunk(b"IHDR", header)
            + _chunk(b"IDAT", zlib.compress(b"\0" * 10**6))
            + _chunk(b"IEND", b"")
        )
        yield Case("image", f"png of {width} x {height}", _bytes(content))
        yield Case(
            "image",
            f"gif of {width} x {height}",
            _bytes(b"GIF89a" + struct.pack("<HH", width & 0xFFFF, height & 0xFFFF) + b"\0\0\0,"),
        )
        yield Case(
            "image", f"ppm of {width} x {height}", _bytes(f"P6 {width} {height} 255\n".encode() + b"\0" * 100)
        )
        yield Case("image", f"bmp of {width} x {height}", _bytes(_bmp(width, height)))
    for number, script in enumerate(
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n(%pipe%touch CANARY) (w) file\nshowpage\n",
            b"%!PS\n(CANARY) (w) file closefile\n",
            b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/><script>1</script></svg>",
            b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY y SYSTEM 'file:///etc/passwd'>]><svg>&y;</svg>",
            b"push graphic-context\nfill 'url(https://x/\"|touch CANARY\")'\npop graphic-context",
            b"8BPS\0\1" + b"\0" * 6 + struct.pack(">HIIHH", 3, 8, 8, 8, 3) + b"\0" * 400,
            b"#!/bin/sh\ntouch CANARY\n",
            b"%PDF-1.4\n1 0 obj<</OpenAction<</S/Launch/F(touch CANARY)>>>>endobj",
            b"\x00\x00\x01\x00\x01\x00" + b"\xff" * 30,
            b"SIMPLE  =                    T" + b" " * 3000,
            b"\x89HDF\r\n\x1a\n" + b"\0" * 100,
            b"\xd7\xcd\xc6\x9a" + b"\0" * 60,
            b"",
            b"\0",
        )
    ):
        for ending in (".jpg", ".png"):
            yield Case(
                "image",
                f"script {number}{ending}",
                lambda path, canary, script=script: (
                    path.write_bytes(script.replace(b"CANARY", str(canary).encode())) and None
                ),
            )
    for number in range(40):
        yield Case(
            "image",
            f"damaged {number}",
            _damaged(_picture(rng.choice(["PNG", "JPEG", "GIF", "TIFF", "WEBP", "BMP"])), rng.random()),
            True,
        )
    yield Case("image", "png with text of 1 GB", _text_bomb, True)
    yield Case(
        "image",
        "png and zip at once",
        lambda path, canary: (
            path.write_bytes(png() + b"PK\3\4#!/bin/sh\ntouch " + str(canary).encode()) and None
        ),
        True,
    )


def _chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def _bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack(
        "<IHHIIiiHHIIiiII", 0, 0, 0, 54, 40, width, min(height, 2**31 - 1), 1, 24, 0, 0, 0, 0, 0, 0
    )


def _picture(kind: str) -> Callable[[Path, Path], None]:
    return lambda path, canary: Image.effect_noise((24, 24), 40).convert("RGB").save(path, kind)


def _text_bomb(path: Path, canary: Path) -> None:
    packer = zlib.compressobj(9)
    packed = b"".join(packer.compress(b"a" * 2**20) for _ in range(1024)) + packer.flush()
    content = png()
    path.write_bytes(content[:33] + _chunk(b"zTXt", b"Comment\0\0" + packed) + content[33:])


def checkpoints(rng: random.Random) -> Iterator[Case]:
    """Give hostile weights, and pickles where CIFAR-10's batches are looked for."""
    for protocol in range(6):
        yield Case(
            "checkpoint",
            f"pickle {protocol}.pth",
            lambda path, canary, p=protocol: path.write_bytes(pickle.dumps(Run(canary), p)) and None,
        )
        yield Case(
            "checkpoint",
            f"torch {protocol}.pth",
            lambda path, canary, p=protocol: _torch_save(path, canary, p),
        )
        yield Case(
            "cifar",
            f"pickle {protocol}",
            lambda path, canary, p=protocol: (
                path.write_bytes(pickle.dumps({b"data": Run(canary)}, p)) and None
            ),
        )
    for number, text in enumerate(
        (
            b"cos\nsystem\n(S'touch CANARY'\ntR.",
            b"cbuiltins\nexec\n(S'import os; os.system(\"touch CANARY\")'\ntR.",
            b"c__builtin__\neval\n(S'1'\ntR.",
            b"cnumpy\nload\n(S'/etc/passwd'\ntR.",
            b"cnumpy.core.multiarray\n_reconstruct\n(cos\nsystem\n(I0\ntS'b'\ntR.",
            b"cbuiltins\nbytes\n(I99999999999\ntR.",
            b"(I1\nr\xff\xff\xff\x7f.",
            b"\x80\x04\x95" + b"\xff" * 8,
            b"\x80\x02" + b"(" * 100_000 + b".",
            b"\x80\x02]" + b"\x942a" * 1000 + b".",
            b"\x80\x02" + b"K\x01" + b"2\x86" * 60 + b".",
            b"\x80\x02\x8e" + struct.pack("<Q", 2**62) + b"x.",
            b"\x80\x02cnumpy\nndarray\n((I99999999\nI99999999\ntS'O'\ntR.",
            b"\x80\x02\x82\x01.",
            b"P0\n.",
        )
    ):
        make = lambda path, canary, text=text: (
            path.write_bytes(text.replace(b"CANARY", str(canary).encode())) and None
        )
        yield Case("cifar", f"opcodes {number}", make)
        yield Case("checkpoint", f"opcodes {number}.pth", make)
    headers = (
        {"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}},
        {"x": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}},
        {"x": {"dtype": "F32", "shape": [1], "data_offsets": [4, 0]}},
        {
            "x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            "y": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        },
        {"x": {"dtype": "PICKLE", "shape": [1], "data_offsets": [0, 4]}},
        {"x": {"dtype": "F64", "shape": [1], "data_offsets": [0, 4]}},
        {"../../x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
        {
            "__metadata__": {"effsearch": "[" * 100_000, "spec": "{}"},
            "x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        },
        {"__metadata__": {"sha256": "0" * 64}, "x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}},
        {
            "__metadata__": {"epochs": "nan"},
            "x": {"dtype": "F32", "shape": [1, 0, 2**60], "data_offsets": [0, 0]},
        },
    )
    for number, header in enumerate(headers):
        text = json.dumps(header).encode()
        yield Case(
            "checkpoint",
            f"header {number}.safetensors",
            _bytes(struct.pack("<Q", len(text)) + text + b"\0\0\xc0\x7f"),
        )
    for length in (0, 1, 2**31, 2**60, 2**64 - 1):
        yield Case("checkpoint", f"header of {length}.safetensors", _bytes(struct.pack("<Q", length) + b"{}"))
    yield Case("checkpoint", "bomb.pth", _pth_bomb)
    yield Case(
        "checkpoint",
        "a pickle.safetensors",
        lambda path, canary: path.write_bytes(pickle.dumps(Run(canary))) and None,
    )
    yield Case("checkpoint", "a pipe.pth", lambda path, canary: os.mkfifo(path))
    yield Case("checkpoint", "a pipe.safetensors", lambda path, canary: os.mkfifo(path))
    for number in range(10):
        yield Case("checkpoint", f"damaged {number}.pth", _damaged(_sound_pth, rng.random()), True)


def _torch_save(path: Path, canary: Path, protocol: int) -> None:
    import torch

    torch.save({"x": Run(canary)}, path, pickle_protocol=max(2, protocol))


def _sound_pth(path: Path, canary: Path) -> None:
    import torch

    torch.save({"x": torch.zeros(100)}, path)


def _pth_bomb(path: Path, canary: Path) -> None:
    _sound_pth(path, canary)
    with zipfile.ZipFile(path) as archive:
        names = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in names.items():
            archive.writestr(name, content + (b"\0" * 10**9 if name.endswith("/data/0") else b""))


def caches(rng: random.Random) -> Iterator[Case]:
    """Give caches that somebody has filled."""
    yield Case(
        "cache",
        "images of objects",
        lambda path, canary: np.save(
            path / "images.npy", np.array([Run(canary)], dtype=object), allow_pickle=True
        ),
    )
    yield Case(
        "cache",
        "rows of objects",
        lambda path, canary: np.savez(
            path / "rows.npz", labels=np.array([Run(canary)], dtype=object), allow_pickle=True
        ),
    )
    yield Case(
        "cache",
        "images that are a pickle",
        lambda path, canary: (path / "images.npy").write_bytes(pickle.dumps(Run(canary))) and None,
    )
    for number, header in enumerate(
        (
            b"{'descr': '|u1', 'fortran_order': False, 'shape': (9999999999999,), }",
            b"__import__('os').system('touch CANARY')",
            b"(" * 9000,
            b"{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        )
    ):
        yield Case(
            "cache",
            f"header {number}",
            lambda path, canary, header=header: (
                (path / "images.npy").write_bytes(
                    b"\x93NUMPY\1\0"
                    + struct.pack("<H", len(header))
                    + header.replace(b"CANARY", str(canary).encode())
                )
                and None
            ),
        )
    for key, value in (
        ("resolution", "8"),
        ("resolution", 10**9),
        ("class_names", ["<script>"] * 1),
        ("counts", {"train": -5, "val": 1, "test": 1, "left_out": 0}),
        ("counts", []),
        ("channel_std", [1e400]),
        ("fingerprint", {}),
        ("channel_mean", None),
    ):
        yield Case(
            "cache",
            f"meta {key} {value!r:.20}",
            lambda path, canary, key=key, value=value: _change_meta(path, key, value),
        )
    yield Case(
        "cache",
        "labels of no class",
        lambda path, canary: np.savez(
            path / "rows.npz", **{**np.load(path / "rows.npz"), "labels": np.full(10, 10**9)}
        ),
    )
    yield Case("cache", "anybody may write it", lambda path, canary: path.chmod(0o777))


def _change_meta(path: Path, key: str, value: Any) -> None:
    meta = json.loads((path / "meta.json").read_text())
    (path / "meta.json").write_text(json.dumps(meta | {key: value}))


def journals(rng: random.Random) -> Iterator[Case]:
    """Give journals of studies that somebody else wrote."""
    sound = {"op_code": 0, "worker_id": "w", "study_name": "<script>alert(1)</script>", "directions": [2]}
    yield Case("journal", "script in a study's name", _bytes(json.dumps(sound).encode() + b"\n"), True)
    unknown_study = b'{"op_code": 4, "worker_id": "w", "study_id": 9}'
    yield Case(
        "journal",
        "trial of no study",
        _bytes(json.dumps(sound).encode() + b"\n" + unknown_study + b"\n"),
        True,
    )
    for number, line in enumerate(
        (
            b"[" * 100_000,
            b'{"op_code": 99, "worker_id": "w"}',
            b'{"op_code": 0}',
            b'{"op_code": 0, "worker_id": "w", "study_name": [], "directions": "x"}',
            b'{"op_code": 1e400}',
            b'{"op_code": null}',
            b"[]",
            b"null",
            b"\xff\xfe",
            pickle.dumps({"op_code": 0}),
            b'{"op_code": 4, "worker_id": "w", "study_id": 0, "distributions": {"x": "{\\"name\\": \\"os.system\\"}"}, "params": {"x": 1}}',
        )
    ):
        yield Case("journal", f"line {number}", _bytes(json.dumps(sound).encode() + b"\n" + line + b"\n"))


def read(case: Case, path: Path, folder: Path) -> None:
    """Read a case's file with what a command reads it with."""
    from effsearch.proxy_train.data.datasets import load_images, open_images
    from effsearch.search.journal_reader import read_journal
    from effsearch.search.study import JournalStudy

    match case.kind:
        case "archive":
            load_images(str(path), resolution=8, cache_dir=folder / "cache")
        case "image":
            for name, content in _sound_members().items():
                (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / "data" / name).write_bytes(content)
            path.rename(folder / "data" / "a" / f"hostile{path.suffix or '.png'}")
            load_images(str(folder / "data"), resolution=8, cache_dir=folder / "cache")
        case "cifar":
            (folder / "data").mkdir()
            path.rename(folder / "data" / "data_batch_1")
            (folder / "data" / "batches.meta.txt").write_text("a b c d e f g h i j")
            (folder / "data" / "test_batch").write_bytes(b"")
            load_images(str(folder / "data"), resolution=32, cache_dir=folder / "cache")
        case "checkpoint":
            from effsearch.proxy_train.full.transfer import read_weights
            from effsearch.results.export.weights import read_network
            from effsearch.space.presets import load_preset

            if path.suffix == ".safetensors":
                read_network(load_preset("mobilenet-v3-small"), path)
            else:
                read_weights(path)
        case "cache":
            images = open_images(path)
            images.train.images[:1].sum()
        case "journal":
            with read_journal(path) as storage:
                for study in storage.get_all_studies():
                    storage.get_all_trials(study._study_id)
            JournalStudy(path, study_name="baseline")


def judge(case: Case, folder: Path, pipe: Any) -> None:
    """Make and read a case in this process, and send how it ended."""
    from effsearch.space.errors import EffsearchError

    folder.mkdir(parents=True)
    os.chdir(folder)
    canary = folder / "canary"
    path = (
        folder
        / f"hostile{Path(case.name).suffix if case.kind == 'checkpoint' else '.png' if case.kind == 'image' else ''}"
    )
    if case.kind == "image" and case.name.endswith(".jpg"):
        path = path.with_suffix(".jpg")
    if case.kind == "cache":
        from effsearch.proxy_train.data.datasets import load_images

        zip_with([])(folder / "sound.zip", canary)
        path = load_images(str(folder / "sound.zip"), resolution=8, cache_dir=folder / "cache").handle
    case.make(path, canary)
    Path("/proc/self/clear_refs").write_text("5")
    before = _peak_bytes()
    limit = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (int(time.process_time() + MOST_SECONDS + 1), limit[1]))
    began = time.process_time()
    fault, line = "", ""
    try:
        read(case, path, folder)
        if not case.may_be_read:
            fault = "was not refused"
    except EffsearchError as error:
        line = str(error)
        known = (path.name, "data", "cache", "data_batch_1", "file")
        if not any(word in line for word in known):
            fault = f"names nothing: {line}"
    except BaseException as error:
        fault = f"{type(error).__name__}: {error}"[:300]
    added = _peak_bytes() - before
    seconds = time.process_time() - began
    if canary.exists() or Path("/tmp/owned").exists():
        fault = "EXECUTED"
    elif added > MOST_ADDED_BYTES:
        fault = fault or f"large: {added / 1e6:.0f} MB"
    elif seconds > MOST_SECONDS:
        fault = fault or f"slow: {seconds:.0f} s"
    allowed = {folder / name for name in ("cache", "data", path.name, "sound.zip", f"{path.name}.lock")}
    strays = [one for one in folder.iterdir() if one not in allowed and path not in one.parents]
    if strays or (folder.parent / "x.png").exists() or Path("/tmp/effsearch-owned.png").exists():
        fault = fault or f"wrote outside: {strays}"
    pipe.send((fault, line[:300], added, seconds))


def _peak_bytes() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def main() -> None:
    """Read all cases, print what failed, and record the figures."""
    parser = parser_for(__doc__)
    parser.add_argument("--only", default="", help="part of a case's kind or name")
    options = parser.parse_args()
    rng = random.Random(options.seed)
    cases = [case for make in (archives, images, checkpoints, caches, journals) for case in make(rng)]
    cases = [case for case in cases if options.only in f"{case.kind} {case.name}"]
    import effsearch.proxy_train.data.datasets
    import effsearch.proxy_train.full.transfer
    import effsearch.search.journal_reader  # noqa: F401 - loaded once, before the forks

    context = get_context("fork")
    faults: list[str] = []
    refused, most_bytes, most_seconds = 0, 0, 0.0
    with tempfile.TemporaryDirectory() as name:
        for number, case in enumerate(cases):
            ours, theirs = context.Pipe(duplex=False)
            process = context.Process(target=judge, args=(case, Path(name) / str(number), theirs))
            process.start()
            theirs.close()
            try:
                fault, line, added, seconds = ours.recv() if ours.poll(240) else ("hangs", "", 0, 0.0)
            except EOFError:
                fault, line, added, seconds = "its process died", "", 0, 0.0
            if process.is_alive():
                process.join(5)
                process.kill()
            process.join()
            refused += bool(line)
            most_bytes, most_seconds = max(most_bytes, added), max(most_seconds, seconds)
            if fault:
                faults.append(f"{case.kind} {case.name}: {fault}")
                print(ascii(faults[-1]), flush=True)
    figures = {
        "what": "hostile",
        "seed": options.seed,
        "cases": dict(Counter(case.kind for case in cases)),
        "refused": refused,
        "executed": sum("EXECUTED" in fault for fault in faults),
        "outside": sum("wrote outside" in fault for fault in faults),
        "faults": faults,
        "most_added_bytes": most_bytes,
        "most_seconds": round(most_seconds, 2),
    }
    print(json.dumps(figures, indent=2))
    if not options.no_record and not options.only:
        append_record("fuzz", figures)
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
