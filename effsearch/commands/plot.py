"""effsearch plot: draw accuracy against cost."""

from collections.abc import Sequence
from pathlib import Path

from effsearch.results.newest import newest_run
from effsearch.results.plots.collect import collect_front
from effsearch.results.plots.front import draw_front
from effsearch.results.plots.save import figure_format, save_figure
from effsearch.results.run_files import LEDGER_FILE
from effsearch.space.errors import UsageError


def run_plot(runs: Sequence[Path], *, out: Path | None, runs_root: Path) -> Path:
    """Draw the front of some runs, by default of the newest baseline run, and give the file's path.

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
    figure = draw_front(collect_front(runs))
    path = out or runs[0] / "plots" / "front.png"
    save_figure(figure, path)
    return path
