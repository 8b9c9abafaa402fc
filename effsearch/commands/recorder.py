"""How does what a command learns get into the ledger, and back out when it goes on?"""

from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from effsearch.commands.proxy import train_settings_record
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.device_names import DeviceKind
from effsearch.proxy_train.train_function import TrainFunction
from effsearch.results.evaluations import from_entry, settings_hash, to_entry
from effsearch.results.ledger import Ledger
from effsearch.results.ledger_entry import LedgerEntry
from effsearch.results.run_dir import RunDir
from effsearch.results.screened import read_screening, to_screen_entry
from effsearch.results.spent import seconds_spent
from effsearch.results.trials import write_trials
from effsearch.search.placement.retrying_pool import say_nothing
from effsearch.search.problem import Problem
from effsearch.space.errors import RunError, WriteError
from effsearch.space.latency_table import LatencyTable
from effsearch.space.outcome import Evaluation, Precision
from effsearch.space.screen_scores import ScreenScores
from effsearch.space.search_space import Point, SearchSpace
from effsearch.space.supernet_work import ScreenScore, SupernetPlan

SEARCH_KINDS = frozenset({"anchor", "trial", "rung", "confirm", "coefficient", "ablation", "final"})
TIMED_KINDS = SEARCH_KINDS | {"screen"}  # what a search spends its time on
# First scores written together: a lost one costs half a second, a synced write some milliseconds.
SCREENED_AT_ONCE = 64


class Recorder:
    """Writes every ended training to the ledger, and reads back what earlier calls wrote.

    Args:
        run: The run.
        images: That it trains on.
        device: That it trains on them with.
        precision: Of the products.
        say: Is told what a crash has cost the ledger, and that the table of trials cannot be written.
    """

    def __init__(
        self,
        run: RunDir,
        images: ImageData,
        *,
        device: DeviceKind,
        precision: Precision = "float32",
        train_function: TrainFunction | None = None,
        say: Callable[[str], None] = say_nothing,
    ) -> None:
        self._run = run
        self._say = say
        self._ledger: Ledger = run.open_ledger()
        words = self._ledger.mended.words(self._ledger.path)
        if words:
            say(f"{words}; what it was of is done again")
        self._fingerprint = images.fingerprint
        self._device: DeviceKind = device
        self._precision: Precision = precision
        self._train_function = train_function
        self._screened: list[LedgerEntry] = []  # not yet written

    def history(self, table: LatencyTable | None = None) -> list[Evaluation]:
        """Give the trainings that the ledger holds, oldest first, but for those that only check a proxy.

        Args:
            table: Of the latencies that their costs are to have.
        """
        return [from_entry(entry, table) for entry in self._ledger.entries if entry.kind in SEARCH_KINDS]

    def seconds_spent(self) -> float:
        """Give the wall time that earlier calls took to search."""
        entries = [entry for entry in self._ledger.entries if entry.kind in TIMED_KINDS]
        return seconds_spent(self._run.path, entries)

    def screen_scores(self, space: SearchSpace) -> ScreenScores:
        """Give the networks that were scored without a training of their own."""
        return read_screening(self._ledger.entries, space)

    def record(self, evaluation: Evaluation) -> None:
        """Append one ended training, safely on disk before this returns."""
        self._ledger.append(
            to_entry(
                evaluation,
                data_fingerprint=self._fingerprint,
                settings_hash=settings_hash(
                    train_settings_record(
                        evaluation.job.batch_share,
                        device=self._device,
                        precision=self._precision,
                        train_function=self._train_function,
                    )
                ),
                now=datetime.now(UTC),
            )
        )

    def record_screen(self, problem: Problem, plan: SupernetPlan, point: Point, score: ScreenScore) -> None:
        """Append one score that cost no training, some at a time; `flush_screen` writes the last ones."""
        self._screened.append(
            to_screen_entry(
                point,
                score,
                problem.space,
                plan,
                resolution=problem.resolution,
                num_classes=problem.num_classes,
                data_fingerprint=self._fingerprint,
                now=datetime.now(UTC),
            )
        )
        if score.is_second or len(self._screened) >= SCREENED_AT_ONCE:
            self.flush_screen()

    def flush_screen(self) -> None:
        """Write the scores that are not yet on the disk."""
        if self._screened:
            self._ledger.append_all(self._screened)
        self._screened = []

    def close(self, *, is_failing: bool = False) -> None:
        """Write what is not yet written and the table of trials, and close the ledger.

        Args:
            is_failing: Something has gone wrong already: that these cannot be written is no reason to hide it.

        Raises:
            RunError: They cannot be written.
        """
        try:
            self.flush_screen()
            if self._ledger.entries:
                self._write_table(is_failing=is_failing)
        except RunError:
            if not is_failing:
                raise
        finally:
            self._ledger.close()

    def _write_table(self, *, is_failing: bool) -> None:
        """Write the table of trials, which holds nothing that the ledger does not: that it cannot be is a warning."""
        try:
            write_trials(self._run.trials_path, self._ledger.entries)
        except WriteError as error:
            if not is_failing:
                self._say(
                    f"all trainings are kept, but: {error}; the next call of the same command writes it again"
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close(is_failing=kind is not None)
