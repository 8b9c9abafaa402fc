"""Studies in a data base that others use, that is slow, or that goes away."""

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import BaseStorage, InMemoryStorage

from effsearch.search import shared_studies
from effsearch.search.shared_studies import SharedStudies
from effsearch.search.study import finished_trial
from effsearch.search.study_storage import connect
from effsearch.space.errors import RunError
from effsearch.space.search_space import SearchSpace

Trial = Callable[[int], optuna.trial.FrozenTrial]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_studies, "PAUSES", (0.01, 0.02))


@pytest.fixture
def trial(widths: SearchSpace) -> Trial:
    def make(index: int) -> optuna.trial.FrozenTrial:
        labels = widths.labels_at((index % 6,))
        return finished_trial(widths, labels, values=(index / 10,), network=f"network-{index}")

    return make


class Flaky:
    """A data base that can go away: it keeps what it has and lets nobody in."""

    def __init__(self) -> None:
        self.storage = InMemoryStorage()
        self.is_away = False
        self.num_refused = 0
        self.num_opened = 0

    def open(self) -> BaseStorage:
        self._check()
        self.num_opened += 1
        flaky = self

        class Connection:
            def __getattr__(self, name: str) -> Any:
                flaky._check()
                return getattr(flaky.storage, name)

        return Connection()  # type: ignore[return-value]  # stands for one

    def _check(self) -> None:
        if self.is_away:
            self.num_refused += 1
            raise ConnectionError("the server is away")


