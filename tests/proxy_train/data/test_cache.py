from __future__ import annotations

import errno
import json
import os
import shutil
import threading
import time
from collections import namedtuple
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from effsearch.proxy_train.data import cache, verify
from effsearch.proxy_train.data.cache import (
    check_free_space,
    default_cache_dir,
)
from effsearch.proxy_train.data.datasets import ImageData, load_images, load_source, open_images
from effsearch.proxy_train.data.folder import open_folder
from effsearch.proxy_train.data.listing import Source
from effsearch.space.errors import DataError, RunError


def unreadable(source: Source) -> Source:
    """The same source whose images cannot be read, so that only the cache can give them."""

    def read(*_: object) -> None:
        raise AssertionError("the images were read again")

    return replace(source, read=read)  # type: ignore[arg-type]  # it gives nothing


def files_in(folder: Path) -> list[Path]:
    """What lies there but for the empty files that builders lock."""
    return [path for path in folder.rglob("*") if path.is_file() and path.name != cache.LOCK_FILE]


@pytest.fixture
def pets(make_image_folder: Callable[..., Path]) -> Path:
    return make_image_folder({"cat": 20, "dog": 20})


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EFFSEARCH_CACHE", "~/elsewhere")
    assert default_cache_dir() == Path.home() / "elsewhere"
    monkeypatch.delenv("EFFSEARCH_CACHE")
    assert default_cache_dir() == Path.home() / ".cache" / "effsearch"


@pytest.mark.parametrize("named", ["", "~nobody-of-that-name/cache"])
def test_a_user_without_a_home_is_told_to_name_a_cache(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    def unknown(number: int) -> None:
        raise KeyError("getpwuid(): uid not found: 12345")

    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.setenv("EFFSEARCH_CACHE", named)
    with pytest.raises(
        RunError, match=r"no home directory for the image cache.*; set EFFSEARCH_CACHE to a folder"
    ):
        default_cache_dir()


def test_images_are_decoded_once(pets: Path, tmp_path: Path) -> None:
    first = load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache")
    again = load_source(unreadable(open_folder(pets)), resolution=8, cache_dir=tmp_path / "cache")
    assert again.fingerprint == first.fingerprint
    np.testing.assert_array_equal(again.train.images, first.train.images)


def test_a_changed_file_or_resolution_is_decoded_anew(pets: Path, tmp_path: Path) -> None:
    cache_dir = tmp_path / "cache"
    first = load_images(str(pets), resolution=8, cache_dir=cache_dir)
    assert load_images(str(pets), resolution=9, cache_dir=cache_dir).handle != first.handle
    Image.new("RGB", (12, 12), "red").save(pets / "cat/000.png")
    changed = load_images(str(pets), resolution=8, cache_dir=cache_dir)
    assert changed.handle != first.handle
    assert changed.fingerprint != first.fingerprint


def test_a_new_decoder_decodes_anew(pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_images(str(pets), resolution=8, cache_dir=tmp_path)
    monkeypatch.setattr(cache, "DECODER_VERSION", 999)
    assert load_images(str(pets), resolution=8, cache_dir=tmp_path).handle != first.handle


def test_another_seed_is_arranged_from_the_decoded_images(pets: Path, tmp_path: Path) -> None:
    load_images(str(pets), resolution=8, cache_dir=tmp_path / "a", seed=0)
    arranged = load_source(unreadable(open_folder(pets)), resolution=8, cache_dir=tmp_path / "a", seed=1)
    fresh = load_images(str(pets), resolution=8, cache_dir=tmp_path / "b", seed=1)
    assert arranged.fingerprint == fresh.fingerprint
    np.testing.assert_array_equal(arranged.train.images, fresh.train.images)
    np.testing.assert_array_equal(arranged.val.images, fresh.val.images)


def test_a_damaged_neighbour_is_not_used(pets: Path, tmp_path: Path) -> None:
    first = load_images(str(pets), resolution=8, cache_dir=tmp_path / "a", seed=0)
    (first.handle / "rows.npz").write_bytes(b"PK damaged")
    second = load_images(str(pets), resolution=8, cache_dir=tmp_path / "a", seed=1)
    fresh = load_images(str(pets), resolution=8, cache_dir=tmp_path / "b", seed=1)
    assert second.fingerprint == fresh.fingerprint


def flip_a_bit(path: Path, place: int) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def flip_a_digest(folder: Path) -> None:
    rows = dict(np.load(folder / "rows.npz"))
    rows["digests"][3, 0] ^= 1
    np.savez(folder / "rows.npz", **rows)


def change_a_mean(folder: Path) -> None:
    meta = json.loads((folder / "meta.json").read_text())
    meta["channel_mean"][0] += 0.25
    (folder / "meta.json").write_text(json.dumps(meta))


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: flip_a_bit(folder / "images.npy", -1), "1 of 40 images are not as they were decoded"),
        (
            lambda folder: flip_a_bit(folder / "images.npy", 128),
            "1 of 40 images are not as they were decoded",
        ),
        (flip_a_digest, "its labels or hashes are not those of its fingerprint"),
        (change_a_mean, "meta.json is not as it was written"),
    ],
)
def test_a_flipped_bit_is_noticed_once_and_what_it_is_in_is_decoded_anew(
    pets: Path, tmp_path: Path, damage: Callable[[Path], None], said: str
) -> None:
    first = load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache")
    pixels, mean = first.train.images.copy(), first.channel_mean
    damage(first.handle)
    lines: list[str] = []
    again = load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache", report=lines.append)
    assert lines[0] == f"the decoded images in {first.handle} are damaged ({said}); they are decoded anew"
    assert lines[1].startswith("decoding 40 images")  # not taken from itself
    assert len(lines) == 2
    np.testing.assert_array_equal(again.train.images, pixels)
    assert (again.fingerprint, again.channel_mean) == (first.fingerprint, mean)
    load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache", report=lines.append)
    assert len(lines) == 2


