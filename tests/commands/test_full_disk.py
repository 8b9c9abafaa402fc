"""A disk that is full at the very end: what the result needs is an error, what can be drawn again a warning."""

import errno
import os
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

import pytest

from effsearch.results import atomic

from ..conftest import Done, Effsearch, refuses
from .conftest import one_score, train_by

LINE = (
    "baseline --budget 400M-FLOPs --images 64 --epochs 1 --proxy-resolution 16 --screen off --workers 1 --rungs 1 "
    "--finalists 1 --seeds 1 --trials 14 --no-anchors --run run"
)
FULL = "No space left on device"
Search = Callable[..., Done]
pytestmark = pytest.mark.slow


@pytest.fixture
def search(effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch) -> Search:
    """Searches with room for all files but those of one name."""
    write = atomic._write_and_sync

    def call(name: str, number: int = errno.ENOSPC) -> Done:
        def full(path: Path, content: bytes) -> None:
            if fnmatch(path.name, f".{name}.*.tmp"):
                raise OSError(number, os.strerror(number))
            write(path, content)

        train_by(monkeypatch, one_score)
        with monkeypatch.context() as patch:
            patch.setattr(atomic, "_write_and_sync", full)
            return effsearch(*LINE.split())

    return call


@pytest.mark.parametrize(
    ("file", "again"),
    [
        ("plots/front.png", "effsearch plot run"),
        ("plots/importance.png", "effsearch explain run"),
        ("importance.csv", "effsearch explain run"),
    ],
)
def test_a_picture_that_has_no_room_is_a_warning_that_says_what_draws_it(
    search: Search, effsearch: Effsearch, file: str, again: str
) -> None:
    ended = search(Path(file).name)
    assert ended.code == 0, ended.err
    said = f"the search has ended well, but: cannot write run/{file}: {FULL}; {again} draws it again"
    assert said in ended.err.splitlines()
    assert not Path("run", file).exists()
    assert effsearch(*again.split()[1:]).code == 0
    assert Path("run", file).stat().st_size > 0


def test_a_table_of_trials_that_has_no_room_is_a_warning_too(search: Search, effsearch: Effsearch) -> None:
    ended = search("trials.csv")
    assert ended.code == 0, ended.err
    words = f"but: cannot write run/trials.csv: {FULL}; the next call of the same command writes it again"
    assert words in ended.err
    assert effsearch(*LINE.split()).code == 0
    assert Path("run/trials.csv").is_file()


@pytest.mark.parametrize("file", ["report.json", "specs/best.json", "specs/trial-*.json"])
def test_a_result_that_has_no_room_is_an_error_that_says_how_to_go_on(
    search: Search, effsearch: Effsearch, file: str
) -> None:
    ended = search(Path(file).name)
    refuses(
        ended,
        1,
        f"cannot write run/{file[:6]}",
        f"{FULL}; make room, then the same command with the same --run",
    )
    assert ended.err.count("goes on") == 1
    assert "ended well" not in ended.err
    assert effsearch(*LINE.split(), "--json").json["trials"] == 14


def test_a_read_only_disk_is_to_be_mended_and_needs_no_room(search: Search) -> None:
    words = "Read-only file system; once that is mended, the same command with the same --run goes on"
    refuses(search("report.json", errno.EROFS), 1, words)
