"""What a run says, from Python: drawn, explained, as a page."""

from pathlib import Path
from typing import TYPE_CHECKING

from effsearch.api.asking import ask
from effsearch.api.options import PathName, Space
from effsearch.api.results import Answer, Family, Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot(*runs: Run | Family | PathName) -> "Figure":
    """Draw what some runs hold, and give the figure; `savefig` writes it.

    Args:
        runs: Baseline runs, for accuracy against FLOPs; a scale run, for the surface of its coefficients; an
            ablation, for its arms; or a family, for promised and built cost. Default: the newest baseline run.

    Raises:
        EffsearchError: There is nothing to draw.
    """
    from effsearch.commands.plot import draw_runs

    return draw_runs([_path(run) for run in runs], runs_root=Path("runs")).figure


def report(run: Run | PathName, *, out: PathName | None = None) -> Path:
    """Write all that a run holds as one page of HTML that opens anywhere, and give its path.

    Args:
        run: A search, a scaling or an ablation, however far it has come.
        out: A .html file; default: report.html in the run.

    Raises:
        EffsearchError: There is no such run, or the file cannot be written.
    """
    return Path(ask("report", progress=False, run=_path(run), out=out)["out"])


def explain(run: Run | PathName, *, space: Space | None = None) -> Answer:
    """Say which choices mattered in a run, where its budget binds, and what to widen.

    Args:
        run: A baseline run, finished or not.
        space: The space that was searched, where the run does not keep it.

    Raises:
        EffsearchError: There is no such run, or too few networks have a score.
    """
    found = ask("explain", progress=False, run=_path(run), space=space)
    return Answer(words=tuple(found["words"]), report=found)


def status(run: Run | PathName) -> Answer:
    """Say what a run is doing: how far it is, and what every worker trains.

    Raises:
        EffsearchError: There is no such run.
    """
    found = ask("status", progress=False, run=_path(run))
    return Answer(
        words=(f"{found['state']}: {found['trained']} trained, {found['failed']} failed",), report=found
    )


def _path(run: Run | Family | PathName) -> Path:
    return run.path if isinstance(run, Run | Family) else Path(run)
