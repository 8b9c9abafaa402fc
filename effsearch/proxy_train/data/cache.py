"""Where do decoded images stay, so that no image is decoded twice?

    <cache>/images/<source>-<identity>/native.json       the originals' own size
    <cache>/images/<source>-<identity>/32px-seed0/       or 32px, where the source has all three splits
        images.npy      uint8 (num_images, 32, 32, 3): train, then val, then test, then those left out
        rows.npz        labels, digests and place in the listing of each row
        meta.json       counts, fingerprint, channel statistics

A folder is written under another name and renamed when whole, so one that is there is complete. Another seed
draws other splits; its folder is made from a neighbour's pixels.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effsearch.proxy_train.data.decode import DIGEST_BYTES, decode_images, usable_cores
from effsearch.proxy_train.data.images import DECODER_VERSION
from effsearch.proxy_train.data.listing import ImageListing, Progress, Report, Source
from effsearch.proxy_train.data.neighbour import copy_neighbour
from effsearch.proxy_train.data.rows import (
    CACHE_VERSION,
    channel_statistics,
    fingerprint_of,
    permute_rows,
)
from effsearch.proxy_train.data.splits import LEFT_OUT, TEST, TRAIN, VAL, SplitAssignment, assign_splits
from effsearch.proxy_train.data.verify import META_SUM, meta_sum
from effsearch.space.errors import RunError

LOCK_FILE = "building.lock"
ABANDONED_SECONDS = 24 * 3600.0  # a build untouched for so long was killed


def default_cache_dir() -> Path:
    """`$EFFSEARCH_CACHE`, or `~/.cache/effsearch`.

    Raises:
        RunError: There is no home directory, as of users that a container has no name for.
    """
    named = os.environ.get("EFFSEARCH_CACHE")
    try:
        return Path(named).expanduser() if named else Path.home() / ".cache" / "effsearch"
    except RuntimeError:
        raise RunError(
            f"there is no home directory for the image cache{f' {named}' if named else ''}; set EFFSEARCH_CACHE to a "
            "folder of your own"
        ) from None


def source_folder(cache_dir: Path, source: Source) -> Path:
    """Where all that is known of one source is kept."""
    slug = re.sub(r"[^A-Za-z0-9]+", "-", source.name).strip("-")[:40] or "images"
    key = hashlib.sha256(f"{source.identity} {DECODER_VERSION} {CACHE_VERSION}".encode()).hexdigest()
    return cache_dir / "images" / f"{slug}-{key[:16]}"


def read_native_resolution(folder: Path) -> int:
    """The median short side of the originals in pixels; 0 where it has not been measured yet."""
    try:
        return int(json.loads((folder / "native.json").read_text())["native_resolution"])
    except (OSError, ValueError, KeyError):
        return 0


def write_native_resolution(folder: Path, native_resolution: int) -> None:
    """Keep the median short side of the originals.

    Raises:
        RunError: The cache cannot be written.
    """
    with run_error_if_unwritable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".native.{uuid.uuid4().hex}"
        temporary.write_text(json.dumps({"native_resolution": native_resolution}))
        temporary.replace(folder / "native.json")


def build_cache(
    source: Source,
    listing: ImageListing,
    *,
    folder: Path,
    resolution: int,
    seed: int,
    native_resolution: int,
    report: Report,
    progress: Progress,
    replaces_damaged: bool = False,
) -> None:
    """Decode a source, assign its splits and leave all of it in a folder.

    Where another process makes the same folder first, its folder stands, unless it is to be replaced: whoever has
    that one open keeps what it has.

    Raises:
        DataError: Images cannot be read or do not suffice for three splits.
        RunError: The disk is too small, or the cache cannot be written.
    """
    with run_error_if_unwritable(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder.parent)
    num_images = len(listing.images)
    num_bytes = num_images * (resolution * resolution * 3 + DIGEST_BYTES + 16)
    check_free_space(folder.parent, num_bytes)
    temporary, damaged = (folder.parent / f".{folder.name}.{uuid.uuid4().hex}.part" for _ in range(2))
    try:
        with run_error_if_unwritable(folder):
            temporary.mkdir()
            images = _create_images(temporary / "images.npy", (num_images, resolution, resolution, 3))
        digests = np.zeros((num_images, DIGEST_BYTES), dtype=np.uint8)
        unreadable = copy_neighbour(folder, images, digests)
        if unreadable is None:
            task = "rendering" if source.is_rendered else "decoding"
            report(f"{task} {num_images:,} images at {resolution} px: {num_bytes / 1e6:,.0f} MB in {folder}")
            unreadable = decode_images(
                source.read(listing, resolution),
                listing,
                images=images,
                digests=digests,
                where=source.name,
                num_threads=usable_cores(),
                progress=progress,
            )
        splits = assign_splits(listing, digests, seed=seed, where=source.name, unreadable=unreadable)
        order = np.argsort(splits.codes, kind="stable")
        permute_rows(images, order)
        labels = np.array([image.label for image in listing.images], dtype=np.int64)[order]
        with run_error_if_unwritable(folder):
            images.flush()
            np.savez(temporary / "rows.npz", labels=labels, digests=digests[order], places=order)
            meta = _describe(listing, splits, images, labels, digests[order])
            meta |= {"name": source.name, "seed": seed, "native_resolution": native_resolution}
            meta |= {"unreadable": list(unreadable)} if unreadable else {}
            meta[META_SUM] = meta_sum(meta)
            (temporary / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")
            del images
            if replaces_damaged:
                with suppress(FileNotFoundError):
                    folder.rename(damaged)
            publish_folder(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(damaged, ignore_errors=True)


@contextmanager
def one_builder(folder: Path, report: Report) -> Iterator[None]:
    """Waits until no other process of this machine builds what is known of a source, and keeps others waiting.

    What a builder that was killed has left is deleted: whoever waits here is the only one. A file system without
    locks has each process build by itself, and the first one's folder stands.

    Args:
        folder: Of the source.
        report: Is told, once, where there is somebody to wait for.

    Raises:
        RunError: The cache cannot be written.
    """
    with run_error_if_unwritable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK_FILE).open("ab")
    with lock:
        is_alone = True
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"another process is preparing these images in {folder}; waiting for it")
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            is_alone = False
        if is_alone:
            for part in [*folder.glob(".*.part"), *folder.glob(".native.*")]:
                shutil.rmtree(part, ignore_errors=True) if part.is_dir() else part.unlink(missing_ok=True)
        yield


def check_free_space(folder: Path, num_bytes: int) -> None:
    """Refuse to begin what the disk cannot hold.

    Raises:
        RunError: Fewer bytes are free than are needed.
    """
    free = shutil.disk_usage(folder).free
    if free < num_bytes:
        raise RunError(
            f"the decoded images need {num_bytes / 1e6:,.0f} MB and {folder} has {free / 1e6:,.0f} MB free; "
            "make room, lower --resolution, or set EFFSEARCH_CACHE to a folder on another disk"
        )


def _describe(
    listing: ImageListing,
    splits: SplitAssignment,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    digests: NDArray[np.uint8],
) -> dict[str, Any]:  # Any: what JSON holds
    sides = {"train": TRAIN, "val": VAL, "test": TEST, "left_out": LEFT_OUT}
    counts = {name: int(np.count_nonzero(splits.codes == code)) for name, code in sides.items()}
    mean, deviation = channel_statistics(images[: counts["train"]])
    resolution = int(images.shape[1])
    return {
        "cache_version": CACHE_VERSION,
        "decoder_version": DECODER_VERSION,
        "class_names": list(listing.class_names),
        "resolution": resolution,
        "counts": counts,
        "fingerprint": fingerprint_of(listing.class_names, resolution, counts, labels, digests),
        "channel_mean": mean,
        "channel_std": deviation,
    }


def _create_images(path: Path, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[np.uint8]]:
    """A new memory-mapped array whose disk space is claimed, so that no write to it can fail later."""
    images: np.memmap[Any, np.dtype[np.uint8]] = np.lib.format.open_memmap(
        path, mode="w+", dtype=np.uint8, shape=shape
    )
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    return images


def publish_folder(temporary: Path, folder: Path) -> None:
    """Flush the files to disk and give their folder its name, unless another process was first."""
    for path in temporary.iterdir():
        with path.open("r+b") as file:
            os.fsync(file.fileno())
    try:
        temporary.rename(folder)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise


def remove_abandoned(folder: Path) -> None:
    """Delete what builds in a folder left that were killed long ago."""
    for part in folder.glob(".*.part"):
        if time.time() - part.stat().st_mtime > ABANDONED_SECONDS:
            shutil.rmtree(part, ignore_errors=True)


@contextmanager
def run_error_if_unwritable(folder: Path) -> Iterator[None]:
    """Turns what a full or protected disk raises into one `RunError`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise RunError(
            f"cannot write the image cache {folder}: {reason}; set EFFSEARCH_CACHE elsewhere"
        ) from error
