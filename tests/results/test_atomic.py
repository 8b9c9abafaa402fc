import os
from pathlib import Path

import pytest

from effsearch.results import atomic
from effsearch.results.atomic import require_writable, write_bytes_atomic, write_text_atomic
from effsearch.space.errors import RunError, UsageError


def test_text_is_written_as_utf8_and_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    write_text_atomic(path, "first, and longer")
    write_text_atomic(path, "héllo\n")
    assert path.read_bytes() == "héllo\n".encode()
    assert os.listdir(tmp_path) == ["file.txt"]


def test_undecodable_bytes_of_file_names_are_written_as_escapes(tmp_path: Path) -> None:
    write_text_atomic(tmp_path / "file.txt", "image-\udcff.png")
    assert (tmp_path / "file.txt").read_text() == "image-\\udcff.png"


def test_the_umask_decides_who_may_read_a_file(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_bytes_atomic(tmp_path / "file", b"x")
    finally:
        os.umask(before)
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640


def test_a_link_is_followed_and_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    write_text_atomic(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


@pytest.mark.parametrize("step", ["_write_and_sync", "sync_folder"])
def test_a_full_disk_is_one_line_and_leaves_no_temporary_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic, step, fail)
    with pytest.raises(RunError, match=r"^cannot write .*file\.txt: No space left on device$"):
        write_text_atomic(tmp_path / "file.txt", "x")
    assert not [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]


def test_a_failed_rename_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("old")

    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(RunError, match="Permission denied"):
        write_text_atomic(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "old"
    assert os.listdir(tmp_path) == ["file"]


def test_an_interrupt_leaves_no_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_text_atomic(tmp_path / "file", "new")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_is_missing_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot write .*no/file: No such file or directory"):
        write_text_atomic(tmp_path / "no" / "file", "x")


def test_a_file_system_that_cannot_sync_folders_is_good_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sync = os.fsync
    calls = []

    def refuse_folders(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 2:  # the file first, then its folder
            raise OSError(22, "Invalid argument")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    write_text_atomic(tmp_path / "file", "x")
    assert len(calls) == 2


def test_what_could_not_be_written_is_known_before_the_work_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old.json").write_text("old")
    os.mkfifo(tmp_path / "pipe")
    for name in ("new.json", "old.json"):
        require_writable(tmp_path / name)
    require_writable(tmp_path / "a" / "b" / "new.png", makes_folders=True)
    with pytest.raises(UsageError, match="is a folder: name a file in it"):
        require_writable(tmp_path)
    with pytest.raises(UsageError, match=r"there is no folder .*none"):
        require_writable(tmp_path / "none" / "t.json")
    with pytest.raises(UsageError, match="pipe is no file that can be replaced"):
        require_writable(tmp_path / "pipe")
    with pytest.raises(RunError, match=r"cannot write .*t\.png: Not a directory"):
        require_writable(tmp_path / "old.json" / "t.png", makes_folders=True)

    def fail(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", fail)
    with pytest.raises(RunError, match=r"cannot write .*new\.json: Permission denied"):
        require_writable(tmp_path / "new.json")
    assert sorted(os.listdir(tmp_path)) == ["old.json", "pipe"]
    assert (tmp_path / "old.json").read_text() == "old"
