"""What does Optuna see of a search?

Its sampler works on a study in memory. Each finished trial is also written whole to a journal file in the run
directory, with one `add_trial`: no half trial, no stale running one. The ledger stays the record; the journal is
brought up to date from it. `shared_studies` writes the same to a data base.
"""

import errno
import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.storages import BaseStorage, JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from effsearch.space.errors import RunError
from effsearch.space.search_space import Label, SearchSpace

if TYPE_CHECKING:
    from io import BufferedRandom

_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}
NETWORK_ATTRIBUTE = "network"  # user attribute with the canonical hash


def distributions_of(space: SearchSpace) -> dict[str, CategoricalDistribution]:
    """Give each dimension of a space as an Optuna distribution."""
    return {dimension.name: CategoricalDistribution(dimension.labels) for dimension in space.dimensions}


def memory_study(sampler: optuna.samplers.BaseSampler, *, has_two_objectives: bool = False) -> optuna.Study:
    """Give an in-memory study that maximises a score and, where asked, minimises a cost beside it."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(directions=_directions(has_two_objectives), sampler=sampler)


def finished_trial(
    space: SearchSpace, labels: Mapping[str, Label], *, values: Sequence[float] | None, network: str
) -> FrozenTrial:
    """Give a trial that has ended: complete with a value for each objective, failed without any."""
    return optuna.trial.create_trial(
        params=dict(labels),
        distributions=dict(distributions_of(space)),
        values=None if values is None else list(values),
        state=TrialState.FAIL if values is None else TrialState.COMPLETE,
        user_attrs={NETWORK_ATTRIBUTE: network},
    )


def leave_alone(path: Path) -> None:
    """Nothing: the default where a journal needs no mending."""


def _directions(has_two_objectives: bool) -> list[StudyDirection]:
    one = StudyDirection.MAXIMIZE
    return [one, StudyDirection.MINIMIZE] if has_two_objectives else [one]


class WrittenStudy:
    """A study that is only added to: one trial for each network."""

    def __init__(self, storage: BaseStorage, *, study_name: str, has_two_objectives: bool = False) -> None:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.create_study(
            study_name=study_name,
            storage=storage,
            directions=_directions(has_two_objectives),
            load_if_exists=True,
        )
        trials = self.study.get_trials(deepcopy=False)
        self._networks = {trial.user_attrs.get(NETWORK_ATTRIBUTE) for trial in trials}

    def add(self, trial: FrozenTrial) -> None:
        """Write a finished trial, unless the study has one of that network."""
        network = trial.user_attrs[NETWORK_ATTRIBUTE]
        if network not in self._networks:
            self.study.add_trial(trial)
            self._networks.add(network)


class JournalStudy(WrittenStudy):
    """A study in the run directory's journal file, for Optuna's own tools.

    Args:
        path: Of the journal; made where it is missing.
        study_name: Of the study, one of several in the file.
        has_two_objectives: Whether a trial has a cost beside its score.
        mend: Is handed the path, under the journal's lock, before the journal is read: Optuna reads none whose last
            line is torn.

    Raises:
        RunError: It cannot be written, or what it says makes no sense.
    """

    def __init__(
        self,
        path: Path,
        *,
        study_name: str,
        has_two_objectives: bool = False,
        mend: Callable[[Path], object] = leave_alone,
    ) -> None:
        self._path = path
        with self._errors():
            lock = FileLock(path)
            lock.acquire()
            try:
                mend(path)
            finally:
                lock.release()
            try:
                storage = journal_storage(path, lock)
                super().__init__(storage, study_name=study_name, has_two_objectives=has_two_objectives)
            except OSError:
                raise
            except Exception as error:  # whole lines of JSON that make no sense raise whatever they meet
                reason = f"{type(error).__name__}: {error}"
                raise RunError(
                    f"{path} is damaged, Optuna cannot replay it ({reason}); effsearch repair {path.parent} puts it "
                    "aside, and the next call writes it anew from the ledger"
                ) from error

    def add(self, trial: FrozenTrial) -> None:
        """Write a finished trial, unless the study has one of that network.

        Raises:
            RunError: It cannot be written; the next call cuts off what there is of it, and writes it anew.
        """
        with self._errors():
            super().add(trial)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise RunError(f"cannot write {self._path}: {error.strerror or error}") from error


def journal_storage(path: Path, lock: "FileLock | None" = None) -> JournalStorage:
    """Give the storage of a run's journal as it is configured here: synced files under a lock of the kernel's."""
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock or FileLock(path)))


class FileLock(JournalFileOpenLock):
    """An flock on a file beside the journal: the kernel frees it when its holder dies."""

    def __init__(self, path: Path) -> None:
        super().__init__(str(path))
        self._path = path.with_name(path.name + ".lock")
        self._file: BufferedRandom | None = None

    def acquire(self) -> bool:
        """Wait for the lock; a network file system without such locks goes by who owns the run."""
        self._file = open(self._path, "a+b")  # noqa: SIM115 - held until release
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
        return True

    def release(self) -> None:
        """Let others in."""
        assert self._file is not None
        self._file.close()
        self._file = None
