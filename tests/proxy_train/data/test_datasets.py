from __future__ import annotations

import hashlib
import multiprocessing
import pickle
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from effsearch.proxy_train.data.datasets import Split, load_images, open_images
from effsearch.space.errors import DataError, RunError


def hashes(split: Split) -> set[bytes]:
    return {hashlib.sha256(image.tobytes()).digest() for image in split.images}


@pytest.fixture
def pets(make_image_folder: Callable[..., Path]) -> Path:
    return make_image_folder({"cat": 20, "dog": 30}, width=14, height=10)


def test_images_come_in_three_splits_with_their_classes(pets: Path, tmp_path: Path) -> None:
    images = load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache")
    assert images.class_names == ("cat", "dog")
    assert images.num_classes == 2
    assert images.name == "pets"
    assert (len(images.train), len(images.val), len(images.test)) == (40, 5, 5)
    assert images.train.images.shape == (40, 8, 8, 3)
    assert images.train.images.dtype == np.uint8
    assert images.train.labels.dtype == np.int64
    assert np.bincount(images.test.labels).tolist() == [2, 3]
    assert not hashes(images.train) & hashes(images.val) | hashes(images.val) & hashes(images.test)
    np.testing.assert_allclose(images.channel_mean, images.train.images.mean(axis=(0, 1, 2)) / 255)
    np.testing.assert_allclose(images.channel_std, images.train.images.std(axis=(0, 1, 2)) / 255)


