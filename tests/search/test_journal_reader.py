import os
from collections.abc import Iterator
from pathlib import Path

import optuna
import pytest
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial

from effsearch.search.journal_reader import read_journal
from effsearch.search.study import JournalStudy, finished_trial
from effsearch.space.errors import RunError
from effsearch.space.search_space import SearchSpace


def trial(space: SearchSpace, index: int, *values: float) -> FrozenTrial:
    return finished_trial(space, space.labels_at((index,)), values=values or None, network=f"network-{index}")


def trials_of(storage: BaseStorage) -> dict[str, list[FrozenTrial]]:
    return {one.study_name: storage.get_all_trials(one._study_id) for one in storage.get_all_studies()}


@pytest.fixture
def journal(widths: SearchSpace, tmp_path: Path) -> Path:
    """Two studies, one of them with two objectives, a failure, and a trial of each by turns."""
    path = tmp_path / "study.journal"
    first = JournalStudy(path, study_name="baseline", has_two_objectives=True)
    second = JournalStudy(path, study_name="screen")
    for index in range(3):
        first.add(trial(widths, index, index / 4, 1e6) if index != 1 else trial(widths, index))
        second.add(trial(widths, index, -index / 4))
    return path


@pytest.fixture
def journal_storage(journal: Path) -> Iterator[JournalStorage]:
    with read_journal(journal) as storage:
        yield storage


def test_every_trial_is_there_as_optuna_itself_reads_it(
    journal: Path, journal_storage: JournalStorage
) -> None:
    expected = JournalStorage(JournalFileBackend(str(journal)))
    found = trials_of(journal_storage)
    assert found == trials_of(expected)
    assert {name: len(trials) for name, trials in found.items()} == {"baseline": 3, "screen": 3}
    assert [one.directions for one in journal_storage.get_all_studies()] == [
        one.directions for one in expected.get_all_studies()
    ]


def test_a_journal_cut_at_any_byte_of_its_last_line_gives_the_whole_trials(journal: Path) -> None:
    text = journal.read_bytes()
    last = text.rstrip(b"\n").rfind(b"\n") + 1
    whole = JournalStorage(JournalFileBackend(str(journal)))
    without_last = trials_of(whole)
    without_last["screen"] = without_last["screen"][:2]
    for end in range(last, len(text)):
        journal.write_bytes(text[:end])
        with read_journal(journal) as storage:
            assert trials_of(storage) == without_last, end


def test_a_line_is_taken_when_it_is_whole_however_it_comes(journal: Path) -> None:
    text = journal.read_bytes()
    last = text.rstrip(b"\n").rfind(b"\n") + 1
    journal.write_bytes(text[: last + 7])
    with read_journal(journal) as storage:
        assert len(trials_of(storage)["screen"]) == 2
        with journal.open("r+b") as file:
            file.truncate(last)  # as a resume does
        assert len(trials_of(storage)["screen"]) == 2
        for start in range(last, len(text), 50):
            with journal.open("ab") as file:
                file.write(text[start : start + 50])
            assert len(trials_of(storage)["screen"]) == (3 if start + 50 >= len(text) else 2)
        assert trials_of(storage) == trials_of(JournalStorage(JournalFileBackend(str(journal))))


def test_what_a_search_adds_is_seen_and_the_search_sees_nothing(widths: SearchSpace, journal: Path) -> None:
    search = JournalStudy(journal, study_name="baseline", has_two_objectives=True)
    with read_journal(journal) as storage:
        for index in (3, 4, 5):
            search.add(trial(widths, index, 0.5, 2e6))
            assert trials_of(storage)["baseline"] == search.study.get_trials()
        assert len(search.study.get_trials()) == 6


def test_a_copy_cannot_be_written_to_and_reading_leaves_no_trace(journal: Path, widths: SearchSpace) -> None:
    before = {one.name: (one.read_bytes(), one.stat().st_mtime_ns) for one in journal.parent.iterdir()}
    folder = journal.parent.stat().st_mtime_ns
    num_open = len(os.listdir("/dev/fd"))
    with read_journal(journal) as storage:
        study = optuna.load_study(study_name="screen", storage=storage)
        with pytest.raises(AssertionError, match="only read"):
            study.add_trial(trial(widths, 5, 0.5))
    assert {
        one.name: (one.read_bytes(), one.stat().st_mtime_ns) for one in journal.parent.iterdir()
    } == before
    assert journal.parent.stat().st_mtime_ns == folder
    assert len(os.listdir("/dev/fd")) == num_open


def test_a_run_that_is_deleted_and_begun_again_does_not_mix_with_the_old_one(
    widths: SearchSpace, journal: Path
) -> None:
    with read_journal(journal) as storage:
        before = trials_of(storage)
        journal.unlink()
        assert trials_of(storage) == before
        JournalStudy(journal, study_name="screen").add(trial(widths, 5, 0.75))
        assert trials_of(storage) == before


def test_a_file_that_is_no_journal_is_refused_with_its_line(journal: Path) -> None:
    for line in (b"{torn\n", b"[]\n", b"7\n", b"{}\n", b"\xff\n", b"\n"):
        text = journal.read_bytes()
        num_lines = text.count(b"\n")
        journal.write_bytes(text + line)
        with (
            pytest.raises(RunError, match=rf"study.journal line {num_lines + 1} is damaged: "),
            read_journal(journal),
        ):
            pass
        journal.write_bytes(text)
    with pytest.raises(RunError, match=r"cannot read .*nowhere: No such file"), read_journal(Path("nowhere")):
        pass


@pytest.mark.parametrize(
    "line",
    [
        '{"op_code": 99, "worker_id": "w"}',
        '{"op_code": 0}',
        '{"op_code": 0, "worker_id": "w", "study_name": [], "directions": "x"}',
        '{"op_code": 0, "op_code": 0}',
        '{"op_code": 1e400}',
        "[" * 100_000,
    ],
)
def test_lines_that_optuna_stumbles_over_are_one_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "study.journal"
    path.write_text(line + "\n")
    with pytest.raises(RunError, match=r"no journal of Optuna's|line 1 is damaged"), read_journal(path):
        pass
    with pytest.raises(RunError, match="is damaged, Optuna cannot replay it"):
        JournalStudy(path, study_name="baseline")