def test_whoever_waits_for_many_images_to_be_compared_is_told_once(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_images(str(pets), resolution=8, cache_dir=tmp_path)
    monkeypatch.setattr(verify, "_SOUND", set())
    monkeypatch.setattr(verify, "MANY_BYTES", 40 * 8 * 8 * 3)
    lines: list[str] = []
    for _ in range(2):
        load_images(str(pets), resolution=8, cache_dir=tmp_path, report=lines.append)
    assert len(lines) == 1
    assert lines[0].startswith("comparing 0.0 GB of decoded images with their hashes: ")


def test_a_neighbour_with_a_flipped_bit_is_not_used(pets: Path, tmp_path: Path) -> None:
    first = load_images(str(pets), resolution=8, cache_dir=tmp_path / "a", seed=0)
    flip_a_bit(first.handle / "images.npy", -1)
    second = load_images(str(pets), resolution=8, cache_dir=tmp_path / "a", seed=1)
    fresh = load_images(str(pets), resolution=8, cache_dir=tmp_path / "b", seed=1)
    assert second.fingerprint == fresh.fingerprint
    np.testing.assert_array_equal(second.train.images, fresh.train.images)


def test_a_cache_of_an_earlier_version_is_used_and_its_images_are_looked_at(
    pets: Path, tmp_path: Path
) -> None:
    first = load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache")
    meta = json.loads((first.handle / "meta.json").read_text())
    del meta["sha256"]  # it had none
    (first.handle / "meta.json").write_text(json.dumps(meta))
    load_source(unreadable(open_folder(pets)), resolution=8, cache_dir=tmp_path / "cache")
    flip_a_bit(first.handle / "images.npy", -1)
    lines: list[str] = []
    load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache", report=lines.append)
    assert "are damaged (1 of 40" in lines[0]


def test_sound_images_are_looked_at_once_in_each_process(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def compare(folder: Path) -> str:
        looked.append(folder)
        return ""

    looked: list[Path] = []
    monkeypatch.setattr(verify, "_compare", compare)
    first = load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache")
    for _ in range(3):
        load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache")
    open_images(first.handle)  # as workers do
    assert looked == [first.handle]


def test_damaged_images_whose_source_is_gone_say_both(pets: Path, tmp_path: Path) -> None:
    def gone(*_: object) -> None:
        raise DataError("pets: cat/000.png is gone")

    first = load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache")
    flip_a_bit(first.handle / "images.npy", -1)
    source = replace(open_folder(pets), scan=gone)  # type: ignore[arg-type]  # it gives nothing
    words = r"8px-seed0 are damaged \(1 of 40 .*\), and cannot be decoded anew: pets: cat/000.png is gone"
    with pytest.raises(DataError, match=words):
        load_source(source, resolution=8, cache_dir=tmp_path / "cache")
    assert first.handle.exists()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EMFILE])
