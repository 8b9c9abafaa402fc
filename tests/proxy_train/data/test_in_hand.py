"""Images that a program has in hand become a data set like any other."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from effsearch.proxy_train.data.datasets import ImageData, load_images
from effsearch.proxy_train.data.in_hand import ImagesInHand, take_images
from effsearch.space.errors import DataError

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (30, 10, 10, 3), dtype=np.uint8)
LABELS = np.arange(30) % 3


def load(data: str, cache: Path, **more: Any) -> ImageData:
    return load_images(data, **{"resolution": None, "cache_dir": cache, **more})


def in_order(images: ImageData) -> set[tuple[int, bytes]]:
    splits = (images.train, images.val, images.test)
    return {
        (int(label), np.asarray(image).tobytes())
        for split in splits
        for image, label in zip(split.images, split.labels, strict=True)
    }


FORMS: dict[str, Callable[[], Any]] = {
    "arrays": lambda: (IMAGES, LABELS),
    "pairs": lambda: list(zip(IMAGES, LABELS, strict=True)),
    "a function": lambda: lambda: (IMAGES, LABELS),
    "torch's data set": lambda: torch.utils.data.TensorDataset(
        torch.tensor(IMAGES).permute(0, 3, 1, 2), torch.tensor(LABELS)
    ),
    "torch, as floats": lambda: [
        (torch.tensor(image).permute(2, 0, 1) / 255, int(label))
        for image, label in zip(IMAGES, LABELS, strict=True)
    ],
    "Pillow's": lambda: [
        (Image.fromarray(image), int(label)) for image, label in zip(IMAGES, LABELS, strict=True)
    ],
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_the_same_data_set(form: str, tmp_path: Path) -> None:
    name = take_images(FORMS[form]())
    assert name == take_images((IMAGES, LABELS))
    images = load(name, tmp_path)
    assert images.resolution == 10
    assert images.class_names == ("0", "1", "2")
    assert in_order(images) == {
        (int(label), image.tobytes()) for image, label in zip(IMAGES, LABELS, strict=True)
    }


def test_the_name_changes_with_a_pixel_a_label_and_a_class() -> None:
    other = IMAGES.copy()
    other[7, 3, 3, 1] ^= 1
    names = {
        take_images((IMAGES, LABELS)),
        take_images((other, LABELS)),
        take_images((IMAGES, LABELS[::-1])),
        take_images((IMAGES, LABELS), class_names=["a", "b", "c"]),
        take_images({"train": (IMAGES, LABELS)}),
    }
    assert len(names) == 5


def test_own_splits_stand(tmp_path: Path) -> None:
    parts = {"train": (IMAGES[:18], LABELS[:18]), "test": (IMAGES[18:], LABELS[18:])}
    images = load(take_images(parts, name="two parts"), tmp_path)
    assert images.name.startswith("own:two-parts-")
    assert {row.tobytes() for row in np.asarray(images.test.images)} == {row.tobytes() for row in IMAGES[18:]}
    assert len(images.val) == 3  # drawn from train


def test_words_as_labels_name_the_classes(tmp_path: Path) -> None:
    words = np.array(["cat", "ant", "bee"])[LABELS]
    assert load(take_images((IMAGES, words)), tmp_path).class_names == ("ant", "bee", "cat")
    named = take_images((IMAGES, LABELS, ["cat", "ant", "bee"]))
    assert load(named, tmp_path).class_names == ("cat", "ant", "bee")


def test_a_data_set_with_classes_brings_their_names(tmp_path: Path) -> None:
    class Own(list[Any]):
        classes = ("x", "y", "z")

    assert load(take_images(Own(zip(IMAGES, LABELS, strict=True))), tmp_path).class_names == ("x", "y", "z")


def test_images_of_several_sizes_and_grey_ones_are_decoded_at_one(tmp_path: Path) -> None:
    pairs = [(IMAGES[i, : 10 - i % 2, :, 0], int(LABELS[i])) for i in range(30)]
    images = load(take_images(pairs), tmp_path, resolution=8)
    assert images.train.images.shape[1:] == (8, 8, 3)


def test_later_the_name_alone_finds_what_the_cache_holds(tmp_path: Path) -> None:
    name = take_images((IMAGES, LABELS))
    images = load(name, tmp_path)
    stored = json.loads(json.dumps(name))  # as a run keeps it
    assert type(stored) is str
    assert isinstance(name, ImagesInHand)
    assert load(stored, tmp_path).fingerprint == images.fingerprint
    with pytest.raises(DataError, match="came from a Python program and is not in the cache at the size"):
        load(stored, tmp_path, resolution=9)
    assert load(name, tmp_path, resolution=9).resolution == 9


def test_random_transforms_are_found_out(tmp_path: Path) -> None:
    class Noisy:
        def __init__(self) -> None:
            self.rng = np.random.default_rng(0)

        def __len__(self) -> int:
            return 30

        def __getitem__(self, index: int) -> tuple[Any, int]:
            return IMAGES[index] ^ self.rng.integers(0, 2, IMAGES[index].shape, dtype=np.uint8), index % 3

    with pytest.raises(DataError, match="image 0 is not what it was when it was read first"):
        load(take_images(Noisy()), tmp_path)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (3, "cannot read images from a value of type int"),
        ("abc", "cannot read images from a value of type str"),
        ([], "there is no image in the data"),
        ([1, 2], "an item must be a pair of an image and its label, got a value of type int"),
        ((IMAGES, LABELS[:-1]), "there are 30 images and 29 labels"),
        ((IMAGES, LABELS - 1), "a label must be a whole number from 0 or a word, got"),
        ((IMAGES, LABELS + 0.5), "a label must be a whole number from 0 or a word, got"),
        ((IMAGES, LABELS, ["a", "b"]), "2 class names and a label 2, which counts from 0"),
        ((IMAGES, LABELS, ["a", "b", "a"]), "two classes have one name"),
        ((IMAGES, ["a", "b"] * 15, ["a", "b", "a"]), "two classes have one name"),
        ((IMAGES, ["a", "b", 3] * 10), "some labels are words and some numbers"),
        ((IMAGES.astype(np.int64), LABELS), "pixels must be uint8, or floats in .0, 1., got int64"),
        ((IMAGES / 100.0, LABELS), "floats must be in .0, 1., got 0 to 2.55"),
        ((IMAGES.transpose(0, 3, 1, 2), LABELS), r"\(height, width, channels\) with 1 or 3 channels, got"),
        ([(torch.zeros(4, 8, 8), 0)], r"\(channels, height, width\) with 1 or 3 channels, got"),
        ({"train": (IMAGES, LABELS), "dev": (IMAGES, LABELS)}, "called train, val, test, got dev"),
        ({"test": (IMAGES, LABELS)}, "there is no 'train' in the splits"),
    ],
)
def test_what_is_no_data_set_is_one_clear_error(data: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        take_images(data)


def test_a_word_that_the_given_classes_lack_is_named() -> None:
    with pytest.raises(DataError, match="the label 'dog' is not among the class names"):
        take_images([(IMAGES[0], "dog")], class_names=["cat"])
