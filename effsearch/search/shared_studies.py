"""How do studies get to a data base that is slow, far or away, without holding up the search?

A thread of its own writes them: the search only hands over finished trials. A data base that goes away costs nothing
but time, because the ledger is the record: trials wait, in order, and every new connection first reads what is there.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from effsearch.search.study import WrittenStudy
from effsearch.space.errors import RunError

OWNER_ATTRIBUTE = "run_created"  # user attribute of a study: when its run began
# Seconds between attempts. The first is for a connection that was merely stale, and nothing is said of it.
PAUSES = (0.5, 2.0, 5.0, 15.0)
HANG_SECONDS = 30.0  # the end of a search waits so long for a sign of life
HURRIED_SECONDS = 2.0  # and so long in all where somebody has stopped it


@dataclass(frozen=True, slots=True, kw_only=True)
class Lag:
    """What a data base does not have at the end."""

    num_trials: int
    reason: str


class SharedStudies:
    """The studies of one run in a storage that others use too; named `prefix/name`.

    Args:
        open_storage: Gives the storage; is called again after every failure.
        studies: The names of the studies and whether each has two objectives. The first is opened here, so that
            what is wrong is said before anything is trained, and written before the others.
        prefix: Tells the run from others in the storage.
        owner: The same for runs of one name.
        say: Is told when the data base goes away, and when it is up to date again.
        reason_of: Puts an error into words.

    Raises:
        RunError: The first study belongs to another run.
        Exception: Whatever else the storage raises.
    """

    def __init__(
        self,
        open_storage: Callable[[], BaseStorage],
        *,
        studies: Mapping[str, bool],
        prefix: str,
        owner: str,
        say: Callable[[str], None],
        reason_of: Callable[[Exception], str] = str,
    ) -> None:
        self._open_storage = open_storage
        self._has_two_objectives = dict(studies)
        self._prefix = prefix
        self._owner = owner
        self._say = say
        self._reason_of = reason_of
        self._storage: BaseStorage | None = None
        self._opened: dict[str, WrittenStudy] = {}
        self._waiting: dict[str, deque[FrozenTrial]] = {name: deque() for name in studies}
        self._changed = threading.Condition()
        self._is_closing = False
        self._is_abandoned = False
        self._last_sign = time.monotonic()
        self._reason = ""
        self._study(next(iter(studies)))
        self._thread = threading.Thread(target=self._write_all, name="effsearch studies", daemon=True)
        self._thread.start()

    def add(self, name: str, trial: FrozenTrial) -> None:
        """Hand over a finished trial; it is written when the storage takes it, unless its network is there."""
        with self._changed:
            self._waiting[name].append(trial)
            self._changed.notify()

    @property
    def num_waiting(self) -> int:
        """Trials that are not yet written."""
        return sum(map(len, self._waiting.values()))

    def close(self, *, is_hurried: bool = False) -> Lag | None:
        """Write what waits, with one retry, and say what could not be written.

        Args:
            is_hurried: Do not wait for a storage that takes long: somebody has stopped the search.
        """
        with self._changed:
            self._is_closing = True
            self._last_sign = time.monotonic()
            self._changed.notify()
        started = time.monotonic()
        while self._thread.is_alive():
            self._thread.join(0.05)
            since, most = (started, HURRIED_SECONDS) if is_hurried else (self._last_sign, HANG_SECONDS)
            if time.monotonic() - since > most:
                break
        self._is_abandoned = True
        if not self.num_waiting:
            return None
        return Lag(num_trials=self.num_waiting, reason=self._reason or "it does not answer")

    def _write_all(self) -> None:
        num_failures = num_at_the_end = 0
        while (first := self._first_waiting()) is not None:
            name, trial = first
            try:
                self._study(name).add(trial)
            except Exception as error:  # a copy of the record never stops a search, whatever a driver raises
                num_failures += 1
                self._storage, self._opened = None, {}
                self._reason = self._reason_of(error)
                if num_failures == 2 and not self._is_closing:
                    self._say(
                        "the Optuna studies lag and are brought up to date later, the search goes on: "
                        f"{self._reason}"
                    )
                num_at_the_end += self._is_closing
                if num_at_the_end == 2:
                    return
                self._pause(PAUSES[min(num_failures, len(PAUSES)) - 1])
                continue
            self._last_sign = time.monotonic()
            with self._changed:
                self._waiting[name].popleft()
                is_up_to_date = not any(self._waiting.values())
            if is_up_to_date and num_failures > 1:
                self._say("the Optuna studies are up to date again")
            if is_up_to_date:
                num_failures, self._reason = 0, ""

    def _first_waiting(self) -> tuple[str, FrozenTrial] | None:
        """Wait for a trial to write; None at the end."""
        with self._changed:
            while not any(self._waiting.values()):
                if self._is_closing:
                    return None
                self._changed.wait()
            if self._is_abandoned:
                return None
            return next((name, trials[0]) for name, trials in self._waiting.items() if trials)

    def _pause(self, seconds: float) -> None:
        end = time.monotonic() + (min(seconds, PAUSES[0]) if self._is_closing else seconds)
        with self._changed:
            was_closing = self._is_closing
            while (left := end - time.monotonic()) > 0 and self._is_closing == was_closing:
                self._changed.wait(left)

    def _study(self, name: str) -> WrittenStudy:
        if self._storage is None:
            self._storage = self._open_storage()
        if name not in self._opened:
            study_name = f"{self._prefix}/{name}"
            written = WrittenStudy(
                self._storage, study_name=study_name, has_two_objectives=self._has_two_objectives[name]
            )
            self._claim(written, study_name)
            self._opened[name] = written
        return self._opened[name]

    def _claim(self, written: WrittenStudy, study_name: str) -> None:
        owner = written.study.user_attrs.get(OWNER_ATTRIBUTE)
        if owner is None and not written.study.get_trials(deepcopy=False):
            written.study.set_user_attr(OWNER_ATTRIBUTE, self._owner)
        elif owner != self._owner:
            raise RunError(
                f"--storage: the study {study_name!r} is another run's, begun {owner or 'elsewhere'}: give --run "
                "another name, or delete that study with `optuna delete-study`"
            )
