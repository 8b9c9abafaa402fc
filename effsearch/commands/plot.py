"""effsearch plot: draw accuracy against cost."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from effsearch.results.certificate import words_of_run
from effsearch.results.newest import newest_run
from effsearch.results.pareto import hypervolume
from effsearch.results.plots.collect import collect_front
from effsearch.results.plots.front import draw_front
from effsearch.results.plots.front_data import FrontSeries
from effsearch.results.plots.save import figure_format, save_figure
from effsearch.results.run_files import LEDGER_FILE
from effsearch.space.errors import UsageError


def run_plot(runs: Sequence[Path], *, out: Path | None, runs_root: Path) -> dict[str, Any]:
    """Draw the front of some runs, by default of the newest baseline run.

    Returns:
        JSON values: the file's path, and each run's front with its hypervolume, the area below it (share of
        correct images times multiply-adds) up to the budget, or to its dearest network where there is none; and
        what the runs' certificates say.

    Raises:
        EffsearchError: There is nothing to draw, or the file cannot be written.
    """
    if out is not None:
        figure_format(out)
    if not runs:
        newest = newest_run("baseline", runs_root, having=LEDGER_FILE)
        if newest is None:
            raise UsageError(f"no baseline run in {runs_root}: run effsearch baseline first, or give a run")
        runs = [newest]
    plot = collect_front(runs)
    path = out or runs[0] / "plots" / "front.png"
    save_figure(draw_front(plot), path)
    return {
        "out": str(path),
        "runs": [_describe(series) for series in plot.series],
        "certificates": {str(run): words for run in runs if (words := words_of_run(run))},
    }


def _describe(series: FrontSeries) -> dict[str, Any]:
    front = series.front
    costs = [point.multiply_adds for point in front]
    reference = max(series.budgets, default=max(costs))
    area = hypervolume(costs, [point.accuracy for point in front], reference_cost=reference)
    points = [
        {"name": point.name, "multiply_adds": point.multiply_adds, "accuracy": point.accuracy}
        for point in front
    ]
    return {"name": series.name, "front": points, "hypervolume": area, "reference_multiply_adds": reference}
