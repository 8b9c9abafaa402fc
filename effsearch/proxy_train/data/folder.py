"""Which images lie in a folder on disk?"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

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


def open_folder(root: Path) -> Source:
    """The source of an image folder, `root/<class>/...` or `root/train/<class>/...` with its splits.

    Known by each file's relative path, size and modification time: a moved folder stays the same source.
    Links are followed; hidden files and files that do not end like an image are passed over.

    Raises:
        DataError: The folder cannot be read, or its layout does not hold (`layout.list_classes`).
    """
    files, folders = find_files(root)
    listing = list_classes(files, folders, where=str(root))

    def scan(measure: bool) -> ImageListing:
        if not measure:
            return listing
        short_sides = [measure_short_side(root / image.path) for image in listing.images]
        return replace(listing, native_resolution=median_short_side(short_sides))

    def read(listing: ImageListing, resolution: int) -> Iterator[tuple[int, Payload]]:
        for index, image in enumerate(listing.images):
            yield index, root / image.path

    return Source(
        name=root.resolve().name, identity=identity_of("files", listing.images), scan=scan, read=read
    )


def find_files(root: Path) -> tuple[list[FoundFile], list[str]]:
    """The image files below a folder and all its folders, hidden ones left out, sorted by path.

    Raises:
        DataError: A folder or a file cannot be read.
    """
    files: list[FoundFile] = []
    folders: list[str] = []
    entered: set[tuple[int, int]] = set()  # a link may lead back to a folder above

    def visit(folder: Path, prefix: str) -> None:
        status = folder.stat()
        if (status.st_dev, status.st_ino) in entered:
            return
        entered.add((status.st_dev, status.st_ino))
        with os.scandir(folder) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                path = prefix + entry.name
                if is_hidden(entry.name):
                    continue
                if entry.is_dir():
                    folders.append(path)
                    visit(Path(entry.path), path + "/")
                elif is_image(path):
                    status = entry.stat()
                    files.append(FoundFile(path, status.st_size, status.st_mtime_ns))

    try:
        visit(root, "")
    except OSError as error:
        raise DataError(f"cannot read {error.filename or root}: {error.strerror}") from error
    return files, folders
