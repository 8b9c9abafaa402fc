from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from effsearch.proxy_train.data.listing import ImageListing, ListedImage
from effsearch.proxy_train.data.splits import (
    LEFT_OUT,
    TEST,
    TRAIN,
    VAL,
    assign_splits,
    check_classes,
    lacks_splits,
)
from effsearch.space.errors import DataError


def make_listing(*images: tuple[str, int, int]) -> ImageListing:
    """A listing of (split, label, how many)."""
    listed = [
        ListedImage(f"{split}/{label}/{i:04d}", label, split, 1, 1)
        for split, label, count in images
        for i in range(count)
    ]
    labels = {label for _, label, _ in images}
    return ImageListing(class_names=tuple(f"class{label}" for label in sorted(labels)), images=tuple(listed))


def different(listing: ImageListing) -> NDArray[np.uint8]:
    return np.arange(len(listing.images), dtype=np.uint32).reshape(-1, 1).view(np.uint8)


def count(codes: NDArray[np.int8], labels: NDArray[np.int64], code: int) -> list[int]:
    return np.bincount(labels[codes == code], minlength=labels.max() + 1).tolist()


def labels_of(listing: ImageListing) -> NDArray[np.int64]:
    return np.array([image.label for image in listing.images])


def test_ten_per_cent_of_each_class_go_to_val_and_to_test() -> None:
    listing = make_listing(("", 0, 100), ("", 1, 37), ("", 2, 3))
    codes = assign_splits(listing, different(listing), seed=0, where="x").codes
    labels = labels_of(listing)
    assert count(codes, labels, TEST) == [10, 4, 1]
    assert count(codes, labels, VAL) == [10, 4, 1] or count(codes, labels, VAL) == [10, 3, 1]
    assert count(codes, labels, TRAIN)[2] == 1


def test_own_splits_stand_and_only_the_missing_one_is_drawn() -> None:
    listing = make_listing(("train", 0, 50), ("train", 1, 50), ("test", 0, 7), ("test", 1, 5))
    codes = assign_splits(listing, different(listing), seed=0, where="x").codes
    assert (codes[100:] == TEST).all()
    assert count(codes, labels_of(listing), VAL) == [5, 5]

    with_val = make_listing(("train", 0, 50), ("train", 1, 50), ("val", 0, 7), ("val", 1, 5))
    codes = assign_splits(with_val, different(with_val), seed=0, where="x").codes
    assert (codes[100:] == VAL).all()
    assert count(codes, labels_of(with_val), TEST) == [5, 5]


def test_three_own_splits_are_left_as_they_are() -> None:
    listing = make_listing(("train", 0, 1), ("train", 1, 1), ("val", 0, 1), ("test", 1, 1))
    assert not lacks_splits(listing)
    assert assign_splits(listing, different(listing), seed=0, where="x").codes.tolist() == [
        TRAIN,
        TRAIN,
        VAL,
        TEST,
    ]


def test_the_draw_follows_the_seed_alone() -> None:
    listing = make_listing(("", 0, 60), ("", 1, 60))
    first, again, other = (
        assign_splits(listing, different(listing), seed=seed, where="x").codes for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_adding_images_hardly_moves_the_others() -> None:
    small, large = make_listing(("", 0, 200), ("", 1, 200)), make_listing(("", 0, 202), ("", 1, 200))
    before = assign_splits(small, different(small), seed=0, where="x").codes
    after = assign_splits(large, different(large), seed=0, where="x").codes
    kept = np.concatenate([after[:200], after[202:]])
    assert np.count_nonzero(before != kept) <= 4


@pytest.mark.parametrize("seed", range(5))
def test_identical_images_never_fall_on_both_sides(seed: int) -> None:
    listing = make_listing(("", 0, 60), ("", 1, 60), ("test", 0, 10), ("test", 1, 10))
    listing_without_test = make_listing(("", 0, 60), ("", 1, 60))
    for source in (listing, listing_without_test):
        digests = np.random.default_rng(seed).integers(0, 40, (len(source.images), 1), dtype=np.uint8)
        codes = assign_splits(source, digests, seed=seed, where="x").codes
        for code in (TRAIN, VAL, TEST):
            elsewhere = digests[(codes != code) & (codes != LEFT_OUT)]
            assert not np.isin(digests[codes == code], elsewhere).any()
        assert {TRAIN, VAL, TEST} <= set(codes.tolist())


def test_images_that_test_has_too_are_left_out_of_train_and_never_of_test() -> None:
    listing = make_listing(
        ("train", 0, 20), ("train", 1, 20), ("val", 0, 3), ("val", 1, 3), ("test", 0, 4), ("test", 1, 4)
    )
    digests = different(listing)
    digests[0] = digests[46]  # train and test
    digests[40] = digests[47]  # val and test
    digests[1] = digests[41]  # train and val
    digests[2] = digests[3]  # train alone: both stay
    splits = assign_splits(listing, digests, seed=0, where="x")
    assert np.flatnonzero(splits.codes == LEFT_OUT).tolist() == [0, 1, 40]
    assert splits.num_left_out == 3
    assert (splits.codes[46:] == TEST).all()


def test_a_large_group_of_identical_images_does_not_swallow_a_class() -> None:
    listing = make_listing(("", 0, 30), ("", 1, 30))
    digests = different(listing)
    digests[2:30] = digests[2]  # class 0: two single images and one 28 times
    codes = assign_splits(listing, digests, seed=0, where="x").codes
    labels = labels_of(listing)
    assert count(codes, labels, TEST)[0] + count(codes, labels, VAL)[0] == 2
    assert count(codes, labels, TRAIN)[0] == 28


def test_a_class_with_too_few_images_is_named() -> None:
    listing = make_listing(("", 0, 9), ("", 1, 2))
    with pytest.raises(DataError, match="pets: class 'class1' needs at least 3 training images, has 2"):
        check_classes(listing, "pets")
    with_all = make_listing(("train", 0, 1), ("train", 1, 1), ("val", 0, 1), ("test", 0, 1))
    check_classes(with_all, "pets")


def test_identical_images_count_once_where_splits_are_drawn() -> None:
    listing = make_listing(("", 0, 9), ("", 1, 9))
    digests = different(listing)
    digests[9:17] = digests[9]
    with pytest.raises(DataError, match="'class1' needs at least 3 training images, has 2, identical ones"):
        assign_splits(listing, digests, seed=0, where="pets")


def test_a_class_wholly_in_test_too_is_named() -> None:
    listing = make_listing(("train", 0, 4), ("train", 1, 1), ("test", 0, 1), ("test", 1, 1))
    digests = different(listing)
    digests[4] = digests[6]
    with pytest.raises(DataError, match="'class1' needs at least 1 training images, has 0, those identical"):
        assign_splits(listing, digests, seed=0, where="pets")
