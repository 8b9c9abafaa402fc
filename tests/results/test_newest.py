import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from effsearch.results.newest import link_newest, newest_run
from effsearch.results.run_dir import create_or_resume

NOW = datetime(2025, 11, 21, 9, 30, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _run(path: str | None, *, minute: int, command: str = "baseline") -> Path:
    with create_or_resume(
        None if path is None else Path(path),
        command=command,
        settings={},
        free_settings=frozenset(),
        now=NOW + timedelta(minutes=minute),
    ) as run:
        return run.path


def test_the_newest_is_the_one_created_last_whatever_its_name() -> None:
    _run("runs/z", minute=1)
    newest = _run("runs/a", minute=2)
    _run(None, minute=3, command="scale")
    assert newest_run("baseline") == newest


def test_the_newest_can_be_asked_to_hold_a_file() -> None:
    finished, _ = _run("runs/a", minute=1), _run("runs/b", minute=2)
    (finished / "report.json").write_text("{}")
    assert newest_run("baseline", having="report.json") == finished


def test_a_run_elsewhere_is_found_by_its_link() -> None:
    _run(None, minute=1)
    elsewhere = _run("elsewhere/run", minute=2)
    assert newest_run("baseline") == elsewhere


def test_there_may_be_none() -> None:
    assert newest_run("baseline") is None
    _run(None, minute=1)
    assert newest_run("scale") is None


def test_directories_that_hold_no_readable_run_are_passed_over() -> None:
    run = _run(None, minute=1)
    Path("runs/broken").mkdir()
    Path("runs/broken/settings.json").write_text("{")
    Path("runs/other").mkdir()
    Path("runs/dangling").symlink_to("nowhere")
    assert newest_run("baseline") == run


def test_something_else_of_the_links_name_is_left_alone() -> None:
    Path("runs").mkdir()
    Path("runs/latest").write_text("mine")
    run = _run(None, minute=1)
    assert Path("runs/latest").read_text() == "mine"
    assert os.readlink("runs/latest-baseline") == run.name


def test_a_place_that_takes_no_links_stops_nothing(tmp_path: Path) -> None:
    Path("file").touch()
    link_newest(tmp_path, command="baseline", runs_root=Path("file/runs"))
    assert os.listdir(".") == ["file"]


def test_links_of_a_killed_process_are_swept(tmp_path: Path) -> None:
    old, young = (tmp_path / f".latest.{name}.tmp" for name in ("0123abcd", "4567cdef"))
    for link in (old, young):
        link.symlink_to("nowhere")
    os.utime(old, (0, 0), follow_symlinks=False)
    link_newest(tmp_path / "run", command="baseline", runs_root=tmp_path)
    assert not old.is_symlink()
    assert young.is_symlink()
