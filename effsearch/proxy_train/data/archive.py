"""Which images are packed in an archive, and how are they read without unpacking it to disk?"""

from __future__ import annotations

import os
import stat
import tarfile
import unicodedata
import zipfile
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
MAX_HEADER_BYTES = 1 << 20  # of a tar's names and attributes, which are read into the memory
MAX_MEMBERS = 4_000_000
MAX_RATIO = 200  # bytes of all members for each of the archive; images hardly shrink
FREE_BYTES = 1 << 30  # that may be unpacked whatever the ratio
MAX_ZIP_LIST_BYTES = 1 << 28  # some two million members
_MOST_END_BYTES = 22 + 65_535  # of the last record of a zip, with its comment


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
    except DataError:
        raise
    except PermissionError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except Exception as error:  # a hostile archive may have its reader raise anything
        raise DataError(
            f"{path} is no archive that can be read (tar, gzip, bzip2, xz, zip): {str(error) or type(error).__name__}"
        ) from error


class BoundedHeader(tarfile.TarInfo):
    """A member of a tar whose names and attributes are no longer than names can be."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        if self.size < 0 or (self.type in _HEADER_TYPES and self.size > MAX_HEADER_BYTES):
            raise tarfile.ReadError(f"a header of {self.size:,} bytes is too long")
        return super()._proc_member(archive)  # type: ignore[misc, no-any-return]  # tarfile's own, not in its stub


_HEADER_TYPES = (
    *(tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE),
    *(tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK),
)


def tar_entries(path: Path) -> Iterator[tuple[tarfile.TarFile, tarfile.TarInfo]]:
    """Members of a tar as they come, none kept, as long as there are not too many and they are not too large.

    Raises:
        DataError: There are, or they are.
        Exception: Whatever `tarfile` and the unpackers raise at a damaged file; see `readable`.
    """
    bound = UnpackBound(path)
    with tarfile.open(path, "r|*", tarinfo=BoundedHeader) as archive:
        while (entry := archive.next()) is not None:
            archive.members.clear()  # type: ignore[attr-defined]  # kept for random access, a kilobyte each
            if entry.size < 0:
                raise tarfile.ReadError(f"{entry.name!r} has less than no bytes")
            bound.take(entry.size)
            yield archive, entry


class UnpackBound:
    """How much of an archive may still be unpacked."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._num_members = 0
        self._num_bytes = 0
        self._most_bytes = max(FREE_BYTES, MAX_RATIO * path.stat().st_size)

    def take(self, num_bytes: int) -> None:
        """Count a member.

        Raises:
            DataError: There are too many, or too much is in them.
        """
        self._num_members += 1
        self._num_bytes += num_bytes
        if self._num_members > MAX_MEMBERS:
            raise DataError(
                f"{self._path} has more than {MAX_MEMBERS:,} members: unpack it and give the folder"
            )
        if self._num_bytes > self._most_bytes:
            raise DataError(
                f"{self._path} unpacks to more than {self._most_bytes:,} bytes, {MAX_RATIO} times what it has: no "
                "images shrink so far; if it is to be trusted, unpack it and give the folder"
            )


def is_zip(path: Path) -> bool:
    """Whether the file begins like a zip archive."""
    with path.open("rb") as file:
        return file.read(4) in (b"PK\x03\x04", b"PK\x05\x06")


def _tar_members(path: Path, want_content: bool) -> Iterator[Member]:
    for archive, entry in tar_entries(path):
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
    bound = UnpackBound(path)
    _check_zip_members(path)
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            bound.take(entry.file_size)
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


def _check_zip_members(path: Path) -> None:
    """Refuse a zip of too many members before its list is read into the memory.

    The list stands at the end, and each of its entries has 46 bytes and a name.
    """
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _MOST_END_BYTES))
        end = file.read(_MOST_END_BYTES)
    place = end.rfind(b"PK\x05\x06")
    if place < 0 or len(end) < place + 22:
        raise zipfile.BadZipFile("it has no list of its members")
    num_list_bytes = int.from_bytes(end[place + 12 : place + 16], "little")
    if num_list_bytes == 0xFFFFFFFF:  # said elsewhere, in a zip of over 4 GiB or of nobody's
        record = end[max(0, place - 76) : place]  # zip64's own last record, and where it stands
        num_list_bytes = int.from_bytes(record[40:48], "little")
    if min(num_list_bytes, size) > MAX_ZIP_LIST_BYTES:
        raise DataError(
            f"{path} lists its members in {num_list_bytes:,} bytes: unpack it and give the folder"
        )


def _checked_path(name: str, archive: Path) -> str:
    """The member's path without `./` and closing slash."""
    parts = name.split("/")
    if name.startswith("/") or ".." in parts:
        raise DataError(f"{archive}: member {name!r} points outside the archive")
    if any(unicodedata.category(one) == "Cc" for one in name):
        raise DataError(f"{archive}: member {name!r} has characters in its name that no name has")
    return "/".join(part for part in parts if part not in ("", "."))


def _is_passed_over(name: str, is_folder: bool) -> bool:
    return not name or is_hidden(name) or not (is_folder or is_image(name))


def _check_size(name: str, num_bytes: int, archive: Path) -> None:
    if num_bytes > MAX_IMAGE_BYTES:
        raise DataError(
            f"{archive}: {name} has {num_bytes:,} bytes, more than an image may ({MAX_IMAGE_BYTES:,})"
        )
