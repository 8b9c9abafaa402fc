import errno
import fcntl
import warnings
from pathlib import Path

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from effsearch.search.study import (
    NETWORK_ATTRIBUTE,
    JournalStudy,
    distributions_of,
    finished_trial,
    memory_study,
)
from effsearch.space.errors import RunError
from effsearch.space.search_space import SearchSpace


def read(path: Path, study_name: str = "run") -> list[optuna.trial.FrozenTrial]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        storage = JournalStorage(JournalFileBackend(str(path)))
    return optuna.load_study(study_name=study_name, storage=storage).trials


def trial(space: SearchSpace, index: int, *, value: float | None = 0.5) -> optuna.trial.FrozenTrial:
    values = None if value is None else (value,)
    return finished_trial(space, space.labels_at((index,)), values=values, network=f"network-{index}")


def test_every_dimension_is_a_categorical_choice_by_its_name(widths: SearchSpace) -> None:
    (dimension,) = widths.dimensions
    assert distributions_of(widths)[dimension.name].choices == (8, 16, 24, 32, 40, 48)


def test_a_finished_trial_keeps_choices_value_and_network(widths: SearchSpace) -> None:
    good, failed = trial(widths, 2, value=0.25), trial(widths, 3, value=None)
    assert good.params == {"stage1.channels": 24}
    assert (good.value, good.state) == (0.25, TrialState.COMPLETE)
    assert good.user_attrs == {NETWORK_ATTRIBUTE: "network-2"}
    assert (failed.value, failed.state) == (None, TrialState.FAIL)


def test_the_journal_is_read_by_optunas_own_tools(widths: SearchSpace, tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    study = JournalStudy(path, study_name="run")
    study.add(trial(widths, 0, value=0.25))
    study.add(trial(widths, 1, value=None))
    found = [(one.params, one.value, one.state, one.user_attrs) for one in read(path)]
    assert found == [
        ({"stage1.channels": 8}, 0.25, TrialState.COMPLETE, {"network": "network-0"}),
        ({"stage1.channels": 16}, None, TrialState.FAIL, {"network": "network-1"}),
    ]


def test_a_network_is_written_once_over_all_resumes(widths: SearchSpace, tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    for _ in range(2):
        study = JournalStudy(path, study_name="run")
        for index in (0, 1, 0):
            study.add(trial(widths, index))
    assert [one.user_attrs["network"] for one in read(path)] == ["network-0", "network-1"]


def test_two_studies_share_one_journal(widths: SearchSpace, tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    for name, index in (("run", 0), ("screen", 1)):
        JournalStudy(path, study_name=name).add(trial(widths, index))
    assert [one.user_attrs["network"] for one in read(path, "run")] == ["network-0"]
    assert [one.user_attrs["network"] for one in read(path, "screen")] == ["network-1"]


def test_two_objectives_are_a_score_to_raise_and_a_cost_to_lower(widths: SearchSpace, tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    labels = [widths.labels_at((index,)) for index in (0, 1, 2)]
    trials = [
        finished_trial(widths, labels[0], values=(0.5, 10.0), network="a"),
        finished_trial(widths, labels[1], values=(0.6, 20.0), network="b"),
        finished_trial(widths, labels[2], values=(0.6, 30.0), network="c"),
    ]
    study_file = JournalStudy(path, study_name="run", has_two_objectives=True)
    for one in trials:
        study_file.add(one)
    study = memory_study(optuna.samplers.RandomSampler(seed=0), has_two_objectives=True)
    study.add_trials(read(path))
    assert [one.user_attrs[NETWORK_ATTRIBUTE] for one in study.best_trials] == ["a", "b"]


def test_a_journal_is_mended_under_its_lock_before_it_is_read(widths: SearchSpace, tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    JournalStudy(path, study_name="run").add(trial(widths, 0))
    with path.open("ab") as file:
        file.write(b'{"op_code": 4, "worker')

    def mend(given: Path) -> None:
        with (tmp_path / "study.journal.lock").open("rb") as lock, pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        given.write_bytes(given.read_bytes().rpartition(b"\n")[0] + b"\n")

    JournalStudy(path, study_name="run", mend=mend).add(trial(widths, 1))
    assert [one.user_attrs["network"] for one in read(path)] == ["network-0", "network-1"]


def test_a_journal_that_makes_no_sense_says_how_to_get_a_new_one(widths: SearchSpace, tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    JournalStudy(path, study_name="run").add(trial(widths, 0))
    path.write_text(path.read_text().replace('"op_code":4', '"op_code":77'))
    with pytest.raises(RunError, match=r"study\.journal is damaged.*effsearch repair .* puts it aside"):
        JournalStudy(path, study_name="run")


def test_a_journal_that_cannot_be_written_is_one_line(
    widths: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "study.journal"
    study = JournalStudy(path, study_name="run")

    def fail(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(RunError, match=r"cannot write .*study\.journal: No space left on device"):
        study.add(trial(widths, 0))
    with pytest.raises(RunError, match=r"cannot write .*missing/study\.journal"):
        JournalStudy(tmp_path / "missing" / "study.journal", study_name="run")


def test_a_file_system_without_such_locks_is_written_all_the_same(
    widths: SearchSpace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("effsearch.search.study.fcntl.flock", refuse)
    JournalStudy(tmp_path / "study.journal", study_name="run").add(trial(widths, 0))
    assert len(read(tmp_path / "study.journal")) == 1


def test_a_lock_left_by_a_dead_process_holds_up_nobody(widths: SearchSpace, tmp_path: Path) -> None:
    path = tmp_path / "study.journal"
    JournalStudy(path, study_name="run").add(trial(widths, 0))
    assert (tmp_path / "study.journal.lock").exists()  # the file stays, the lock is the kernel's
    JournalStudy(path, study_name="run").add(trial(widths, 1))
    assert len(read(path)) == 2
