"""What does the picture of an ablation show?

These values are all that the drawing reads, so a test checks a plot by them and not by its pixels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # a JSON value

from effsearch.results.plots.rows import int_of, number_of
from effsearch.results.run_files import REPORT_FILE, read_report, read_settings
from effsearch.space.arms import BASE_NAME
from effsearch.space.errors import RunError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationPoint:
    """One arm at one cost."""

    factor: float  # on the base's cost
    multiply_adds: int  # as trained
    accuracy: float  # mean over seeds, in [0, 1]
    low: float | None = None  # of its interval; None for a single seed
    high: float | None = None
    num_seeds: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationSeries:
    """One way of growing, from its least factor to its greatest."""

    name: str
    points: tuple[AblationPoint, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationPlot:
    """The base, and what it becomes in each way."""

    title: str
    base: AblationPoint | None  # None where none of its trainings came to a score
    series: tuple[AblationSeries, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.base is None and not self.series:
            raise ValueError("an ablation needs at least one scored network, got none")


def collect_ablation(run: Path) -> AblationPlot:
    """The picture of a finished ablation.

    Raises:
        UsageError: There is no ablation at `run`, or it has no result yet.
        RunError: Its report cannot be read.
    """
    if read_settings(run).command != "ablate":
        raise UsageError(f"{run} holds no ablation")
    report = read_report(run)
    if report is None:
        raise UsageError(
            f"the ablation at {run} has no result yet; let it finish with effsearch ablate --run"
        )
    try:
        rows = [row for row in report["arms"] if row["mean"] is not None]
        points = [(str(row["name"]), _point(row, run / REPORT_FILE)) for row in rows]
        names = dict.fromkeys(name for name, _ in points if name != BASE_NAME)
        return AblationPlot(
            title=f"{report['base']} grown at equal FLOPs",
            base=next((point for name, point in points if name == BASE_NAME), None),
            series=tuple(
                AblationSeries(
                    name=name,
                    points=tuple(
                        sorted(
                            (point for other, point in points if other == name), key=lambda one: one.factor
                        )
                    ),
                )
                for name in names
            ),
            notes=_notes(report["fidelity"], rows, num_seeds=max(point.num_seeds for _, point in points)),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise RunError(f"{run / REPORT_FILE} is not the report of an ablation ({error})") from error


def _notes(
    fidelity: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], *, num_seeds: int
) -> tuple[str, ...]:
    intervals = ", with 95 % intervals" if num_seeds > 1 else ""
    notes: tuple[str, ...] = (
        f"FLOPs as trained, the base at {fidelity['resolution']} px for {fidelity['num_epochs']} epochs; means of "
        f"{num_seeds} seed(s){intervals}.",
    )
    if len(rows) > 2:
        notes += ("Arms of one cost stand side by side.",)
    if any(row["is_upsampled"] for row in rows):
        notes += ("Some arms train on upsampled images.",)
    return notes if len(notes) < 2 else (notes[0], " ".join(notes[1:]))


def _point(row: Mapping[str, Any], path: Path) -> AblationPoint:
    low, high = (None if row[name] is None else number_of(row, name, path) for name in ("low", "high"))
    return AblationPoint(
        factor=number_of(row, "factor", path),
        multiply_adds=int_of(row, "trained_multiply_adds", path),
        accuracy=number_of(row, "mean", path),
        low=low,
        high=high,
        num_seeds=len(row["accuracies"]),
    )