@pytest.mark.parametrize("reader", ["verify.np.load", "datasets.read_meta"])
def test_images_that_only_cannot_be_read_are_neither_called_damaged_nor_replaced(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reader: str, number: int
) -> None:
    def refuse(*_: object, **more: object) -> None:
        raise OSError(number, os.strerror(number), "closed.npy")

    first = load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache")
    before = {path.name: path.stat().st_ino for path in first.handle.iterdir()}
    verify._SOUND.clear()
    monkeypatch.setattr(f"effsearch.proxy_train.data.{reader}", refuse)
    lines: list[str] = []
    with pytest.raises(RunError, match=f"^cannot read closed.npy: {os.strerror(number)}$"):
        load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache", report=lines.append)
    assert lines == []
    assert {path.name: path.stat().st_ino for path in first.handle.iterdir()} == before


def test_of_several_drivers_on_damaged_images_one_decodes(pets: Path, tmp_path: Path) -> None:
    first = load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache")
    pixels = first.val.images.copy()
    flip_a_bit(first.handle / "images.npy", -1)
    found, said = load_side_by_side(4, pets, tmp_path / "cache")
    assert sum("decoded anew" in line for line in said) == 1
    assert len(found) == 4
    for images in found:
        np.testing.assert_array_equal(images.val.images, pixels)
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_the_size_is_announced_before_decoding(pets: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    told: list[tuple[str, int, int]] = []
    load_images(
        str(pets),
        resolution=200,
        cache_dir=tmp_path / "cache",
        report=lines.append,
        progress=lambda *now: told.append(now),
    )
    assert len(lines) == 1
    assert lines[0].startswith(f"decoding 40 images at 200 px: 5 MB in {tmp_path / 'cache'}")
    assert told[-1] == ("decode", 40, 40)


def test_a_disk_too_small_is_noticed_first(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = namedtuple("usage", "total used free")  # as shutil makes it
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 10**6))
    check_free_space(tmp_path, 10**6)
    with pytest.raises(RunError, match=r"decoded images need 5 MB and .* has 1 MB free; make room"):
        load_images(str(pets), resolution=200, cache_dir=tmp_path / "cache")
    assert files_in(tmp_path / "cache") == []


def test_a_cache_that_cannot_be_written_is_one_line(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match=r"cannot write the image cache .*; set EFFSEARCH_CACHE elsewhere"):
        load_images(str(pets), resolution=8, cache_dir=tmp_path / "file")


def test_a_disk_that_fills_up_is_one_line(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)
    with pytest.raises(RunError, match=r"cannot write the image cache .*: No space left on device"):
        load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache")
    assert files_in(tmp_path / "cache") == []


def test_a_corrupt_image_is_named_and_leaves_nothing(pets: Path, tmp_path: Path) -> None:
    (pets / "cat/003.png").write_bytes((pets / "cat/003.png").read_bytes()[:80])
    (pets / "dog/001.png").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"pets: 2 of 40 images cannot be read, first cat/003.png: \w+"
    ) as caught:
        load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert files_in(tmp_path / "cache") == []


