"""How is CIFAR-10 read as it was published, in its python or its binary layout, packed or not?

Source:
    https://www.cs.toronto.edu/~kriz/cifar.html gives both layouts: five training batches and one test batch
    of 10,000 images, each image 3,072 bytes, red plane first, row by row.
"""

from __future__ import annotations

import io
import pickle  # nosec B403
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effsearch.proxy_train.data.archive import readable, tar_entries
from effsearch.proxy_train.data.listing import ImageListing, ListedImage, Payload, Source, identity_of
from effsearch.space.errors import DataError

FOLDERS = ("cifar-10-batches-py", "cifar-10-batches-bin")
TRAIN_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
BATCHES = (*TRAIN_BATCHES, "test_batch")
RESOLUTION = 32
NUM_CLASSES = 10
IMAGE_BYTES = 3 * RESOLUTION * RESOLUTION
MAX_BATCH_BYTES = 1 << 26
MAX_NAMES_BYTES = 10_000

Batch = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Images (num_images, 32, 32, 3) and their labels (num_images,)."""


def is_cifar(path: Path) -> bool:
    """Whether this is a folder or an archive of CIFAR-10's batches, judged by names alone."""
    if path.is_dir():
        return _batch_folder(path) is not None
    try:
        first_paths = [PurePosixPath(entry.name) for _, entry in islice(tar_entries(path), 3)]
    except Exception:  # no tar; what it is comes out when it is opened
        return False
    return any(part in FOLDERS for path in first_paths for part in path.parts)


