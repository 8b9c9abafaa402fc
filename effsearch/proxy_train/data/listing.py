"""What is a source of images, before any image is decoded?"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Payload = bytes | Path | NDArray[np.uint8]
"""One image: its encoded bytes, the file that holds them, or its pixels (height, width, 3)."""

Progress = Callable[[str, int, int], None]
"""Called with what is going on, how much is done and how much there is: ("decode", 512 images, 60000)."""

Report = Callable[[str], None]
"""Called with one line for the user."""


def no_progress(what: str, done: int, total: int) -> None:
    """Nothing: the default where nobody watches."""


def no_report(line: str) -> None:
    """Nothing: the default where nobody reads."""


class FoundFile(NamedTuple):
    """One image file as the file system or the archive tells it."""

    path: str  # relative to the source, with forward slashes
    num_bytes: int
    mtime_ns: int


class ListedImage(NamedTuple):
    """One image with its class and the side that the source puts it on."""

    path: str
    label: int
    split: str  # "train", "val", "test", or "" where the source has no splits of its own
    num_bytes: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageListing:
    """The images of one source, found but not decoded, sorted by path."""

    class_names: tuple[str, ...]  # a label is a place in here
    images: tuple[ListedImage, ...]
    native_resolution: int = 0  # median short side of the originals in pixels; 0 where it was not measured


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A place images come from.

    `scan` takes whether to measure the native resolution too and raises `DataError` where the layout does not
    hold. `read` takes the listing and the resolution asked, and yields each image's place in the listing
    once, in any order. Both may take long (an archive is unpacked by each), and neither is called when the
    cache already holds what `identity` names.
    """

    name: str
    identity: str  # hexadecimal sha256 of all that would change the pixels
    scan: Callable[[bool], ImageListing]
    read: Callable[[ImageListing, int], Iterator[tuple[int, Payload]]]
    default_resolution: int = 0  # of a source that renders its images at the size asked; 0 for stored images
    min_resolution: int = 8
    max_resolution: int = 1024

    @property
    def is_rendered(self) -> bool:
        """Whether the images are made at the resolution asked, so that none is native to them."""
        return self.default_resolution > 0


def identity_of(*facts: object) -> str:
    """Hexadecimal sha256 of facts that JSON can write."""
    return hashlib.sha256(json.dumps(facts, ensure_ascii=True).encode()).hexdigest()


def median_short_side(short_sides: list[int]) -> int:
    """The middle one of the short sides in pixels, unreadable images (0) left aside; 0 if all are."""
    readable = [side for side in short_sides if side > 0]
    return median_low(readable) if readable else 0
