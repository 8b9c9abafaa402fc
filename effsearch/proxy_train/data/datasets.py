"""What does a trainer get, whatever the images' source?"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effsearch.proxy_train.data.cache import (
    build_cache,
    one_builder,
    read_native_resolution,
    source_folder,
    write_native_resolution,
)
from effsearch.proxy_train.data.listing import Progress, Report, Source, no_progress, no_report
from effsearch.proxy_train.data.rows import DAMAGE_ERRORS, read_meta, read_rows, require_damage, require_own
from effsearch.proxy_train.data.sources import open_source
from effsearch.proxy_train.data.splits import check_classes, lacks_splits
from effsearch.proxy_train.data.verify import find_changes
from effsearch.space.errors import DataError, EffsearchError, RunError

MAX_DEFAULT_RESOLUTION = 64  # what a CPU can train in minutes


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """Images with their labels; both are read-only, and the images stay on disk until they are indexed.

    A split is equal to itself alone, so that what is made of it can be kept by it.
    """

    images: NDArray[np.uint8]  # (num_images, resolution, resolution, 3), red, green, blue
    labels: NDArray[np.int64]  # (num_images,), places in the class names

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageData:
    """One data set, decoded at one size and split in three.

    Pickling one sends the path of its cache, not its images: a worker on the same machine maps the same file.
    """

    train: Split
    val: Split
    test: Split  # for the final report alone
    class_names: tuple[str, ...]
    resolution: int  # pixels
    fingerprint: str  # hexadecimal sha256 of classes, resolution, splits, labels and pixels
    name: str
    native_resolution: int  # median short side of the originals in pixels
    channel_mean: tuple[float, float, float]  # of train, scale 0 to 1
    channel_std: tuple[float, float, float]
    num_left_out: int  # images of train or val with the pixels of one of val or test, and unreadable ones
    handle: Path  # where `open_images` finds all of this again
    num_unreadable: int = 0  # images that could not be decoded, at most one in a hundred

    @property
    def num_classes(self) -> int:
        """How many classes there are."""
        return len(self.class_names)

    @property
    def chance_accuracy(self) -> float:
        """What always naming the commonest class scores on the validation images."""
        return float(np.bincount(self.val.labels).max() / len(self.val))

    @property
    def learned_from(self) -> float:
        """The accuracy above which something was learned: two deviations better than chance."""
        chance = self.chance_accuracy
        return chance + 2 * float(np.sqrt(chance * (1 - chance) / len(self.val)))

    def __reduce__(self) -> tuple[Callable[[Path], ImageData], tuple[Path]]:
        return open_images, (self.handle,)


def load_images(
    data: str,
    *,
    resolution: int | None,
    cache_dir: Path,
    seed: int = 0,
    report: Report = no_report,
    progress: Progress = no_progress,
) -> ImageData:
    """The images that a name or a path stands for, decoded now or taken from the cache.

    Args:
        data: "synthetic", "cifar10", or the path of an image folder, of an archive of one, or of CIFAR-10.
        resolution: Pixels, 8 to 1024 (synthetic: 16 to 256); None for the images' own size (median
            short side), but at most 64, and for 32 where they are rendered.
        cache_dir: Where downloads and decoded images are kept.
        seed: Of the splits that are drawn.
        report: Called with a line when images are decoded, and when some are left out.
        progress: Called with ("download", bytes, all) and ("decode", images, all).

    Raises:
        DataError: There are no such images, or they cannot be used as they are.
        RunError: The download failed, or the disk is too small or protected.
    """
    source = open_source(data, cache_dir=cache_dir, progress=progress)
    return load_source(
        source, resolution=resolution, cache_dir=cache_dir, seed=seed, report=report, progress=progress
    )


def load_source(
    source: Source,
    *,
    resolution: int | None,
    cache_dir: Path,
    seed: int = 0,
    report: Report = no_report,
    progress: Progress = no_progress,
) -> ImageData:
    """The images of an opened source; see `load_images`."""
    folder = source_folder(cache_dir, source)
    handle = _find(source, folder, resolution, seed)
    damage = "" if handle is None else _damage(handle, report)
    if handle is None or damage:
        try:
            handle = _build(source, folder, resolution, seed, report, progress)
        except EffsearchError as error:
            if not damage:
                raise
            raise type(error)(
                f"the decoded images in {handle} are damaged ({damage}), and cannot be decoded anew: {error}"
            ) from error
    images = open_images(handle)
    if images.num_unreadable:
        report(f"{images.num_unreadable:,} images are passed over: they cannot be read")
    if num_identical := images.num_left_out - images.num_unreadable:
        report(f"{num_identical:,} training images are left out: val or test holds identical ones")
    return images


def _build(
    source: Source, folder: Path, resolution: int | None, seed: int, report: Report, progress: Progress
) -> Path:
    """Decode images that are not there, or are damaged, and give where they are.

    Raises:
        DataError: They cannot be read or used.
        RunError: The cache cannot be written.
    """
    measures = not source.is_rendered and not read_native_resolution(folder)
    listing = source.scan(measures)
    check_classes(listing, source.name)
    native_resolution = 0 if source.is_rendered else read_native_resolution(folder)
    if measures:
        native_resolution = listing.native_resolution or MAX_DEFAULT_RESOLUTION
    chosen = _choose(source, resolution, native_resolution)
    with one_builder(folder, report):
        handle = _find(source, folder, resolution, seed)  # somebody may have built it meanwhile
        damage = "" if handle is None else _damage(handle, report)
        if handle is not None and not damage:
            return handle
        if damage:
            report(f"the decoded images in {handle} are damaged ({damage}); they are decoded anew")
        whole, drawn = _places(folder, chosen, seed)
        handle = drawn if lacks_splits(listing) else whole
        build_cache(
            source,
            listing,
            folder=handle,
            resolution=chosen,
            seed=seed,
            native_resolution=native_resolution or chosen,
            report=report,
            progress=progress,
            replaces_damaged=bool(damage),
        )
        if not source.is_rendered:
            write_native_resolution(folder, native_resolution)
    return handle


def _damage(handle: Path, report: Report) -> str:
    """Say in what way decoded images are not what was decoded; "" where they are.

    Raises:
        RunError: They may be anybody's, or cannot be read.
    """
    if changes := find_changes(handle, report):
        require_own(handle)
        return changes
    try:
        open_images(handle)
    except RunError as error:
        if isinstance(error.__cause__, DAMAGE_ERRORS):
            return str(error.__cause__)
        raise
    return ""


def _find(source: Source, folder: Path, resolution: int | None, seed: int) -> Path | None:
    """Give where the images are, decoded by an earlier call; None where they are not."""
    native_resolution = 0 if source.is_rendered else read_native_resolution(folder)
    if not source.is_rendered and not native_resolution:
        return None
    chosen = _choose(source, resolution, native_resolution)
    return next((path for path in _places(folder, chosen, seed) if os.path.exists(path)), None)


def _choose(source: Source, resolution: int | None, native_resolution: int) -> int:
    """Give the size that images are decoded at.

    Raises:
        DataError: The source has none of that size.
    """
    chosen = resolution
    if chosen is None:
        chosen = source.default_resolution or min(native_resolution, MAX_DEFAULT_RESOLUTION)
    if not source.min_resolution <= chosen <= source.max_resolution:
        whose = "the images' own size" if resolution is None else "the resolution asked"
        raise DataError(
            f"{source.name}: the resolution must be from {source.min_resolution} to "
            f"{source.max_resolution} px, got {chosen} ({whose})"
        )
    return chosen


def _places(folder: Path, resolution: int, seed: int) -> tuple[Path, Path]:
    """Give the folders of images whose source has all splits, and of those whose splits are drawn."""
    return folder / f"{resolution}px", folder / f"{resolution}px-seed{seed}"


def open_images(handle: Path) -> ImageData:
    """The images that `load_images` left at a handle, mapped into memory and not read.

    Raises:
        RunError: The folder is gone or damaged, or cannot be read.
    """
    try:
        require_own(handle)
        meta = read_meta(handle)
        images = np.load(handle / "images.npy", mmap_mode="r", allow_pickle=False)
        labels = read_rows(handle)["labels"].astype(np.int64, copy=False)
        labels.flags.writeable = False
        counts = meta["counts"]
        ends = np.cumsum([0, counts["train"], counts["val"], counts["test"]]).tolist()
        if len(images) != len(labels) or len(labels) != ends[-1] + counts["left_out"]:
            raise ValueError(f"{len(images)} images and {len(labels)} labels")
        _check_arrays(images, labels, meta)
        train, val, test = (
            Split(images=images[start:end], labels=labels[start:end]) for start, end in pairwise(ends)
        )
        return ImageData(
            train=train,
            val=val,
            test=test,
            class_names=tuple(meta["class_names"]),
            resolution=meta["resolution"],
            fingerprint=meta["fingerprint"],
            name=meta["name"],
            native_resolution=meta["native_resolution"],
            channel_mean=tuple(meta["channel_mean"]),
            channel_std=tuple(meta["channel_std"]),
            num_left_out=counts["left_out"],
            num_unreadable=len(meta.get("unreadable", ())),
            handle=handle,
        )
    except DAMAGE_ERRORS as error:
        require_damage(handle, error)
        raise RunError(f"the decoded images in {handle} are damaged ({error}); delete that folder") from error


def _check_arrays(images: NDArray[np.uint8], labels: NDArray[np.int64], meta: Mapping[str, Any]) -> None:
    """Refuse arrays of another kind than `build_cache` leaves, and numbers that training would stumble over."""
    side = meta["resolution"]
    if images.dtype != np.uint8 or images.shape[1:] != (side, side, 3) or labels.ndim != 1:
        raise ValueError(f"images of {images.dtype} {images.shape} and labels of shape {labels.shape}")
    names = meta["class_names"]
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError("the names of its classes are no texts")
    if min(meta["counts"].values()) < 0 or not 0 <= int(labels.min()) <= int(labels.max()) < len(names):
        raise ValueError(f"labels from {labels.min()} to {labels.max()} for {len(names)} classes")
    channels = np.array([meta["channel_mean"], meta["channel_std"]], dtype=np.float64)
    if channels.shape != (2, 3) or not np.isfinite(channels).all():
        raise ValueError("the means or deviations of its channels are no numbers")
    for name in ("fingerprint", "name"):
        if not isinstance(meta[name], str):
            raise ValueError(f"its {name} is no text")
