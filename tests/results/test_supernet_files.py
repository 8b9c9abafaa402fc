from datetime import UTC, datetime
from pathlib import Path

import pytest

from effsearch.results.json_files import read_json
from effsearch.results.supernet_files import SupernetFiles, second_of, supernet_of
from effsearch.space.errors import RunError
from effsearch.space.outcome import Fidelity
from effsearch.space.supernet_work import RoundResult, SupernetPlan

PLAN = SupernetPlan(
    fidelity=Fidelity(num_images=8, num_epochs=1, resolution=8),
    num_steps=9,
    num_rounds=3,
    num_replicas=2,
    sharing="sliced",
    seed=0,
)

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def files(tmp_path: Path) -> SupernetFiles:
    return SupernetFiles(tmp_path)


def finish(files: SupernetFiles, round_index: int, replica: int) -> None:
    files.path(round_index, replica).write_bytes(b"weights")


def test_a_round_is_whole_when_every_replica_has_ended_it(files: SupernetFiles) -> None:
    assert files.next_round(PLAN) == 0
    finish(files, 0, 1)
    assert files.next_round(PLAN) == 0
    assert files.is_there(0, 1)
    assert not files.is_there(0, 0)
    finish(files, 0, 0)
    assert files.next_round(PLAN) == 1


def test_the_last_whole_round_counts_where_older_ones_are_gone(files: SupernetFiles) -> None:
    finish(files, 1, 0)
    finish(files, 1, 1)
    finish(files, 2, 0)
    assert files.next_round(PLAN) == 2
    finish(files, 2, 1)
    assert files.next_round(PLAN) == PLAN.num_rounds


def test_a_file_still_being_written_does_not_count(files: SupernetFiles) -> None:
    for replica in range(2):
        path = files.path(0, replica)
        path.with_name(f".{path.name}.part").write_bytes(b"half")
    assert files.next_round(PLAN) == 0


def test_every_round_and_replica_has_a_file_of_its_own(files: SupernetFiles) -> None:
    paths = [path for index in range(3) for path in files.of_round(index, PLAN)]
    assert len(set(paths)) == 6
    assert {path.parent for path in paths} == {files.folder}
    assert files.of_round(-1, PLAN) == ()


def test_forgetting_a_round_leaves_the_others(files: SupernetFiles) -> None:
    for index in range(2):
        for replica in range(2):
            finish(files, index, replica)
    files.forget(0, PLAN)
    files.forget(0, PLAN)  # nothing is there any more
    files.forget(-1, PLAN)
    assert sorted(files.folder.iterdir()) == sorted(files.of_round(1, PLAN))


def test_what_the_rounds_cost_adds_up_over_resumes(files: SupernetFiles) -> None:
    assert files.core_seconds() == 0
    for core_seconds in (0.5, 1.25):
        files.note(0, RoundResult(train_loss=2.0, num_images_seen=64, core_seconds=core_seconds), now=NOW)
    assert SupernetFiles(files.folder).core_seconds() == 1.75
    assert files.next_round(PLAN) == 0  # a note is no weights


def test_a_note_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    files = SupernetFiles(tmp_path / "missing")
    with pytest.raises(RunError, match=r"cannot write .*rounds\.jsonl"):
        files.note(0, RoundResult(train_loss=2.0, num_images_seen=64, core_seconds=1.0), now=NOW)


def test_a_scoring_is_marked_as_ended_once(tmp_path: Path) -> None:
    files = SupernetFiles(tmp_path / "supernet")
    assert not files.is_scored
    files.mark_scored(num_networks=7, num_failed=1)
    assert files.is_scored
    assert read_json(tmp_path / "screened.json") == {"networks": 7, "failed": 1}


def test_both_supernets_of_a_run_have_places_and_marks_of_their_own(tmp_path: Path) -> None:
    first, second = supernet_of(tmp_path), second_of(tmp_path)
    assert first.path(0, 0) != second.path(0, 0)
    first.mark_scored(num_networks=7, num_failed=0)
    assert first.is_scored
    assert not second.is_scored
    second.mark_scored(num_networks=3, num_failed=0)
    assert read_json(tmp_path / "screened.json")["networks"] == 7


def test_a_torn_line_of_costs_is_passed_over(tmp_path: Path) -> None:
    files = SupernetFiles(tmp_path)
    files.note(0, RoundResult(train_loss=1.0, num_images_seen=64, core_seconds=2.5), now=NOW)
    with (tmp_path / "rounds.jsonl").open("a") as file:
        file.write('{"round": 1, "core_sec')
    assert files.core_seconds() == 2.5


def test_a_note_behind_a_torn_line_is_not_lost(tmp_path: Path) -> None:
    files = SupernetFiles(tmp_path)
    result = RoundResult(train_loss=1.0, num_images_seen=64, core_seconds=2.5)
    files.note(0, result, now=NOW)
    with (tmp_path / "rounds.jsonl").open("ab") as file:
        file.write(b'{"round": 1, "core_sec\xff')
    files.note(1, result, now=NOW)
    files.note(2, result, now=NOW)
    assert [line["round"] for line in files.rounds()] == [0, 1, 2]
    assert files.core_seconds() == 7.5
