"""effsearch plot: draw accuracy against cost."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effsearch.results.atomic import require_writable
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

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True, slots=True)
class Drawn:
    """A figure of some runs, and what goes with it."""

    figure: "Figure"
    path: Path  # where it goes unless the user says otherwise
    report: dict[str, Any]  # as JSON values


def run_plot(runs: Sequence[Path], *, out: Path | None, runs_root: Path) -> dict[str, Any]:
    """Draw what some runs hold, and write it.

    Returns:
        JSON values: the file's path, and each run's front with its hypervolume, the area below it (share of
        correct images times multiply-adds) up to the budget, or to its dearest network where there is none; and
        what the runs' certificates say.

    Raises:
        EffsearchError: There is nothing to draw, or the file cannot be written.
    """
    if out is not None:
        figure_format(out)
        require_writable(out, makes_folders=True)
    drawn = draw_runs(runs, runs_root=runs_root)
    path = out or drawn.path
    save_figure(drawn.figure, path)
    return {"out": str(path), **drawn.report}


def draw_runs(runs: Sequence[Path], *, runs_root: Path) -> Drawn:
    """Draw what some runs hold.

    Of baseline runs, by default the newest, that is the front; of a scale run the surface of its coefficients, of an
    ablation its arms, and of a family's folder what its networks cost.

    Raises:
        EffsearchError: There is nothing to draw.
    """
    if len(runs) == 1 and (runs[0] / FAMILY_RECORD).is_file() and not is_run(runs[0]):
        figure = draw_growth(collect_growth(runs[0]))
        return Drawn(figure, runs[0] / "growth.png", {"runs": [], "certificates": {}})
    if not runs:
        newest = newest_run("baseline", runs_root, having=LEDGER_FILE)
        if newest is None:
            raise UsageError(f"no baseline run in {runs_root}: run effsearch baseline first, or give a run")
        runs = [newest]
    names = {"runs": [{"name": runs[0].name}], "certificates": {}}
    if any(read_settings(run).command == "ablate" for run in runs):
        if len(runs) > 1:
            raise UsageError(
                "an ablation is drawn by itself: give effsearch plot one run of that kind, or none"
            )
        return Drawn(draw_ablation(collect_ablation(runs[0])), runs[0] / "plots" / "ablation.png", names)
    if len(runs) == 1 and read_settings(runs[0]).command == "scale":
        return Drawn(draw_surface(collect_surface(runs[0])), runs[0] / "plots" / "surface.png", names)
    plot = collect_front(runs)
    report = {
        "runs": [_describe(series) for series in plot.series],
        "certificates": {str(run): words for run in runs if (words := words_of_run(run))},
    }
    return Drawn(draw_front(plot), runs[0] / "plots" / "front.png", report)


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
