"""In which order do decoded images lie, and what do they come to?

Rows are decoded in the listing's order and then arranged by split, so that each split is one slice of the file.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import stat
import tokenize
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effsearch.space.errors import RunError
from effsearch.space.strict_json import parse_json

CACHE_VERSION = 1
ROWS_AT_ONCE = 4096
MAX_META_BYTES = 1 << 26
DAMAGE_ERRORS = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, EOFError, zipfile.BadZipFile),
    *(
        SyntaxError,
        tokenize.TokenError,
        RecursionError,
        MemoryError,
        OverflowError,
    ),  # a header that is no header
)
"""What reading a damaged folder raises."""
_SOUND_ERRORS = {errno.EACCES, errno.EPERM, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


def read_rows(folder: Path) -> dict[str, NDArray[np.int64] | NDArray[np.uint8]]:
    """What `rows.npz` says of each row: `labels`, `digests` and `places` in the listing.

    Raises:
        One of `DAMAGE_ERRORS`: The file is gone or damaged.
    """
    path = folder / "rows.npz"
    with zipfile.ZipFile(path) as packed:
        if (
            sum(entry.file_size for entry in packed.infolist()) > path.stat().st_size
        ):  # written without compression
            raise ValueError("rows.npz unpacks to more than it has")
    with path.open("rb") as file, np.load(file, allow_pickle=False) as rows:
        return {name: rows[name] for name in ("labels", "digests", "places")}


def read_meta(folder: Path) -> dict[str, Any]:
    """What `meta.json` says.

    Raises:
        One of `DAMAGE_ERRORS`: The file is gone or damaged.
    """
    path = folder / "meta.json"
    if not path.is_file() or path.stat().st_size > MAX_META_BYTES:
        raise ValueError("meta.json is no file of a sensible size")
    meta = parse_json(path.read_bytes())
    if not isinstance(meta, dict):
        raise ValueError("meta.json must hold an object")
    return meta


def require_own(folder: Path) -> None:
    """Refuse decoded images that any user of the machine could have put there or changed.

    Raises:
        RunError: Anybody may write into the folder or its files.
    """
    for path in (folder, *folder.iterdir()):
        if path.stat().st_mode & stat.S_IWOTH:
            raise RunError(
                f"anybody may write {path}, so the images in it may be anybody's: chmod -R o-w that folder if you "
                "trust what is there, or set EFFSEARCH_CACHE to a folder of your own"
            )


def require_damage(folder: Path, error: BaseException) -> None:
    """Refuse to call a folder damaged that may be sound, and only cannot be read: it must not be replaced.

    Args:
        folder: Of decoded images.
        error: What reading it has raised.

    Raises:
        RunError: A right is missing, memory, or a free file descriptor.
    """
    if isinstance(error, OSError) and error.errno in _SOUND_ERRORS:
        raise RunError(f"cannot read {error.filename or folder}: {os.strerror(error.errno)}") from None


def unreadable_places(folder: Path) -> tuple[int, ...]:
    """Give the places in the listing of the images that could not be read.

    Raises:
        One of `DAMAGE_ERRORS`: The file is gone or damaged.
    """
    places = read_meta(folder).get("unreadable", [])
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
