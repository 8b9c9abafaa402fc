from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from effsearch.proxy_train.data.datasets import load_source
from effsearch.proxy_train.data.listing import Source
from effsearch.proxy_train.data.sources import open_source
from effsearch.space.errors import DataError


def small_synthetic(tmp_path: Path) -> Source:
    return open_source("synthetic", cache_dir=tmp_path, synthetic_train_images=120, synthetic_test_images=60)


@pytest.mark.parametrize("data", ["", "nowhere", "imagenet", "~/surely/not/there"])
def test_an_unknown_path_is_one_line_that_helps(tmp_path: Path, data: str) -> None:
    with pytest.raises(DataError, match=f"no data at {data}: give synthetic, cifar10, an image folder or"):
        open_source(data, cache_dir=tmp_path)


def test_a_path_that_cannot_be_looked_at_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"cannot read x+: File name too long"):
        open_source("x" * 5000, cache_dir=tmp_path)


def test_an_empty_folder_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"no images in .*empty"):
        open_source(str(tmp_path / "empty"), cache_dir=tmp_path)


def test_synthetic_images_come_at_32_pixels_unless_asked(tmp_path: Path) -> None:
    images = load_source(small_synthetic(tmp_path), resolution=None, cache_dir=tmp_path)
    assert images.resolution == images.native_resolution == 32
    assert len(images.train) + len(images.val) == 120
    assert len(images.test) == 60
    larger = load_source(small_synthetic(tmp_path), resolution=40, cache_dir=tmp_path)
    assert larger.resolution == larger.native_resolution == 40
    np.testing.assert_array_equal(larger.test.labels, images.test.labels)
    np.testing.assert_array_equal(larger.val.labels, images.val.labels)
    assert images.num_classes >= 10


def test_synthetic_test_images_are_not_training_images(tmp_path: Path) -> None:
    images = load_source(small_synthetic(tmp_path), resolution=16, cache_dir=tmp_path)
    assert images.num_left_out == 0
    shared = (images.train.images[:, None] == images.test.images[None]).all(axis=(2, 3, 4))
    assert not shared.any()


@pytest.mark.parametrize("resolution", [15, 257])
def test_synthetic_images_have_16_to_256_pixels(tmp_path: Path, resolution: int) -> None:
    with pytest.raises(
        DataError, match=f"synthetic: the resolution must be from 16 to 256 px, got {resolution}"
    ):
        load_source(small_synthetic(tmp_path), resolution=resolution, cache_dir=tmp_path)
