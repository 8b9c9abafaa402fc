"""What does a person see while a command works?

Everything here goes to stderr; stdout is for results. What a run does is also written to its directory, for
`effsearch status` in another terminal.
"""

import sys
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from effsearch.results.run_dir import RunDir
from effsearch.results.run_log import RunLog
from effsearch.results.status import StatusFile, Step
from effsearch.space.passwords import hide_passwords
from effsearch.space.printable import printable
from effsearch.space.slot_status import SlotStatus

PRINT_SECONDS = 5.0  # between lines of progress where stderr is no terminal


class Watcher:
    """A live line on a terminal, plain lines elsewhere.

    Args:
        is_quiet: Show nothing; what a run does is written to its directory all the same.
    """

    def __init__(self, *, is_quiet: bool = False) -> None:
        # In a notebook stderr is what it is elsewhere: rich would put its lines among the results.
        self.console = Console(
            file=sys.stderr,
            highlight=False,
            emoji=False,  # "loops:train: it failed" is about no train
            soft_wrap=True,
            quiet=is_quiet,
            force_jupyter=False,
        )
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[text]}", markup=False),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self._is_live = self.console.is_terminal and not is_quiet
        self._tasks: dict[str, TaskID] = {}
        self._last_printed = 0.0
        self._status: StatusFile | None = None
        self._log: RunLog | None = None

    def __enter__(self) -> Self:
        if self._is_live:
            self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._is_live:
            self._progress.stop()

    def say(self, text: str) -> None:
        """Print a line that stays, in the run's log too."""
        self.console.print(printable(hide_passwords(text)), markup=False)
        if self._log is not None:
            self._log.note(text)

    def follow(self, run: RunDir) -> None:
        """Write what is shown from now on to a run's directory as well."""
        self._log = run.log
        self._status = StatusFile(run.path, clock=time.time)
        self._status.show_slots(())  # what an earlier call left there is no longer so

    def show_slots(self, slots: Sequence[SlotStatus]) -> None:
        """Take what every worker does, for `effsearch status`."""
        if self._status is not None:
            self._status.show_slots(slots)

    def show(self, what: str, done: float, total: float | None, text: str = "") -> None:
        """Show how far something is; `total` None where nobody knows."""
        if self._status is not None:
            self._status.show_step(Step(what=what, done=done, total=total, text=text))
        if self._is_live:
            if what not in self._tasks:
                self._tasks[what] = self._progress.add_task(what, total=total, text=text)
            self._progress.update(self._tasks[what], completed=done, total=total, text=printable(text))
            if total is not None and done >= total:
                self._progress.update(self._tasks[what], visible=False)
            return
        now = time.monotonic()
        if now - self._last_printed >= PRINT_SECONDS:
            self._last_printed = now
            share = f"{min(1.0, done / total):.0%} " if total else ""
            self.console.print(f"{what}: {share}{text}".rstrip(), markup=False)  # no news for the log

    def data_progress(self, what: str, done: int, total: int) -> None:
        """Show how far a download or a decoding is."""
        if self._is_live:
            self.show(what, done, total or None)


def short_seconds(seconds: float) -> str:
    """Write how long a training takes, about: 6 s, .3 s, under .1 s."""
    if seconds >= 0.95:
        return f"about {seconds:.0f} s"
    return f"about {seconds:.1f} s".replace("0.", ".") if seconds >= 0.1 else "under .1 s"


def minutes_text(seconds: float) -> str:
    """Write a duration as people say it: 45 s, 12 min, 3.5 h."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    if seconds < 100 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