def test_images_that_may_not_be_read_say_so(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied", str(pets / "cat/000.png"))

    monkeypatch.setattr("effsearch.proxy_train.data.decode.decode_image", refuse)
    with pytest.raises(DataError, match=r"40 of 40 images .*, first cat/000.png: Permission denied; up to"):
        load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache")


def test_an_interrupted_build_leaves_nothing(pets: Path, tmp_path: Path) -> None:
    def interrupt(what: str, done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache", progress=interrupt)
    assert files_in(tmp_path / "cache") == []
    assert len(load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache").train) == 32


def load_side_by_side(number: int, pets: Path, cache_dir: Path) -> tuple[list[ImageData], list[str]]:
    """Load images in several threads that all find nothing at first; give what they found and what was said."""
    source = open_folder(pets)
    barrier = threading.Barrier(number)
    found: list[ImageData] = []
    said: list[str] = []

    def build() -> None:
        barrier.wait(timeout=10)
        found.append(load_source(source, resolution=8, cache_dir=cache_dir, report=said.append))

    threads = [threading.Thread(target=build) for _ in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found, said


def test_of_several_builders_one_decodes_and_the_others_wait(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decode = cache.decode_images
    decoded = []

    def slow_decode(*arguments: Any, **more: Any) -> tuple[int, ...]:
        decoded.append(1)
        time.sleep(0.3)
        return decode(*arguments, **more)

    monkeypatch.setattr(cache, "decode_images", slow_decode)
    found, said = load_side_by_side(4, pets, tmp_path / "cache")
    assert len(decoded) == 1
    assert len({images.fingerprint for images in found}) == 1
    assert len(found) == 4
    assert sum("waiting for it" in line for line in said) == 3
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_where_nothing_can_be_locked_the_first_folder_stands(
    pets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr("effsearch.proxy_train.data.cache.fcntl.flock", refuse)
    found, _ = load_side_by_side(2, pets, tmp_path / "cache")
    assert len({images.fingerprint for images in found}) == 1
    assert len(list((tmp_path / "cache").rglob("images.npy"))) == 1
    assert not list((tmp_path / "cache").rglob("*.part"))


def test_what_a_killed_build_left_is_removed_by_the_next_one(pets: Path, tmp_path: Path) -> None:
    first = load_images(str(pets), resolution=8, cache_dir=tmp_path / "cache")
    left = first.handle.parent / ".9px.0123.part"
    left.mkdir()
    (left / "images.npy").write_bytes(b"half")
    load_images(str(pets), resolution=9, cache_dir=tmp_path / "cache")
    assert not left.exists()


def test_one_unreadable_image_in_a_hundred_is_passed_over_and_counted(
    make_image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_image_folder({"cat": 60, "dog": 60})
    (folder / "cat/003.png").write_bytes((folder / "cat/003.png").read_bytes()[:80])
    said: list[str] = []
    images = load_images(str(folder), resolution=8, cache_dir=tmp_path / "cache", report=said.append)
    assert images.num_unreadable == 1
    assert len(images.train) + len(images.val) + len(images.test) == 119
    assert "1 images are passed over: they cannot be read" in said
    assert not any("identical" in line for line in said)
    assert images.train.images.reshape(len(images.train), -1).any(axis=1).all()
    other = load_images(str(folder), resolution=8, cache_dir=tmp_path / "cache", seed=1)  # from its neighbour
    assert other.num_unreadable == 1
    assert len(other.train) + len(other.val) + len(other.test) == 119
    (folder / "dog/001.png").write_bytes(b"")
    with pytest.raises(
        DataError, match=r"2 of 120 images cannot be read, first .*; up to 1% would be passed over"
    ):
        load_images(str(folder), resolution=8, cache_dir=tmp_path / "cache")