def open_cifar(path: Path) -> Source:
    """The source of CIFAR-10 on disk: a folder of batches, the folder around it, or the published archive.

    Raises:
        DataError: By `scan` and `read`: a batch is missing, damaged, or holds anything but numbers and names.
    """
    folder = _batch_folder(path) if path.is_dir() else None
    files = sorted(folder.iterdir()) if folder else [path]
    facts = [(file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    return cifar_source("cifar10", identity_of("cifar10", facts), lambda: folder or path)


def cifar_source(name: str, identity: str, locate: Callable[[], Path]) -> Source:
    """The source of CIFAR-10 whose place is asked for only when the images are needed."""

    def scan(measure: bool) -> ImageListing:
        path = locate()
        class_names: tuple[str, ...] = ()
        labels_of: dict[str, NDArray[np.int64]] = {}
        for file_name, content in _iterate_files(path):
            if file_name.startswith("batches.meta"):
                class_names = _read_class_names(content, file_name)
            else:
                labels_of[PurePosixPath(file_name).stem] = _read_batch(content, file_name)[1]
        missing = [batch for batch in BATCHES if batch not in labels_of] + ["batches.meta"] * (
            not class_names
        )
        if missing:
            raise DataError(f"{path}: {missing[0]} of CIFAR-10 is missing")
        images = tuple(
            ListedImage(
                f"{batch}/{place:05d}",
                int(label),
                "train" if batch in TRAIN_BATCHES else "test",
                IMAGE_BYTES,
                0,
            )
            for batch in BATCHES
            for place, label in enumerate(labels_of[batch])
        )
        return ImageListing(class_names=class_names, images=images, native_resolution=RESOLUTION)

    def read(listing: ImageListing, resolution: int) -> Iterator[tuple[int, Payload]]:
        index_of = {image.path: index for index, image in enumerate(listing.images)}
        for file_name, content in _iterate_files(locate()):
            if file_name.startswith("batches.meta"):
                continue
            images, _ = _read_batch(content, file_name)
            batch = PurePosixPath(file_name).stem
            for place, image in enumerate(images):
                yield index_of[f"{batch}/{place:05d}"], image

    return Source(name=name, identity=identity, scan=scan, read=read)


def _batch_folder(path: Path) -> Path | None:
    for folder in (path, *(path / name for name in FOLDERS)):
        if any((folder / f"test_batch{suffix}").is_file() for suffix in ("", ".bin")):
            return folder
    return path if path.name in FOLDERS else None


def _iterate_files(path: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents of the batches and the list of classes, from a folder or an archive."""
    with readable(path):
        found: Iterable[tuple[str, Callable[[], bytes]]]
        if path.is_dir():
            found = ((file.name, partial(_read_file, file)) for file in sorted(path.iterdir()))
        else:
            found = (
                (PurePosixPath(entry.name).name, partial(_read_member, archive, entry))
                for archive, entry in tar_entries(path)
                if entry.isreg()
            )
        for name, read in found:
            if re.fullmatch(r"(data_batch_[1-5]|test_batch)(\.bin)?|batches\.meta(\.txt)?", name):
                yield name, read()


def _read_file(path: Path) -> bytes:
    if not path.is_file():
        raise ValueError(f"{path.name} is no regular file")
    _check_bytes(path.name, path.stat().st_size)
    return path.read_bytes()


def _read_member(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    _check_bytes(entry.name, entry.size)
    file = archive.extractfile(entry)
    return file.read() if file is not None else b""


def _check_bytes(name: str, num_bytes: int) -> None:
    if num_bytes > MAX_BATCH_BYTES:
        raise ValueError(f"{name!r} has {num_bytes:,} bytes, and a batch of CIFAR-10 has 31 million")


def _read_class_names(content: bytes, file_name: str) -> tuple[str, ...]:
    with _sound(file_name):
        if file_name.endswith(".txt"):
            names = content[:MAX_NAMES_BYTES].decode().split()
        else:
            names = [_text(name) for name in load_numbers(content)[b"label_names"]]
        if len(names) != NUM_CLASSES or len(set(names)) != NUM_CLASSES:
            raise ValueError(f"expected {NUM_CLASSES} names of classes, found {len(names)}")
        return tuple(names)


def _read_batch(content: bytes, file_name: str) -> Batch:
    with _sound(file_name):
        if file_name.endswith(".bin"):
            if not content or len(content) % (IMAGE_BYTES + 1):
                raise ValueError(f"{len(content):,} bytes are no multiple of {IMAGE_BYTES + 1:,}")
            rows = np.frombuffer(content, dtype=np.uint8).reshape(-1, IMAGE_BYTES + 1)
            labels, pixels = rows[:, 0].astype(np.int64), rows[:, 1:]
        else:
            batch = load_numbers(content)
            pixels, labels = batch[b"data"], _labels(batch[b"labels"])
        if pixels.dtype != np.uint8 or pixels.shape != (len(labels), IMAGE_BYTES):
            raise ValueError(f"pixels of {pixels.dtype} {pixels.shape} do not fit {len(labels)} labels")
        if len(labels) and not 0 <= labels.min() <= labels.max() < NUM_CLASSES:
            raise ValueError(f"labels from {labels.min()} to {labels.max()} for {NUM_CLASSES} classes")
        planes = pixels.reshape(-1, 3, RESOLUTION, RESOLUTION)
        return np.ascontiguousarray(planes.transpose(0, 2, 3, 1)), labels


@contextmanager
def _sound(file_name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a hostile or damaged pickle may raise anything at all
        raise DataError(
            f"{file_name} is no batch of CIFAR-10: {str(error) or type(error).__name__}"
        ) from error


def _text(name: object) -> str:
    text = name.decode() if isinstance(name, bytes) else name
    if not isinstance(text, str) or not text.isprintable():
        raise ValueError(f"the name of a class must be printable text, got {type(name).__name__}")
    return text


def _labels(found: object) -> NDArray[np.int64]:
    """Labels as an array; nested lists, which would multiply when they are spread out, are none."""
    if not isinstance(found, list) or not all(type(label) is int for label in found):
        raise ValueError("the labels must be a list of whole numbers")
    return np.asarray(found, dtype=np.int64)


def _encode(text: str, encoding: str) -> bytes:
    """Bytes as Python 3 writes them in an old pickle."""
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"encoding {encoding!r} is not allowed")
    return text.encode("latin-1")


def _bytes(content: object = b"") -> bytes:
    """Bytes of bytes or of a list; of a number they would be as many zeros."""
    if not isinstance(content, bytes | list | tuple):
        raise pickle.UnpicklingError("bytes of a number are not allowed")
    return bytes(content)


_ALLOWED: Mapping[tuple[str, str], object] = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "bytes"): _bytes,
    ("builtins", "bytes"): _bytes,
}


class NumbersUnpickler(pickle._Unpickler):
    """An unpickler that can make numpy arrays, bytes and plain containers, and calls nothing else.

    It is pickle's own in Python: the one in C keeps what it has read in a table as long as the largest number in the
    file says, which may be gigabytes.
    """

    def find_class(self, module: str, name: str) -> object:
        """The few constructors that CIFAR-10 needs; `pickle.UnpicklingError` for all others."""
        try:
            return _ALLOWED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a batch of numbers") from None


def load_numbers(content: bytes) -> Any:  # Any: what the pickle holds is checked by the caller
    """What a pickle of numpy arrays, bytes, numbers and containers holds.

    Raises:
        pickle.UnpicklingError: It asks for anything else.
    """
    return NumbersUnpickler(io.BytesIO(content), encoding="bytes").load()
