import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from effsearch.results.ledger_entry import LedgerEntry
from effsearch.results.spent import seconds_spent, seconds_until
from effsearch.results.supernet_files import SupernetFiles
from effsearch.space.errors import RunError
from effsearch.space.supernet_work import RoundResult

from .conftest import MakeEntry

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Started at 0, 100 and 1,000 seconds; the supernet's rounds ended at 10 and 30."""
    starts = {"starts": [{"time": at(seconds).isoformat()} for seconds in (0, 100, 1_000)]}
    (tmp_path / "environment.json").write_text(json.dumps(starts))
    files = SupernetFiles(tmp_path / "supernet")
    files.folder.mkdir()
    for index, seconds in enumerate((10, 30)):
        result = RoundResult(train_loss=2.0, num_images_seen=64, core_seconds=9.0)
        files.note(index, result, now=at(seconds))
    return tmp_path


def test_each_start_counts_up_to_its_last_record(run: Path, make_entry: MakeEntry) -> None:
    def ended(*seconds: float) -> list[LedgerEntry]:
        return [make_entry(time=at(one).isoformat()) for one in seconds]

    assert seconds_spent(run, ended()) == 30, "the rounds alone"
    assert seconds_spent(run, ended(20)) == 30
    assert seconds_spent(run, ended(50, 160, 150)) == 50 + 60
    assert seconds_spent(run, ended(50, 160, 1_007)) == 50 + 60 + 7


def test_a_run_without_a_record_of_its_starts_has_spent_nothing(
    tmp_path: Path, make_entry: MakeEntry
) -> None:
    assert seconds_spent(tmp_path, [make_entry()]) == 0


def test_rounds_of_an_earlier_version_do_not_say_when_they_ended(run: Path, make_entry: MakeEntry) -> None:
    (run / "supernet" / "rounds.jsonl").write_text('{"round": 0, "core_seconds": 9.0}\n')
    assert seconds_spent(run, [make_entry(time=at(50).isoformat())]) == 50


@pytest.mark.parametrize("start", [{}, {"time": "noon"}, 3])
def test_a_start_without_its_time_is_one_line(run: Path, start: object) -> None:
    (run / "environment.json").write_text(json.dumps({"starts": [start]}))
    with pytest.raises(RunError, match=r"environment\.json does not say when the run was started"):
        seconds_spent(run, [])


def test_work_until_an_event_leaves_out_the_pauses_before_it() -> None:
    assert seconds_until([100.0, 1_000.0], [160.0, 130.0, 1_020.0, 50.0]) == [60.0, 30.0, 80.0, 0.0]
    assert seconds_until([], [160.0]) == [0.0]
    assert seconds_until([100.0], []) == []
