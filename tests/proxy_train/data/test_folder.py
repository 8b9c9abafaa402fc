from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from effsearch.proxy_train.data.folder import find_files, open_folder
from effsearch.space.errors import DataError


def test_a_folder_lists_its_images_with_sizes_and_times(make_image_folder: Callable[..., Path]) -> None:
    root = make_image_folder({"cat": 2, "dog": 1})
    (root / "cat" / ".hidden.png").write_bytes(b"x")
    (root / "cat" / "notes.txt").write_text("x")
    listing = open_folder(root).scan(False)
    assert [image.path for image in listing.images] == ["cat/000.png", "cat/001.png", "dog/000.png"]
    assert listing.images[0].num_bytes == (root / "cat/000.png").stat().st_size
    assert listing.images[0].mtime_ns == 10**18


def test_native_resolution_is_the_median_short_side(make_image_folder: Callable[..., Path]) -> None:
    root = make_image_folder({"cat": 2, "dog": 1}, width=20, height=14)
    (root / "cat" / "broken.png").write_bytes(b"no image")
    assert open_folder(root).scan(True).native_resolution == 14
    assert open_folder(root).scan(False).native_resolution == 0


def test_a_moved_folder_is_the_same_source_and_a_touched_one_is_not(
    make_image_folder: Callable[..., Path],
) -> None:
    root = make_image_folder({"cat": 2, "dog": 1})
    before = open_folder(root).identity
    moved = root.rename(root.with_name("animals"))
    assert open_folder(moved).identity == before
    os.utime(moved / "cat/000.png", ns=(0, 10**18 + 1))
    assert open_folder(moved).identity != before


def test_links_are_followed_and_a_link_upwards_ends(make_image_folder: Callable[..., Path]) -> None:
    root = make_image_folder({"cat": 1, "dog": 1})
    other = make_image_folder({"fox": 2}, name="other")
    (root / "fox").symlink_to(other / "fox")
    (root / "cat" / "again").symlink_to(root)
    files, _ = find_files(root)
    assert [file.path for file in files if file.path.startswith("fox")] == ["fox/000.png", "fox/001.png"]


def test_a_folder_that_cannot_be_read_is_named(
    make_image_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_image_folder({"cat": 1, "dog": 1})

    def refuse(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(DataError, match=r"cannot read .*pets: Permission denied"):
        open_folder(root)


def test_a_broken_link_is_named(make_image_folder: Callable[..., Path]) -> None:
    root = make_image_folder({"cat": 1, "dog": 1})
    (root / "dog" / "gone.png").symlink_to(root / "nowhere.png")
    with pytest.raises(DataError, match=r"cannot read .*gone.png: No such file"):
        open_folder(root)
