"""Which images train, which choose, and which are kept for the final report?

Whatever the source has of its own stands: its test is test, its val is val. What it lacks is drawn from
train. Images with the same pixels always go to one side.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from effsearch.proxy_train.data.listing import ImageListing
from effsearch.space.errors import DataError

TRAIN, VAL, TEST, LEFT_OUT = range(4)
DRAWN_FRACTION = 0.1  # of each class, for each split that the source lacks
MIN_IMAGES_TO_DRAW = 3  # one for each split

_CODE_OF = {"": TRAIN, "train": TRAIN, "val": VAL, "test": TEST}


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitAssignment:
    """The side of every listed image."""

    codes: NDArray[np.int8]  # (num_images,) of TRAIN, VAL, TEST and LEFT_OUT

    @property
    def num_left_out(self) -> int:
        """How many images of train (or val) have the pixels of one of val or test, and are not used."""
        return int(np.count_nonzero(self.codes == LEFT_OUT))


def check_classes(listing: ImageListing, where: str) -> None:
    """Refuse, before anything is decoded, classes that cannot be trained or drawn from.

    Raises:
        DataError: A class has no training image, or too few to draw the missing splits.
    """
    codes, labels = _own_codes(listing), _labels(listing)
    counts = np.bincount(labels[codes == TRAIN], minlength=len(listing.class_names))
    needed = MIN_IMAGES_TO_DRAW if _missing_splits(codes) else 1
    for name, count in zip(listing.class_names, counts.tolist(), strict=True):
        _check_count(name, count, needed, where, "")


def lacks_splits(listing: ImageListing) -> bool:
    """Whether val or test has to be drawn, so that the splits depend on a seed."""
    return bool(_missing_splits(_own_codes(listing)))


def assign_splits(
    listing: ImageListing,
    digests: NDArray[np.uint8],
    *,
    seed: int,
    where: str,
    unreadable: Sequence[int] = (),
) -> SplitAssignment:
    """The side of every image.

    A missing val or test is drawn from train, 10 per cent of each class and at least one image. Whether an
    image is drawn is decided by a hash of its path and the seed, so that the draw does not depend on the
    order of files, hardly changes when images are added, and is the same at every resolution. Identical
    images count as one candidate. Where the source's own splits share images, test keeps them, then val.

    Args:
        listing: The images.
        digests: Hash of each image's decoded pixels (num_images, digest bytes).
        seed: Of the draw.
        where: Name of the source, for messages.
        unreadable: Images that are left out, whatever side they were to be on.

    Raises:
        DataError: A class has too few different images, or none left to train with.
    """
    codes, labels = _own_codes(listing), _labels(listing)
    missing = _missing_splits(codes)
    codes[list(unreadable)] = LEFT_OUT
    keys = np.ascontiguousarray(digests).view(np.dtype((np.void, digests.shape[1])))[:, 0]
    groups = np.unique(keys, return_inverse=True)[1]
    _leave_out_shared(codes, groups)

    for label, name in enumerate(listing.class_names):
        members = np.flatnonzero((codes == TRAIN) & (labels == label))
        note = ", those identical to val or test images and unreadable ones not counted"
        note = note if (codes == LEFT_OUT).any() else ""
        _check_count(name, len(members), 1, where, note)
    if not missing:
        return SplitAssignment(codes=codes)

    rows_of_group: dict[int, list[int]] = {}
    for row in np.flatnonzero(codes == TRAIN).tolist():
        rows_of_group.setdefault(int(groups[row]), []).append(row)
    candidates: list[list[list[int]]] = [[] for _ in listing.class_names]
    for rows in rows_of_group.values():
        candidates[labels[rows[0]]].append(rows)  # identical images of two classes follow the first
    for name, of_class in zip(listing.class_names, candidates, strict=True):
        _check_count(name, len(of_class), MIN_IMAGES_TO_DRAW, where, ", identical ones counted once")
        of_class.sort(key=lambda rows: _draw_key(listing.images[rows[0]].path, seed))
        quota = max(1, round(DRAWN_FRACTION * sum(map(len, of_class))))
        for num_later, code in zip(reversed(range(len(missing))), missing, strict=True):
            for rows in _take(of_class, quota, num_kept=num_later + 1):
                codes[rows] = code
    return SplitAssignment(codes=codes)


def _labels(listing: ImageListing) -> NDArray[np.int64]:
    return np.array([image.label for image in listing.images], dtype=np.int64)


def _own_codes(listing: ImageListing) -> NDArray[np.int8]:
    return np.array([_CODE_OF[image.split] for image in listing.images], dtype=np.int8)


def _missing_splits(codes: NDArray[np.int8]) -> list[int]:
    return [code for code in (TEST, VAL) if not (codes == code).any()]


def _leave_out_shared(codes: NDArray[np.int8], groups: NDArray[np.intp]) -> None:
    """Mark, in place, images of train that val or test has too, and images of val that test has too."""
    for keeper, losers in ((TEST, (VAL, TRAIN)), (VAL, (TRAIN,))):
        kept = np.zeros(groups.max() + 1, dtype=np.bool_)
        kept[groups[codes == keeper]] = True
        codes[np.isin(codes, losers) & kept[groups]] = LEFT_OUT


def _take(candidates: list[list[int]], quota: int, *, num_kept: int) -> list[list[int]]:
    """Remove and give, in order, the candidates that fit the quota, and at least one; keep some for later."""
    taken: list[list[int]] = []
    num_taken = 0
    for rows in list(candidates):
        if len(candidates) <= num_kept or num_taken >= quota:
            break
        if num_taken + len(rows) <= quota:
            candidates.remove(rows)
            taken.append(rows)
            num_taken += len(rows)
    if not taken:
        smallest = min(candidates, key=len)
        candidates.remove(smallest)
        taken.append(smallest)
    return taken


def _draw_key(path: str, seed: int) -> bytes:
    return hashlib.blake2b(f"{seed}\0{path}".encode(errors="surrogateescape"), digest_size=16).digest()


def _check_count(name: str, count: int, needed: int, where: str, note: str) -> None:
    if count < needed:
        raise DataError(f"{where}: class {name!r} needs at least {needed} training images, has {count}{note}")