def test_the_default_resolution_is_the_images_own_up_to_64(
    make_image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    small = make_image_folder({"cat": 3, "dog": 3}, name="small", width=14, height=10)
    large = make_image_folder({"cat": 3, "dog": 3}, name="large", width=90, height=80)
    images = load_images(str(small), resolution=None, cache_dir=tmp_path / "cache")
    assert (images.resolution, images.native_resolution) == (10, 10)
    images = load_images(str(large), resolution=None, cache_dir=tmp_path / "cache")
    assert (images.resolution, images.native_resolution) == (64, 80)


@pytest.mark.parametrize("resolution", [7, 1025, 0, -3])
def test_a_resolution_out_of_range_is_refused(pets: Path, tmp_path: Path, resolution: int) -> None:
    with pytest.raises(DataError, match=f"must be from 8 to 1024 px, got {resolution} .the resolution asked"):
        load_images(str(pets), resolution=resolution, cache_dir=tmp_path / "cache")


def test_images_too_small_by_themselves_are_refused(
    make_image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    tiny = make_image_folder({"cat": 3, "dog": 3}, width=4, height=4)
    with pytest.raises(DataError, match=r"must be from 8 to 1024 px, got 4 .the images' own size"):
        load_images(str(tiny), resolution=None, cache_dir=tmp_path / "cache")


def test_a_class_too_small_to_split_is_named_before_decoding(
    make_image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_image_folder({"cat": 3, "dog": 2})
    with pytest.raises(DataError, match="class 'dog' needs at least 3 training images, has 2"):
        load_images(str(root), resolution=8, cache_dir=tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_the_fingerprint_tells_data_apart_but_not_where_they_lie(pets: Path, tmp_path: Path) -> None:
    def fingerprint(root: Path, resolution: int = 8, seed: int = 0) -> str:
        cache_dir = tmp_path / f"cache-{root.name}"
        return load_images(str(root), resolution=resolution, cache_dir=cache_dir, seed=seed).fingerprint

    base = fingerprint(pets)
    moved = shutil.copytree(pets, tmp_path / "moved")
    assert fingerprint(moved) == base
    assert fingerprint(pets, resolution=9) != base
    assert fingerprint(pets, seed=1) != base
    (moved / "dog").rename(moved / "wolf")
    assert fingerprint(moved) != base


def test_own_splits_do_not_depend_on_the_seed(make_image_folder: Callable[..., Path], tmp_path: Path) -> None:
    root = make_image_folder(
        {f"{split}/{name}": 2 for split in ("train", "val", "test") for name in ("cat", "dog")}
    )
    first, second = (load_images(str(root), resolution=8, cache_dir=tmp_path, seed=seed) for seed in (0, 1))
    assert first.handle == second.handle
    assert (len(first.train), len(first.val), len(first.test)) == (4, 4, 4)


def test_training_images_that_test_has_too_are_left_out_and_reported(
    make_image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_image_folder({"train/cat": 5, "train/dog": 5, "test/cat": 2, "test/dog": 2})
    shutil.copy(root / "test/cat/001.png", root / "train/cat/900.png")
    for _ in range(2):  # decoded, then from the cache
        lines: list[str] = []
        images = load_images(str(root), resolution=8, cache_dir=tmp_path / "cache", report=lines.append)
        assert lines[-1] == "1 training images are left out: val or test holds identical ones"
        assert images.num_left_out == 1
        assert len(images.train) + len(images.val) == 10
        assert len(images.test) == 4
        assert not hashes(images.train) & hashes(images.test)


def test_the_handle_and_the_pickle_open_the_same_images(pets: Path, tmp_path: Path) -> None:
    images = load_images(str(pets), resolution=100, cache_dir=tmp_path / "cache")
    pickled = pickle.dumps(images)
    assert len(pickled) < 1000
    for other in (open_images(images.handle), pickle.loads(pickled)):
        assert other.fingerprint == images.fingerprint
        np.testing.assert_array_equal(other.val.images, images.val.images)


@pytest.mark.slow
def test_a_spawned_worker_maps_the_same_images(pets: Path, tmp_path: Path) -> None:
    images = load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache")
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply(open_images, (images.handle,)).fingerprint == images.fingerprint


def test_images_and_labels_cannot_be_changed(pets: Path, tmp_path: Path) -> None:
    images = load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache")
    with pytest.raises(ValueError, match="read-only"):
        images.train.images[0] = 0
    with pytest.raises(ValueError, match="read-only"):
        images.train.labels[0] = 0
    assert images.train.images[np.array([0, 1])].flags.writeable


def damage_meta(folder: Path) -> None:
    (folder / "meta.json").write_text("{}")


def damage_rows(folder: Path) -> None:
    (folder / "rows.npz").write_bytes(b"PK\x03\x04 damaged")


def damage_images(folder: Path) -> None:
    content = (folder / "images.npy").read_bytes()
    (folder / "images.npy").write_bytes(content[:500])


def lose_everything(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def swap_images(folder: Path) -> None:
    np.save(folder / "images.npy", np.zeros((1, 8, 8, 3), dtype=np.uint8))


@pytest.mark.parametrize("damage", [damage_meta, damage_rows, damage_images, lose_everything, swap_images])
def test_a_damaged_cache_is_decoded_anew_by_a_driver_and_refused_by_a_worker(
    pets: Path, tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    images = load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache")
    pixels = images.train.images.copy()
    damage(images.handle)
    with pytest.raises(RunError, match=r"decoded images in .*8px-seed0 are damaged .*; delete that folder"):
        open_images(images.handle)
    said: list[str] = []
    again = load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache", report=said.append)
    assert sum("8px-seed0 are damaged (" in line for line in said) == 1
    assert again.fingerprint == images.fingerprint
    np.testing.assert_array_equal(again.train.images, pixels)
    assert not list((tmp_path / "cache").rglob("*.part"))


@pytest.mark.slow
def test_shared_cifar10_is_decoded_as_its_readme_says(shared_data: Path, tmp_path: Path) -> None:
    begin = time.perf_counter()
    images = load_images(str(shared_data / "cifar10-images.tar.xz"), resolution=None, cache_dir=tmp_path)
    seconds = time.perf_counter() - begin
    assert (len(images.train), len(images.val), len(images.test)) == (45_000, 5_000, 10_000)
    assert np.bincount(images.val.labels).tolist() == [500] * 10
    assert images.resolution == images.native_resolution == 32
    np.testing.assert_allclose(images.channel_mean, (0.4913, 0.4821, 0.4465), atol=1e-3)
    np.testing.assert_allclose(images.channel_std, (0.2452, 0.2428, 0.2606), atol=1e-3)
    assert seconds < 120  # 13 s on two cores of the machine it was written on
