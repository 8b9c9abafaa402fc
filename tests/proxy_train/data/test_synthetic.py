"""The embedded data set: what a seed promises, and that its classes can be told apart only by looking closely."""

import numpy as np
import pytest

from effsearch.proxy_train.data.synthetic import CLASS_NAMES, render_images
from effsearch.space.errors import UsageError


def test_there_are_at_least_ten_classes() -> None:
    assert len(set(CLASS_NAMES)) == len(CLASS_NAMES) >= 10


@pytest.mark.parametrize("resolution", [16, 33, 64, 256])
def test_images_have_the_size_that_was_asked(resolution: int) -> None:
    images, labels = render_images(20, resolution=resolution, seed=0)
    assert images.shape == (20, resolution, resolution, 3)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    assert images.std() > 20  # not one flat colour


def test_a_seed_gives_the_same_images_on_any_number_of_threads() -> None:
    one, labels = render_images(200, resolution=24, seed=7, num_threads=1)
    three, same_labels = render_images(200, resolution=24, seed=7, num_threads=3)
    np.testing.assert_array_equal(one, three)
    np.testing.assert_array_equal(labels, same_labels)


def test_other_seeds_give_other_images() -> None:
    one, _ = render_images(16, resolution=24, seed=1)
    two, _ = render_images(16, resolution=24, seed=2)
    assert all((a != b).any() for a, b in zip(one, two, strict=True))


@pytest.mark.parametrize("num_images", [1, 17, 64, 65])
def test_fewer_images_are_the_first_of_more(num_images: int) -> None:
    few, few_labels = render_images(num_images, resolution=48, seed=3)
    many, many_labels = render_images(150, resolution=48, seed=3)
    np.testing.assert_array_equal(few, many[:num_images])
    np.testing.assert_array_equal(few_labels, many_labels[:num_images])


def test_every_run_of_sixteen_holds_each_class_once() -> None:
    _, labels = render_images(16 * 9, resolution=16, seed=5)
    for start in range(0, len(labels), 16):
        assert sorted(labels[start : start + 16]) == list(range(16))


def test_another_resolution_shows_the_same_scenes() -> None:
    fine, fine_labels = render_images(64, resolution=64, seed=11)
    coarse, coarse_labels = render_images(64, resolution=16, seed=11)
    np.testing.assert_array_equal(fine_labels, coarse_labels)
    shrunk = fine.reshape(64, 16, 4, 16, 4, 3).mean(axis=(2, 4))
    same = np.abs(shrunk - coarse).mean()
    other = np.abs(np.roll(shrunk, 1, axis=0) - coarse).mean()
    assert same < other / 3


def test_fine_surfaces_fade_at_low_resolution() -> None:
    def detail(resolution: int) -> float:
        images, labels = render_images(320, resolution=resolution, seed=13)
        hatched = [index for index, label in enumerate(labels) if CLASS_NAMES[label].startswith("hatched")]
        grey = images[hatched].astype(float).mean(axis=-1)
        middle = grey[:, resolution * 3 // 8 : resolution * 5 // 8, resolution * 3 // 8 : resolution * 5 // 8]
        return float(middle.std(axis=(1, 2)).mean())

    assert detail(64) > detail(16) * 1.1


def test_mean_images_alone_do_not_give_the_classes_away() -> None:
    train, train_labels = render_images(1_600, resolution=16, seed=17)
    test, test_labels = render_images(800, resolution=16, seed=18)
    flat, test_flat = (images.reshape(len(images), -1).astype(float) for images in (train, test))
    means = np.stack([flat[train_labels == label].mean(axis=0) for label in range(len(CLASS_NAMES))])
    distances = ((test_flat[:, None] - means) ** 2).sum(axis=-1)
    accuracy = (distances.argmin(axis=1) == test_labels).mean()
    assert 1 / 16 < accuracy < 0.35


@pytest.mark.parametrize("resolution", [0, 15, 257])
def test_resolutions_out_of_range_are_refused(resolution: int) -> None:
    with pytest.raises(UsageError, match=f"from 16 to 256 px, got {resolution}"):
        render_images(1, resolution=resolution, seed=0)


def test_no_images_are_refused() -> None:
    with pytest.raises(UsageError, match="at least one image"):
        render_images(0, resolution=32, seed=0)
