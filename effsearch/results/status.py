"""What is a run doing right now, for another terminal?

`status.json` in the run directory says what the driver last did. It is replaced whole but not synced: after a crash
it is worth nothing, and a search must not wait for it.
"""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from effsearch.results.bounded_files import read_bounded
from effsearch.results.json_files import read_json
from effsearch.results.owner import is_alive, read_owner
from effsearch.results.run_files import LOCK_FILE
from effsearch.space.errors import RunError, UsageError
from effsearch.space.slot_status import SlotStatus

STATUS_FILE = "status.json"
LEAST_SECONDS = 0.5  # between two writes that only say how far something is


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How far what a run does is."""

    what: str  # "search"
    done: float
    total: float | None  # None where nobody knows
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStatus:
    """What a run's driver last did."""

    time: float  # seconds of the epoch
    step: Step | None = None
    slots: tuple[SlotStatus, ...] = ()


@dataclass(slots=True)
class StatusFile:
    """The status of a run that this process owns; a file that cannot be written is left alone."""

    run: Path
    clock: Callable[[], float]  # seconds of the epoch
    _step: Step | None = None
    _slots: tuple[SlotStatus, ...] = ()
    _written: float = field(default=float("-inf"))

    def show_step(self, step: Step) -> None:
        """Take how far something is."""
        is_new = self._step is None or step.what != self._step.what
        self._step = step
        if is_new or self.clock() - self._written >= LEAST_SECONDS:
            self._write()

    def show_slots(self, slots: Sequence[SlotStatus]) -> None:
        """Take what every worker does; none once they have been sent home."""
        self._slots = tuple(slots)
        self._write()

    def _write(self) -> None:
        self._written = self.clock()
        status = RunStatus(time=self._written, step=self._step, slots=self._slots)
        part = self.run / f".{STATUS_FILE}.part"
        try:
            part.write_text(json.dumps(dataclasses.asdict(status)))
            part.replace(self.run / STATUS_FILE)
        except BaseException as error:
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
            if not isinstance(error, OSError):  # the ledger will say that the disk is full
                raise


def read_status(run: Path) -> RunStatus | None:
    """Give what a run's driver last did; None where none has said so.

    Raises:
        RunError: The file holds something else.
    """
    path = run / STATUS_FILE
    if not path.exists():
        return None
    content = read_json(path)
    try:
        step = content["step"]
        return RunStatus(
            time=float(content["time"]),
            step=None if step is None else _step(**step),
            slots=tuple(SlotStatus(**slot) for slot in content["slots"]),
        )
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise RunError(f"{path} is no status of a run: {error}; delete it") from error


def _step(*, what: object, done: object, total: object, text: object) -> Step:
    for value in (done, 0.0 if total is None else total):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f"{value!r:.60} is no number")
    return Step(what=str(what), done=done, total=total, text=str(text))  # type: ignore[arg-type]  # looked at above


@dataclass(frozen=True, slots=True, kw_only=True)
class Holder:
    """The process that has written itself into a run's lock."""

    process: int
    host: str
    is_alive: bool | None  # None: it is on another machine, so nobody here can tell


def read_holder(run: Path) -> Holder | None:
    """Give who owns a run, from what its lock file says; None where nobody does.

    The lock itself is not tried: to hold it even for a moment could turn away a driver that starts.
    """
    try:
        owner = read_owner(read_bounded(run / LOCK_FILE, most_bytes=1_000).decode(errors="replace"))
    except OSError:
        return None
    if owner is None:
        return None
    return Holder(process=owner.process, host=owner.host, is_alive=is_alive(owner))
