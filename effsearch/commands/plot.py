"""effsearch plot: draw accuracy against cost."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from effsearch.results.certificate import words_of_run
from effsearch.results.newest import newest_run
from effsearch.results.pareto import hypervolume
from effsearch.results.plots.ablation import draw_ablation
from effsearch.results.plots.ablation_data import collect_ablation
from effsearch.results.plots.collect import collect_front
from effsearch.results.plots.collect_growth import collect_growth
from effsearch.results.plots.collect_surface import collect_surface
from effsearch.results.plots.front import draw_front
from effsearch.results.plots.front_data import FrontSeries
from effsearch.results.plots.growth import draw_growth
from effsearch.results.plots.save import figure_format, save_figure
from effsearch.results.plots.surface import draw_surface
from effsearch.results.run_files import FAMILY_RECORD, LEDGER_FILE, is_run, read_settings
from effsearch.space.errors import UsageError


def run_plot(runs: Sequence[Path], *, out: Path | None, runs_root: Path) -> dict[str, Any]:
    """Draw what some runs hold.

    Of baseline runs, by default the newest, that is the front; of a scale run the surface of its coefficients, of an
    ablation its arms, and of a family's folder what its networks cost.

    Returns:
        JSON values: the file's path, and each run's front with its hypervolume, the area below it (share of
        correct images times multiply-adds) up to the budget, or to its dearest network where there is none; and
        what the runs' certificates say.

    Raises:
        EffsearchError: There is nothing to draw, or the file cannot be written.
    """
    if out is not None:
        figure_format(out)
    if len(runs) == 1 and (runs[0] / FAMILY_RECORD).is_file() and not is_run(runs[0]):
        return _plot_growth(runs[0], out)
    if not runs:
        newest = newest_run("baseline", runs_root, having=LEDGER_FILE)
        if newest is None:
            raise UsageError(f"no baseline run in {runs_root}: run effsearch baseline first, or give a run")
        runs = [newest]
    if any(read_settings(run).command == "ablate" for run in runs):
        return _plot_ablation(runs, out)
    if len(runs) == 1 and read_settings(runs[0]).command == "scale":
        return _plot_surface(runs[0], out)
    plot = collect_front(runs)
    path = out or runs[0] / "plots" / "front.png"
    save_figure(draw_front(plot), path)
    return {
        "out": str(path),
        "runs": [_describe(series) for series in plot.series],
        "certificates": {str(run): words for run in runs if (words := words_of_run(run))},
    }


def _plot_growth(folder: Path, out: Path | None) -> dict[str, Any]:
    path = out or folder / "growth.png"
    save_figure(draw_growth(collect_growth(folder)), path)
    return {"out": str(path), "runs": [], "certificates": {}}


def _plot_surface(run: Path, out: Path | None) -> dict[str, Any]:
    path = out or run / "plots" / "surface.png"
    save_figure(draw_surface(collect_surface(run)), path)
    return {"out": str(path), "runs": [{"name": run.name}], "certificates": {}}


def _plot_ablation(runs: Sequence[Path], out: Path | None) -> dict[str, Any]:
    if len(runs) > 1:
        raise UsageError("an ablation is drawn by itself: give effsearch plot one run of that kind, or none")
    plot = collect_ablation(runs[0])
    path = out or runs[0] / "plots" / "ablation.png"
    save_figure(draw_ablation(plot), path)
    return {"out": str(path), "runs": [{"name": runs[0].name}], "certificates": {}}


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
