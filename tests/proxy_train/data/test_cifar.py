from __future__ import annotations

import functools
import hashlib
import io
import os
import pickle
import tarfile
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from effsearch.proxy_train.data.cifar import BATCHES, load_numbers
from effsearch.proxy_train.data.datasets import ImageData, load_images, load_source
from effsearch.proxy_train.data.sources import open_source
from effsearch.space.errors import DataError, RunError

NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
IMAGES_PER_BATCH = 20  # two of each class


def batch(name: str) -> tuple[NDArray[np.uint8], list[int]]:
    rng = np.random.default_rng(list(name.encode()))
    pixels = rng.integers(0, 256, (IMAGES_PER_BATCH, 3072), dtype=np.uint8)
    return pixels, [(i + len(name)) % 10 for i in range(IMAGES_PER_BATCH)]


class Python2Pickler(pickle._Pickler):
    """Writes bytes as the published files do: as the strings of Python 2."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_string(self, value: bytes) -> None:
        self.write(pickle.BINSTRING + len(value).to_bytes(4, "little") + value)

    dispatch[bytes] = save_string


def dump(value: object, *, as_python2: bool) -> bytes:
    file = io.BytesIO()
    (Python2Pickler if as_python2 else pickle.Pickler)(file, protocol=2).dump(value)
    return file.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")


def write_python(root: Path, *, as_python2: bool = True) -> Path:
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    for name in BATCHES:
        pixels, labels = batch(name)
        content = dump({b"data": pixels, b"labels": labels, b"batch_label": b"x"}, as_python2=as_python2)
        (folder / name).write_bytes(content)
    names = [name.encode() for name in NAMES]
    (folder / "batches.meta").write_bytes(dump({b"label_names": names}, as_python2=as_python2))
    (folder / "readme.html").write_text("<html>")
    return folder


def write_binary(root: Path) -> Path:
    folder = root / "cifar-10-batches-bin"
    folder.mkdir(parents=True)
    for name in BATCHES:
        pixels, labels = batch(name)
        rows = np.concatenate([np.array(labels, dtype=np.uint8)[:, None], pixels], axis=1)
        (folder / f"{name}.bin").write_bytes(rows.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(NAMES) + "\n\n")
    return folder


def pack(folder: Path) -> Path:
    target = folder.parent / "cifar.tar.gz"
    with tarfile.open(target, "w:gz") as packed:
        packed.add(folder, folder.name)
    return target


@pytest.fixture
def reference(tmp_path: Path) -> ImageData:
    return load_images(str(write_python(tmp_path / "ref")), resolution=None, cache_dir=tmp_path / "ref-cache")


@pytest.mark.parametrize("layout", ["python", "python3", "around", "packed", "binary", "binary-packed"])
def test_every_layout_gives_the_same_images(tmp_path: Path, reference: ImageData, layout: str) -> None:
    if layout.startswith("binary"):
        path = write_binary(tmp_path)
    else:
        path = write_python(tmp_path, as_python2=layout != "python3")
    if layout.endswith("packed"):
        path = pack(path)
    if layout == "around":
        path = path.parent
    images = load_images(str(path), resolution=None, cache_dir=tmp_path / "cache")
    assert images.fingerprint == reference.fingerprint
    assert images.class_names == NAMES


def test_images_are_channels_last_and_splits_are_the_published_ones(reference: ImageData) -> None:
    assert reference.resolution == reference.native_resolution == 32
    assert (len(reference.train), len(reference.val), len(reference.test)) == (90, 10, 20)
    pixels, labels = batch("test_batch")
    np.testing.assert_array_equal(reference.test.labels, labels)
    np.testing.assert_array_equal(reference.test.images[3, :, :, 1].ravel(), pixels[3, 1024:2048])


def test_cifar_is_resized_when_asked(tmp_path: Path) -> None:
    images = load_images(str(write_binary(tmp_path)), resolution=16, cache_dir=tmp_path / "cache")
    assert images.test.images.shape == (20, 16, 16, 3)


class Attack:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("echo attacked",)


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({b"data": Attack()}),
        pickle.dumps({b"data": Attack()}, protocol=0),
        b"cbuiltins\neval\n(S'1+1'\ntR.",
        pickle.dumps(np.sin),
    ],
)
def test_a_pickle_that_calls_anything_is_refused(
    content: bytes, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = write_python(tmp_path)
    (folder / "data_batch_3").write_bytes(content)
    with pytest.raises(DataError, match=r"data_batch_3 is no batch of CIFAR-10: .* is not allowed"):
        load_images(str(folder), resolution=None, cache_dir=tmp_path / "cache")
    assert "attacked" not in capfd.readouterr().out


def test_old_bytes_are_read_in_latin1_alone() -> None:
    assert load_numbers(pickle.dumps(b"\xff\x00", protocol=2)) == b"\xff\x00"
    with pytest.raises(pickle.UnpicklingError, match="encoding 'rot13' is not allowed"):
        load_numbers(b"c_codecs\nencode\n(Va\nVrot13\ntR.")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "EOFError"),
        (b"garbage", "data_batch_2 is no batch of CIFAR-10"),
        (pickle.dumps({}, protocol=2), "data"),
        (
            dump({b"data": np.zeros((2, 9), np.uint8), b"labels": [0, 1]}, as_python2=True),
            r"uint8 \(2, 9\) do not fit 2",
        ),
        (
            dump({b"data": np.zeros((1, 3072), np.uint8), b"labels": [10]}, as_python2=True),
            "labels from 10 to 10 for 10",
        ),
    ],
)
def test_a_damaged_batch_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    folder = write_python(tmp_path)
    (folder / "data_batch_2").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_images(str(folder), resolution=None, cache_dir=tmp_path / "cache")


def test_a_binary_batch_of_odd_length_is_named(tmp_path: Path) -> None:
    folder = write_binary(tmp_path)
    (folder / "test_batch.bin").write_bytes(b"12345")
    with pytest.raises(DataError, match=r"test_batch.bin is no batch .* 5 bytes are no multiple of 3,073"):
        load_images(str(folder), resolution=None, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("name", ["data_batch_4", "batches.meta", "test_batch"])
def test_a_missing_batch_is_named(tmp_path: Path, name: str) -> None:
    folder = write_python(tmp_path)
    (folder / name).unlink()
    with pytest.raises(DataError, match=f"{name} of CIFAR-10 is missing"):
        load_images(str(folder), resolution=None, cache_dir=tmp_path / "cache")


def test_too_few_names_of_classes_are_refused(tmp_path: Path) -> None:
    folder = write_binary(tmp_path)
    (folder / "batches.meta.txt").write_text("cat dog")
    with pytest.raises(DataError, match="expected 10 names of classes, found 2"):
        load_images(str(folder), resolution=None, cache_dir=tmp_path / "cache")


@pytest.fixture
def published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, str]]:
    """URL and MD5 of a small CIFAR-10 on a local server."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    archive = pack(write_python(tmp_path / "served"))

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=str(archive.parent))
    ) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        md5 = hashlib.md5(archive.read_bytes(), usedforsecurity=False).hexdigest()
        yield f"http://127.0.0.1:{httpd.server_port}/{archive.name}", md5
        httpd.shutdown()
        thread.join()


