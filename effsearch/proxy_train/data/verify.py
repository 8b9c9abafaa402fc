"""Are decoded images still what they were when they were decoded?

`rows.npz` has a hash of each image's pixels, and `meta.json` the fingerprint of these hashes, labels and splits,
which every score stands beside. So a flipped bit shows. A driver looks once, its workers believe it: for
CIFAR-10's 60,000 images that is .32 core-seconds, and reading 184 MB (benchmarks/robustness/verify_cache.py).
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from effsearch.proxy_train.data.decode import DIGEST_BYTES
from effsearch.proxy_train.data.listing import Report, no_report
from effsearch.proxy_train.data.rows import (
    DAMAGE_ERRORS,
    fingerprint_of,
    read_meta,
    read_rows,
    require_damage,
)

META_SUM = "sha256"  # in meta.json, of all else there; caches of earlier versions have none
FILES = ("images.npy", "rows.npz", "meta.json")
MANY_BYTES = 2e9  # some 4 core-seconds, and minutes from a slow disk
_SOUND: set[tuple[object, ...]] = set()  # files that this process has looked at


def meta_sum(meta: dict[str, Any]) -> str:
    """Give the hexadecimal SHA-256 of what `meta.json` says."""
    rest = {name: value for name, value in meta.items() if name != META_SUM}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def find_changes(folder: Path, report: Report = no_report) -> str:
    """Say in what way a folder of decoded images is not as it was written; "" where it is.

    The same files are looked at once in each process; of many bytes it is reported that they are.

    Raises:
        RunError: They cannot be read, which says nothing of what they hold.
    """
    try:
        files = tuple((folder / name).stat() for name in FILES)
        key = (folder, *((file.st_ino, file.st_size, file.st_mtime_ns) for file in files))
        if key in _SOUND:
            return ""
        if files[0].st_size >= MANY_BYTES:
            report(
                f"comparing {files[0].st_size / 1e9:,.1f} GB of decoded images with their hashes: {folder}"
            )
        changes = _compare(folder)
    except DAMAGE_ERRORS as error:
        require_damage(folder, error)
        return str(error) or type(error).__name__
    if not changes:
        _SOUND.add(key)
    return changes


def _compare(folder: Path) -> str:
    """Say the same, whatever this process has seen.

    Raises:
        One of `DAMAGE_ERRORS`: A file is gone or no such file.
    """
    meta, rows = read_meta(folder), read_rows(folder)
    if META_SUM in meta and meta[META_SUM] != meta_sum(meta):
        return "meta.json is not as it was written"
    labels, digests = rows["labels"].astype(np.int64), rows["digests"].astype(np.uint8)
    names = tuple(meta["class_names"])
    if fingerprint_of(names, meta["resolution"], meta["counts"], labels, digests) != meta["fingerprint"]:
        return "its labels or hashes are not those of its fingerprint"
    images = np.load(folder / "images.npy", mmap_mode="r", allow_pickle=False)
    if len(images) != len(digests):
        raise ValueError(f"{len(images)} images and {len(digests)} hashes")
    num_changed = sum(
        _is_changed(pixels.tobytes(), known) for pixels, known in zip(images, digests, strict=True)
    )
    return f"{num_changed:,} of {len(images):,} images are not as they were decoded" if num_changed else ""


def _is_changed(pixels: bytes, known: np.ndarray[Any, np.dtype[np.uint8]]) -> bool:
    if not known.any():  # could not be decoded, and is in no split
        return False
    return hashlib.blake2b(pixels, digest_size=DIGEST_BYTES).digest() != known.tobytes()
