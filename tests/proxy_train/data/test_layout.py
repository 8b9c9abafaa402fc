from __future__ import annotations

import pytest

from effsearch.proxy_train.data.layout import is_hidden, is_image, list_classes
from effsearch.proxy_train.data.listing import FoundFile, ImageListing
from effsearch.space.errors import DataError


def list_paths(*paths: str, folders: tuple[str, ...] = ()) -> ImageListing:
    return list_classes([FoundFile(path, 1, 2) for path in paths], folders, where="pets.zip")


def placed(listing: ImageListing) -> list[tuple[str, str, str]]:
    return [(image.path, listing.class_names[image.label], image.split) for image in listing.images]


def test_top_folders_are_classes() -> None:
    listing = list_paths("dog/1.jpg", "cat/2.jpg", "cat/1.jpg")
    assert listing.class_names == ("cat", "dog")
    assert placed(listing) == [
        ("cat/1.jpg", "cat", ""),
        ("cat/2.jpg", "cat", ""),
        ("dog/1.jpg", "dog", ""),
    ]


@pytest.mark.parametrize("val", ["val", "valid", "validation", "VAL"])
def test_split_folders_are_known_by_their_usual_names(val: str) -> None:
    listing = list_paths("train/cat/1.jpg", "train/dog/1.jpg", f"{val}/dog/2.jpg", "test/cat/2.jpg")
    assert {split for *_, split in placed(listing)} == {"train", "val", "test"}
    assert (f"{val}/dog/2.jpg", "dog", "val") in placed(listing)


def test_one_enclosing_folder_is_looked_through() -> None:
    assert list_paths("pets/cat/1.jpg", "pets/dog/1.jpg").class_names == ("cat", "dog")
    splits = list_paths("test/train/cat/1.jpg", "test/train/dog/1.jpg", "test/test/dog/1.jpg")
    assert [image.split for image in splits.images] == ["test", "train", "train"]


def test_folders_inside_a_class_belong_to_it() -> None:
    assert list_paths("cat/old/1.jpg", "cat/2.jpg", "dog/1.jpg").class_names == ("cat", "dog")


def test_train_may_be_the_name_of_a_class() -> None:
    assert list_paths("bus/1.jpg", "train/1.jpg", "train/2.jpg").class_names == ("bus", "train")


def test_a_folder_without_images_beside_the_splits_is_no_class() -> None:
    listing = list_paths("train/cat/1.jpg", "train/dog/1.jpg", folders=("annotations", "annotations/xml"))
    assert listing.class_names == ("cat", "dog")


def test_listing_does_not_depend_on_the_order_of_files() -> None:
    assert list_paths("a/1.png", "b/1.png", "a/2.png") == list_paths("b/1.png", "a/2.png", "a/1.png")


@pytest.mark.parametrize(
    ("paths", "folders", "message"),
    [
        ((), ("cat",), "no images in pets.zip: expected <class>"),
        (("cat/1.jpg", "dog/1.jpg", "top.jpg"), (), "image top.jpg lies in no class folder"),
        (
            ("train/cat/1.jpg", "train/dog/1.jpg", "test/9.jpg"),
            (),
            "image test/9.jpg lies in no class folder",
        ),
        (("cat/1.jpg", "dog/1.jpg"), ("fox",), "class folder fox holds no images"),
        (("train/cat/1.jpg", "train/dog/1.jpg"), ("val", "val/dog"), ": folder val holds no images"),
        (
            ("train/cat/1.jpg", "train/dog/1.jpg", "val/cat/1.jpg"),
            ("val/dog",),
            "class folder val/dog holds no images",
        ),
        (("pets/cat/1.jpg", "pets/dog/1.jpg"), ("pets/fox",), "class folder fox holds no images"),
        (("cat/1.jpg", "cat/2.jpg"), (), "at least two classes are needed, found only 'cat'"),
        (
            ("train/cat/1.jpg", "train/dog/1.jpg", "val/fox/1.jpg"),
            (),
            "class 'fox' is in val/ but not in train",
        ),
        (("val/cat/1.jpg", "test/dog/1.jpg"), (), "there is test/ but no train/ beside it"),
        (
            ("train/cat/1.jpg", "train/dog/1.jpg", "extra/cat/1.jpg"),
            (),
            "extra/ stands beside train/ but is none",
        ),
        (
            ("train/cat/1.jpg", "train/dog/1.jpg", "val/cat/1.jpg", "valid/cat/1.jpg"),
            (),
            "val/ and valid/ both stand for val",
        ),
    ],
)
def test_a_layout_that_does_not_hold_is_refused(
    paths: tuple[str, ...], folders: tuple[str, ...], message: str
) -> None:
    with pytest.raises(DataError, match=message):
        list_paths(*paths, folders=folders)


def test_hidden_files_and_other_endings_are_told_apart() -> None:
    assert is_hidden("cat/.1.jpg")
    assert is_hidden("__MACOSX/cat/1.jpg")
    assert not is_hidden("cat/1.jpg")
    assert is_image("cat/1.JPEG")
    assert is_image("cat/1.png")
    assert not is_image("cat/notes.txt")
    assert not is_image("cat/jpg")
