"""Which images are packed in an archive, and how are they read without unpacking it to disk?"""

from __future__ import annotations

import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from effsearch.proxy_train.data.images import measure_short_side
from effsearch.proxy_train.data.layout import is_hidden, is_image, list_classes
from effsearch.proxy_train.data.listing import (
    FoundFile,
    ImageListing,
    Payload,
    Source,
    identity_of,
    median_short_side,
)
from effsearch.space.errors import DataError

MAX_IMAGE_BYTES = 1 << 28  # an encoded image above this is no image but an attack on the memory

ARCHIVE_ERRORS = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # an encrypted zip
    NotImplementedError,  # a zip packed in a way that Python cannot unpack
    ValueError,
)
"""What a damaged or unusual archive raises."""


class Member(NamedTuple):
    """A file or a folder inside an archive; `content` is empty unless it was asked for."""

    path: str
    is_folder: bool
    num_bytes: int
    mtime_ns: int
    content: bytes


def open_archive(path: Path) -> Source:
    """The source of an image folder packed as tar (plain, gzip, bzip2 or xz) or zip.

    Known by the archive's own name, size and modification time. Links, hidden files, `__MACOSX` and files
    that do not end like an image are passed over. Scanning and reading each go once through the archive.

    Raises:
        DataError: By `scan` and `read`: the archive is damaged, a member would leave it, two members share a
            path, or the layout does not hold (`layout.list_classes`).
    """
    status = path.stat()

    def scan(measure: bool) -> ImageListing:
        files: dict[str, FoundFile] = {}
        folders: list[str] = []
        short_sides: list[int] = []
        for member in iterate_members(path, want_content=measure):
            if member.is_folder:
                folders.append(member.path)
                continue
            if member.path in files:
                raise DataError(f"{path}: {member.path} is packed twice")
            files[member.path] = FoundFile(member.path, member.num_bytes, member.mtime_ns)
            if measure:
                short_sides.append(measure_short_side(member.content))
        listing = list_classes(list(files.values()), folders, where=str(path))
        return replace(listing, native_resolution=median_short_side(short_sides))

    def read(listing: ImageListing, resolution: int) -> Iterator[tuple[int, Payload]]:
        index_of = {image.path: index for index, image in enumerate(listing.images)}
        for member in iterate_members(path, want_content=True):
            if member.path in index_of:
                yield index_of.pop(member.path), member.content
        if index_of:
            raise DataError(f"{path} changed while it was read: {next(iter(index_of))} is gone")

    return Source(
        name=path.name.split(".")[0],
        identity=identity_of("archive", path.name, status.st_size, status.st_mtime_ns),
        scan=scan,
        read=read,
    )


def iterate_members(path: Path, *, want_content: bool) -> Iterator[Member]:
    """Folders and image files of an archive in its own order, hidden ones and links left out.

    Raises:
        DataError: The archive is damaged, or a member's path is absolute or climbs with `..`.
    """
    with readable(path):
        yield from _zip_members(path, want_content) if is_zip(path) else _tar_members(path, want_content)


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns what a damaged archive raises into one `DataError`."""
    try:
        yield
    except ARCHIVE_ERRORS as error:
        raise DataError(
            f"{path} is no archive that can be read (tar, gzip, bzip2, xz, zip): {error}"
        ) from error


def is_zip(path: Path) -> bool:
    """Whether the file begins like a zip archive."""
    with path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def _tar_members(path: Path, want_content: bool) -> Iterator[Member]:
    with tarfile.open(path, "r|*") as archive:
        for entry in archive:
            name = _checked_path(entry.name, path)
            if not (entry.isdir() or entry.isreg()) or _is_passed_over(name, entry.isdir()):
                continue
            content = b""
            if want_content and entry.isreg():
                _check_size(name, entry.size, path)
                file = archive.extractfile(entry)
                content = file.read() if file is not None else b""
            yield Member(name, entry.isdir(), entry.size, int(entry.mtime * 10**9), content)


def _zip_members(path: Path, want_content: bool) -> Iterator[Member]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = _checked_path(entry.filename, path)
            is_link = stat.S_ISLNK(entry.external_attr >> 16)
            if is_link or _is_passed_over(name, entry.is_dir()):
                continue
            content = b""
            if want_content and not entry.is_dir():
                _check_size(name, entry.file_size, path)
                content = archive.read(entry)
            # A zip tells the time without a zone and to two seconds, so it is left out: CRC-32 says more.
            yield Member(name, entry.is_dir(), entry.file_size, entry.CRC, content)


def _checked_path(name: str, archive: Path) -> str:
    """The member's path without `./` and closing slash."""
    parts = name.split("/")
    if name.startswith("/") or ".." in parts:
        raise DataError(f"{archive}: member {name!r} points outside the archive")
    return "/".join(part for part in parts if part not in ("", "."))


def _is_passed_over(name: str, is_folder: bool) -> bool:
    return not name or is_hidden(name) or not (is_folder or is_image(name))


def _check_size(name: str, num_bytes: int, archive: Path) -> None:
    if num_bytes > MAX_IMAGE_BYTES:
        raise DataError(
            f"{archive}: {name} has {num_bytes:,} bytes, more than an image may ({MAX_IMAGE_BYTES:,})"
        )