class Said(list[str]):
    """What the search is told, and a way to wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.changed = threading.Event()

    def __call__(self, text: str) -> None:
        self.append(text)
        self.changed.set()

    def wait(self) -> None:
        assert self.changed.wait(10), "nothing was said"
        self.changed.clear()


@pytest.fixture
def said() -> Said:
    return Said()


def share(open_storage: Callable[[], BaseStorage], said: Said, *, owner: str = "now") -> SharedStudies:
    return SharedStudies(
        open_storage,
        studies={"run": False, "screen": False},
        prefix="photos",
        owner=owner,
        say=said,
    )


def networks_in(storage: BaseStorage, name: str = "photos/run") -> list[str]:
    study = optuna.load_study(study_name=name, storage=storage)
    return [one.user_attrs["network"] for one in study.trials]


def test_each_network_is_written_once_over_all_resumes(tmp_path: Path, said: Said, trial: Trial) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    for indices in ((0, 1, 0), (0, 1, 2)):
        studies = share(lambda: connect(url), said)
        for index in indices:
            studies.add("run", trial(index))
        studies.add("screen", trial(5))
        assert studies.close() is None
    assert networks_in(connect(url)) == ["network-0", "network-1", "network-2"]
    assert networks_in(connect(url), "photos/screen") == ["network-5"]
    assert said == []


def test_a_written_trial_is_the_one_that_was_handed_over(tmp_path: Path, said: Said, trial: Trial) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    studies = share(lambda: connect(url), said)
    studies.add("run", trial(3))
    studies.close()
    (found,) = optuna.load_study(study_name="photos/run", storage=connect(url)).trials
    given = trial(3)
    assert (found.params, found.values, found.state) == (given.params, given.values, given.state)
    assert (found.distributions, found.user_attrs) == (given.distributions, given.user_attrs)


def test_a_data_base_that_goes_away_gets_everything_when_it_is_back(said: Said, trial: Trial) -> None:
    base = Flaky()
    studies = share(base.open, said)
    base.is_away = True
    for index in range(4):
        studies.add("run", trial(index))
    said.wait()
    assert said == [
        "the Optuna studies lag and are brought up to date later, the search goes on: the server is away"
    ]
    while base.num_refused < 6:  # it is not said again
        threading.Event().wait(0.01)
    base.is_away = False
    said.wait()
    assert said[1:] == ["the Optuna studies are up to date again"]
    assert studies.close() is None
    assert networks_in(base.storage) == [f"network-{index}" for index in range(4)]


def test_a_trial_whose_receipt_was_lost_is_not_written_twice(said: Said, trial: Trial) -> None:
    base = Flaky()
    create = base.storage.create_new_trial
    num_lost = 0

    def lose_receipt(*arguments: Any, **options: Any) -> int:
        nonlocal num_lost
        number = create(*arguments, **options)
        if num_lost == 0:
            num_lost += 1
            raise ConnectionError("the server went away before it answered")
        return number

    base.storage.create_new_trial = lose_receipt  # type: ignore[method-assign]  # around its own
    studies = share(base.open, said)
    studies.add("run", trial(0))
    studies.add("run", trial(1))
    assert studies.close() is None
    assert networks_in(base.storage) == ["network-0", "network-1"]
    assert (num_lost, base.num_opened, said) == (1, 2, [])


def test_the_end_tries_once_more_and_then_says_what_is_missing(said: Said, trial: Trial) -> None:
    base = Flaky()
    studies = share(base.open, said)
    studies.add("run", trial(0))
    while studies.num_waiting:
        threading.Event().wait(0.01)
    base.is_away = True
    studies.add("run", trial(1))
    studies.add("screen", trial(2))
    lag = studies.close()
    assert lag is not None
    assert (lag.num_trials, lag.reason) == (2, "the server is away")
    base.is_away = False
    again = share(base.open, said)  # a resume hands over all the ledger has
    for name, index in (("run", 0), ("run", 1), ("screen", 2)):
        again.add(name, trial(index))
    assert again.close() is None
    assert networks_in(base.storage) == ["network-0", "network-1"]
    assert networks_in(base.storage, "photos/screen") == ["network-2"]


@pytest.mark.parametrize(("is_hurried", "limit"), [(True, "HURRIED_SECONDS"), (False, "HANG_SECONDS")])
def test_a_data_base_that_hangs_holds_up_nobody(
    is_hurried: bool, limit: str, said: Said, trial: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shared_studies, limit, 0.2)
    base, answers = Flaky(), threading.Event()
    studies = share(base.open, said)
    create = base.storage.create_new_trial

    def hang(*arguments: Any, **options: Any) -> int:
        answers.wait(10)
        return create(*arguments, **options)

    base.storage.create_new_trial = hang  # type: ignore[method-assign]  # around its own
    for index in (0, 1):
        studies.add("run", trial(index))
    lag = studies.close(is_hurried=is_hurried)
    assert lag is not None
    assert (lag.num_trials, lag.reason) == (2, "it does not answer")
    answers.set()
    while studies.num_waiting > 1:
        threading.Event().wait(0.01)
    assert networks_in(base.storage) == ["network-0"]  # what was under way; nothing is begun after the end


def test_another_run_of_the_same_name_is_refused(said: Said, trial: Trial) -> None:
    base = Flaky()
    share(base.open, said, owner="monday").close()
    share(base.open, said, owner="monday").close()
    with pytest.raises(
        RunError, match="'photos/run' is another run's, begun monday: give --run another name"
    ):
        share(base.open, said, owner="tuesday")
    optuna.create_study(study_name="else/run", storage=base.storage).add_trial(trial(0))
    with pytest.raises(RunError, match="another run's, begun elsewhere"):
        SharedStudies(base.open, studies={"run": False}, prefix="else", owner="monday", say=said)


def test_a_data_base_that_is_away_at_the_start_is_an_error(said: Said) -> None:
    base = Flaky()
    base.is_away = True
    with pytest.raises(ConnectionError, match="the server is away"):
        share(base.open, said)


def test_a_reader_of_a_sqlite_file_and_its_writer_meet_no_locks(
    tmp_path: Path, said: Said, trial: Trial
) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    studies = share(lambda: connect(url), said)
    reader = optuna.storages.RDBStorage(url)  # as Optuna's tools open it
    for index in range(6):
        studies.add("run", trial(index))
    while studies.num_waiting:
        networks_in(reader)
    assert studies.close() is None
    assert len(networks_in(reader)) == 6
    assert said == []


def test_a_reader_that_stays_in_a_sqlite_file_is_waited_for(tmp_path: Path, said: Said, trial: Trial) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    studies = share(lambda: connect(url), said)
    sitting = sqlite3.connect(tmp_path / "studies.db", isolation_level=None)
    sitting.execute("BEGIN")
    sitting.execute("SELECT * FROM trials").fetchall()
    studies.add("run", trial(0))
    threading.Event().wait(0.3)
    assert studies.num_waiting == 1
    sitting.execute("COMMIT")
    sitting.close()
    assert studies.close() is None
    assert said == []
    assert networks_in(connect(url)) == ["network-0"]
