from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from effsearch.proxy_train.data import archive
from effsearch.proxy_train.data.archive import iterate_members, open_archive, readable
from effsearch.proxy_train.data.datasets import load_images
from effsearch.space.errors import DataError

TAR_MODES = {".tar": "w", ".tar.gz": "w:gz", ".tgz": "w:gz", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}


def pack(root: Path, target: Path, *, inside: str = "") -> Path:
    files = sorted(path for path in root.rglob("*"))
    if target.suffix == ".zip":
        with zipfile.ZipFile(target, "w") as packed:
            for file in files:
                packed.write(file, inside + file.relative_to(root).as_posix())
    else:
        ending = "".join(target.suffixes)
        with tarfile.open(target, TAR_MODES[ending]) as packed_tar:  # type: ignore[call-overload]  # a table of modes
            for file in files:
                packed_tar.add(file, inside + file.relative_to(root).as_posix(), recursive=False)
    return target


def write_tar(target: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Path:
    with tarfile.open(target, "w") as packed:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                packed.addfile(content)
                continue
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            packed.addfile(entry, io.BytesIO(content))
    return target


@pytest.mark.parametrize("inside", ["", "pets/", "./"])
@pytest.mark.parametrize("ending", [*TAR_MODES, ".zip"])
def test_an_archive_gives_the_pixels_of_its_folder(
    make_image_folder: Callable[..., Path], tmp_path: Path, ending: str, inside: str
) -> None:
    root = make_image_folder({"train/cat": 3, "train/dog": 3, "test/cat": 1, "test/dog": 1})
    packed = pack(root, tmp_path / f"pets{ending}", inside=inside)
    unpacked = load_images(str(root), resolution=8, cache_dir=tmp_path / "a")
    images = load_images(str(packed), resolution=8, cache_dir=tmp_path / "b")
    assert images.class_names == ("cat", "dog")
    assert images.name == "pets"
    assert images.native_resolution == 12
    np.testing.assert_array_equal(images.test.images, unpacked.test.images)
    np.testing.assert_array_equal(images.test.labels, [0, 1])
    assert len(images.train) + len(images.val) == 6


def test_a_packed_file_is_unpacked_twice_to_build_and_never_again(
    make_image_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = pack(make_image_folder({"cat": 3, "dog": 3}), tmp_path / "pets.tar.xz")
    passes = []
    original = iterate_members

    def count(path: Path, *, want_content: bool) -> object:
        passes.append(want_content)
        return original(path, want_content=want_content)

    monkeypatch.setattr(archive, "iterate_members", count)
    load_images(str(packed), resolution=None, cache_dir=tmp_path / "cache")
    assert len(passes) == 2
    load_images(str(packed), resolution=None, cache_dir=tmp_path / "cache")
    assert len(passes) == 2


def test_links_hidden_files_and_other_files_are_passed_over(tmp_path: Path) -> None:
    link = tarfile.TarInfo("cat/link.png")
    link.type, link.linkname = tarfile.SYMTYPE, "1.png"
    members: dict[str, bytes | tarfile.TarInfo] = {
        "cat/1.png": b"1",
        "cat/link.png": link,
        "cat/._1.png": b"2",
        "__MACOSX/cat/1.png": b"3",
        "README.txt": b"4",
    }
    packed = write_tar(tmp_path / "pets.tar", members)
    assert [member.path for member in iterate_members(packed, want_content=True)] == ["cat/1.png"]

    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as zipped:
        zipped.writestr("cat/1.png", b"1")
        zipped.writestr("__MACOSX/cat/._1.png", b"2")
        linked = zipfile.ZipInfo("cat/link.png")
        linked.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(linked, "1.png")
    found = list(iterate_members(tmp_path / "pets.zip", want_content=True))
    assert [(member.path, member.content) for member in found] == [("cat/1.png", b"1")]


@pytest.mark.parametrize("name", ["../cat/1.png", "cat/../../1.png", "/cat/1.png"])
def test_a_member_that_points_outside_is_refused(tmp_path: Path, name: str) -> None:
    packed = write_tar(tmp_path / "pets.tar", {name: b"1"})
    with pytest.raises(DataError, match="points outside the archive"):
        open_archive(packed).scan(False)
    with zipfile.ZipFile(tmp_path / "pets.zip", "w") as zipped:
        zipped.writestr(name, b"1")
    with pytest.raises(DataError, match="points outside the archive"):
        open_archive(tmp_path / "pets.zip").scan(False)


def test_a_path_packed_twice_is_refused(tmp_path: Path) -> None:
    packed = write_tar(tmp_path / "pets.tar", {"cat/1.png": b"1", "./cat/1.png": b"2"})
    with pytest.raises(DataError, match=r"cat/1.png is packed twice"):
        open_archive(packed).scan(False)


def test_an_empty_class_folder_in_an_archive_is_named(
    make_image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    packed = pack(make_image_folder({"cat": 3, "dog": 3, "fox": 0}), tmp_path / "pets.zip")
    with pytest.raises(DataError, match="class folder fox holds no images"):
        open_archive(packed).scan(False)


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no archive at all")
    with pytest.raises(DataError, match=r"notes.txt is no archive that can be read"):
        load_images(str(tmp_path / "notes.txt"), resolution=8, cache_dir=tmp_path / "cache")


@pytest.mark.parametrize("ending", [".tar", ".tar.gz", ".tar.xz", ".tar.bz2", ".zip"])
def test_a_truncated_archive_is_refused_and_leaves_nothing(
    make_image_folder: Callable[..., Path], tmp_path: Path, ending: str
) -> None:
    packed = pack(make_image_folder({"cat": 3, "dog": 3}), tmp_path / f"pets{ending}")
    content = packed.read_bytes()
    packed.write_bytes(content[: len(content) // 3])
    with pytest.raises(DataError, match="is no archive that can be read"):
        load_images(str(packed), resolution=8, cache_dir=tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.npy"))


def test_an_absurdly_large_member_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_IMAGE_BYTES", 3)
    packed = write_tar(tmp_path / "pets.tar", {"cat/1.png": b"1234"})
    with pytest.raises(DataError, match=r"cat/1.png has 4 bytes, more than an image may"):
        open_archive(packed).scan(True)


def test_an_archive_that_changes_while_it_is_read_is_noticed(
    make_image_folder: Callable[..., Path], tmp_path: Path
) -> None:
    root = make_image_folder({"cat": 3, "dog": 3})
    packed = pack(root, tmp_path / "pets.tar")
    source = open_archive(packed)
    listing = source.scan(False)
    (root / "dog/002.png").unlink()
    pack(root, packed)
    with pytest.raises(DataError, match=r"changed while it was read: dog/002.png is gone"):
        list(source.read(listing, 8))


def test_an_archive_that_may_not_be_read_says_so(tmp_path: Path) -> None:
    path = tmp_path / "photos.tar"
    with pytest.raises(DataError, match=r"^cannot read .*photos.tar: Permission denied$"), readable(path):
        raise PermissionError(13, "Permission denied", str(path))
