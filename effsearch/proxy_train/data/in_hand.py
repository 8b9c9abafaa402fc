"""Which images does a program hand over that has them already?

They are read once to be known, by the SHA-256 of their pixels, and again to be put into the cache; from then on they
are a data set like any other, under a name such as `own:flowers-1a2b3c4d5e6f7a8b`. Only their name is stored with a
run: what made them is never called again unless it is handed over again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any  # images of many libraries

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from effsearch.proxy_train.data.images import to_rgb
from effsearch.proxy_train.data.listing import (
    ImageListing,
    ListedImage,
    Payload,
    Source,
    identity_of,
    median_short_side,
)
from effsearch.space.errors import DataError

SPLITS = ("train", "val", "test")
IDENTITY_DIGITS = 16
_NAME = re.compile(rf"own:(.+)-([0-9a-f]{{{IDENTITY_DIGITS}}})")

Pairs = Sequence[tuple[Any, Any]]  # of an image and its label; torch's map-style data sets are such


class ImagesInHand(str):
    """The name of a data set that brings its images along: goes wherever `--data` goes."""

    source: Source

    def __new__(cls, name: str, source: Source) -> ImagesInHand:
        """Give a name with its images."""
        made = super().__new__(cls, name)
        made.source = source
        return made


@dataclass(frozen=True, slots=True)
class _Read:
    """What is known of one image after it was read once."""

    label: int | str
    split: str
    digest: bytes  # of shape and pixels
    short_side: int


def take_images(data: Any, *, class_names: Sequence[str] | None = None, name: str = "images") -> ImagesInHand:
    """Give the name of images that a program has in hand, after reading all of them once.

    Args:
        data: One of these, or a function without arguments that gives it:
            - `(images, labels)` or `(images, labels, class_names)`, arrays: (num_images, height, width, 3);
            - anything with a length whose items are pairs of an image and a label, as torch's data sets are;
            - a mapping of "train" and maybe "val" and "test" to such; what is not there is drawn from "train".
            An image is an array (height, width[, 3]) of uint8 or of floats in [0, 1], a torch tensor of the same in
            (channels, height, width), or Pillow's. A label is a whole number from 0, or a word.
        class_names: One for each label that is a number; by default those that `data` brings (`classes`), else
            the numbers themselves.
        name: For people; letters, digits and the like.

    Raises:
        DataError: An image or a label is none of these, or there are none.
    """
    if callable(data) and not hasattr(data, "__getitem__"):
        data = data()
    parts = {key: _as_pairs(part) for key, part in _parts(data).items()}
    brought = class_names or next((part.class_names for part in parts.values() if part.class_names), None)
    read: list[_Read] = []
    for split, part in parts.items():
        for index in range(len(part)):
            image, label = part[index]
            pixels = _to_pixels(image, f"{split or 'image'} {index}")
            read.append(_Read(_to_label(label), split, _digest(pixels), min(pixels.shape[:2])))
    if not read:
        raise DataError(f"{name}: there is no image in the data that were handed over")
    names = _class_names([one.label for one in read], brought)
    facts = [[one.label, one.split, one.digest.hex()] for one in read]
    identity = identity_of("in hand", list(names), facts)[:IDENTITY_DIGITS]
    slug = re.sub(r"[^A-Za-z0-9_.]+", "-", name).strip("-") or "images"
    full_name = f"own:{slug}-{identity}"
    source = _source(full_name, identity, names, read, parts)
    return ImagesInHand(full_name, source)


def source_by_name(data: str) -> Source | None:
    """Give the source that an own data set's name stands for, None for any other name.

    Without the images, only what the cache already holds can be had.
    """
    if isinstance(data, ImagesInHand):
        return data.source
    match = _NAME.fullmatch(data)
    if match is None:
        return None

    def lacks(*arguments: object) -> Any:
        raise DataError(
            f"{data} came from a Python program and is not in the cache at the size that is needed: hand the images "
            "over again, as data="
        )

    return Source(name=data, identity=match[2], scan=lacks, read=lacks)


@dataclass(frozen=True, slots=True)
class _Part:
    """The images of one split."""

    pairs: Any
    class_names: tuple[str, ...] | None

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        pair = self.pairs[index]
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise DataError(
                f"image {index}: an item must be a pair of an image and its label, got {_kind(pair)}"
            )
        return pair[0], pair[1]


class _Zipped:
    """Images and labels that came apart, as pairs."""

    def __init__(self, images: Any, labels: Any) -> None:
        if len(images) != len(labels):
            raise DataError(f"there are {len(images):,} images and {len(labels):,} labels")
        self._images, self._labels = images, labels

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._images[index], self._labels[index]


def _parts(data: Any) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        return {"": data}
    if unknown := sorted(set(map(str, data)) - set(SPLITS)):
        raise DataError(f"the splits are called {', '.join(SPLITS)}, got {', '.join(unknown)}")
    if "train" not in data:
        raise DataError("there is no 'train' in the splits that were handed over")
    return {split: data[split] for split in SPLITS if split in data}


def _as_pairs(data: Any) -> _Part:
    if isinstance(data, tuple) and len(data) in (2, 3) and getattr(data[0], "ndim", 0) in (3, 4):
        names = tuple(map(str, data[2])) if len(data) == 3 else None
        return _Part(_Zipped(data[0], data[1]), names)
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")) or isinstance(data, str):
        raise DataError(
            f"cannot read images from {_kind(data)}: give (images, labels), or anything with a length whose items "
            "are pairs of an image and its label"
        )
    classes = getattr(data, "classes", None)
    return _Part(data, tuple(map(str, classes)) if classes else None)


def _class_names(labels: Sequence[int | str], given: Sequence[str] | None) -> tuple[str, ...]:
    are_words = {isinstance(label, str) for label in labels}
    if len(are_words) > 1:
        raise DataError("some labels are words and some numbers: give all of one kind")
    if True in are_words:
        words = sorted({label for label in labels if isinstance(label, str)})
        names = tuple(given) if given else tuple(words)
        if missing := [word for word in words if word not in names]:
            raise DataError(f"the label {missing[0]!r} is not among the class names")
        return _distinct(names)
    most = max((label for label in labels if isinstance(label, int)), default=0)
    names = tuple(given) if given else tuple(str(label) for label in range(most + 1))
    if most >= len(names):
        raise DataError(f"there are {len(names)} class names and a label {most}, which counts from 0")
    return _distinct(names)


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    if len(set(names)) < len(names):
        raise DataError("two classes have one name")
    return names


def _to_label(label: Any) -> int | str:
    if isinstance(label, str):
        return label
    try:
        number = int(label.item() if hasattr(label, "item") else label)
        if number < 0 or number != label:
            raise ValueError
    except (TypeError, ValueError):
        raise DataError(f"a label must be a whole number from 0 or a word, got {label!r}") from None
    return number


def _to_pixels(image: Any, where: str) -> NDArray[np.uint8]:
    """Give an image as (height, width, 3) in uint8."""
    if isinstance(image, Image.Image):
        return np.asarray(to_rgb(image), dtype=np.uint8)
    is_tensor = type(image).__module__.partition(".")[0] == "torch"
    array = np.asarray(image.detach().cpu() if is_tensor else image)
    if is_tensor and array.ndim == 3:
        array = array.transpose(1, 2, 0)
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3) or 0 in array.shape:
        order = "(channels, height, width)" if is_tensor else "(height, width, channels)"
        raise DataError(f"{where}: an image must be {order} with 1 or 3 channels, got {array.shape}")
    if array.dtype.kind == "f":
        if not (array.min() >= 0 and array.max() <= 1):
            raise DataError(
                f"{where}: floats must be in [0, 1], got {array.min():.3g} to {array.max():.3g}; leave normalising "
                "to effsearch"
            )
        array = np.round(array * 255)
    elif array.dtype != np.uint8:
        raise DataError(f"{where}: pixels must be uint8, or floats in [0, 1], got {array.dtype}")
    return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)), dtype=np.uint8)


def _digest(pixels: NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(repr(pixels.shape).encode() + pixels.tobytes()).digest()


def _source(
    name: str, identity: str, names: tuple[str, ...], read: Sequence[_Read], parts: Mapping[str, _Part]
) -> Source:
    places = [(split, index) for split, part in parts.items() for index in range(len(part))]
    order = sorted(range(len(places)), key=places.__getitem__)
    label_of: dict[int | str, int] = {label: index for index, label in enumerate(names)} | {
        i: i for i in range(len(names))
    }
    images = tuple(
        ListedImage(
            f"{read[i].split or 'all'}/{places[i][1]:09d}", label_of[read[i].label], read[i].split, 0, 0
        )
        for i in order
    )
    listing = ImageListing(
        class_names=names,
        images=images,
        native_resolution=median_short_side([one.short_side for one in read]),
    )

    def give(listing: ImageListing, resolution: int) -> Iterator[tuple[int, Payload]]:
        for row, i in enumerate(order):
            split, index = places[i]
            pixels = _to_pixels(parts[split][index][0], f"{split or 'image'} {index}")
            if _digest(pixels) != read[i].digest:
                raise DataError(
                    f"{name}: image {index} is not what it was when it was read first; hand the images over without "
                    "random transforms"
                )
            yield row, pixels

    return Source(name=name, identity=identity, scan=lambda measure: listing, read=give)


def _kind(value: object) -> str:
    return f"a value of type {type(value).__name__}"