def test_cifar10_is_downloaded_once_and_its_archive_may_go(
    published: tuple[str, str], tmp_path: Path, reference: ImageData
) -> None:
    url, md5 = published
    cache_dir = tmp_path / "cache"
    told: list[str] = []
    source = open_source(
        "cifar10",
        cache_dir=cache_dir,
        cifar10_url=url,
        cifar10_md5=md5,
        progress=lambda what, *_: told.append(what),
    )
    images = load_source(source, resolution=None, cache_dir=cache_dir)
    assert images.fingerprint == reference.fingerprint
    assert set(told) == {"download"}
    (cache_dir / "downloads" / "cifar-10-python.tar.gz").unlink()
    elsewhere = open_source(
        "cifar10", cache_dir=cache_dir, cifar10_url="http://127.0.0.1:9/", cifar10_md5=md5
    )
    assert load_source(elsewhere, resolution=None, cache_dir=cache_dir).fingerprint == images.fingerprint


def test_a_wrong_checksum_leaves_nothing(published: tuple[str, str], tmp_path: Path) -> None:
    cache_dir = tmp_path / "cache"
    source = open_source("cifar10", cache_dir=cache_dir, cifar10_url=published[0])
    with pytest.raises(RunError, match="expected c58f30108f718f92721af3b95e74349a"):
        load_source(source, resolution=None, cache_dir=cache_dir)
    assert [path for path in cache_dir.rglob("*") if path.is_file()] == []
