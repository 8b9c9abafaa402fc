"""In which order do decoded images lie, and what do they come to?

Rows are decoded in the listing's order and then arranged by split, so that each split is one slice of the file.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CACHE_VERSION = 1
ROWS_AT_ONCE = 4096
DAMAGE_ERRORS = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)
"""What reading a damaged folder raises."""


def read_rows(folder: Path) -> dict[str, NDArray[np.int64] | NDArray[np.uint8]]:
    """What `rows.npz` says of each row: `labels`, `digests` and `places` in the listing.

    Raises:
        One of `DAMAGE_ERRORS`: The file is gone or damaged.
    """
    with (folder / "rows.npz").open("rb") as file, np.load(file) as rows:
        return {name: rows[name] for name in ("labels", "digests", "places")}


def copy_neighbour(
    folder: Path, images: NDArray[np.uint8], digests: NDArray[np.uint8]
) -> tuple[int, ...] | None:
    """Copy what a finished folder of another seed has of the same images, in the listing's order.

    Returns:
        Places of images that cannot be read; None where there is no such folder.

    Args:
        folder: The folder to be made, such as `32px-seed1`.
        images: To fill: (num_images, resolution, resolution, 3).
        digests: To fill: (num_images, digest bytes).
    """
    for neighbour in sorted(folder.parent.glob(folder.name.split("-")[0] + "-*")):
        try:
            decoded = np.load(neighbour / "images.npy", mmap_mode="r")
            rows = read_rows(neighbour)
            unreadable_places(neighbour)
        except DAMAGE_ERRORS:
            continue  # it will be complained of when it is asked for
        places = rows["places"]
        if decoded.shape != images.shape or not len(places) == len(rows["digests"]) == len(images):
            continue
        digests[places] = rows["digests"]
        for start in range(0, len(places), ROWS_AT_ONCE):
            images[places[start : start + ROWS_AT_ONCE]] = decoded[start : start + ROWS_AT_ONCE]
        return unreadable_places(neighbour)
    return None


def unreadable_places(folder: Path) -> tuple[int, ...]:
    """Give the places in the listing of the images that could not be read.

    Raises:
        One of `DAMAGE_ERRORS`: The file is gone or damaged.
    """
    places = json.loads((folder / "meta.json").read_text()).get("unreadable", [])
    return tuple(int(place) for place in places)


def permute_rows(array: NDArray[np.uint8], order: NDArray[np.intp]) -> None:
    """Reorder in place, `array[i]` becoming the former `array[order[i]]`, with one row held in memory."""
    source_of = order.tolist()
    done = bytearray(len(source_of))
    for start in range(len(source_of)):
        if done[start] or source_of[start] == start:
            continue
        held = array[start].copy()
        place = start
        while (origin := source_of[place]) != start:
            array[place] = array[origin]
            done[place] = 1
            place = origin
        array[place] = held
        done[place] = 1


def fingerprint_of(
    class_names: tuple[str, ...],
    resolution: int,
    counts: dict[str, int],
    labels: NDArray[np.int64],
    digests: NDArray[np.uint8],
) -> str:
    """Hexadecimal sha256 of what a score can depend on: classes, size, splits, labels and pixels."""
    num_used = counts["train"] + counts["val"] + counts["test"]
    head = [CACHE_VERSION, list(class_names), resolution, counts["train"], counts["val"], counts["test"]]
    digest = hashlib.sha256(json.dumps(head).encode())
    digest.update(labels[:num_used].astype("<i8").tobytes())
    digest.update(np.ascontiguousarray(digests[:num_used]).tobytes())
    return digest.hexdigest()


def channel_statistics(images: NDArray[np.uint8]) -> tuple[list[float], list[float]]:
    """Mean and deviation of red, green and blue over all pixels of all images, on the scale 0 to 1."""
    total, total_squares = np.zeros(3, dtype=np.uint64), np.zeros(3, dtype=np.uint64)
    for start in range(0, len(images), ROWS_AT_ONCE):
        pixels = images[start : start + ROWS_AT_ONCE].reshape(-1, 3)
        total += pixels.sum(axis=0, dtype=np.uint64)
        total_squares += np.square(pixels, dtype=np.uint16).sum(axis=0, dtype=np.uint64)
    num_pixels = images.size // 3
    mean = total / num_pixels
    variance = total_squares / num_pixels - mean**2
    return (mean / 255).tolist(), (np.sqrt(np.maximum(variance, 0)) / 255).tolist()
