"""What does the report of a coefficient search hold that can be drawn?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any  # a JSON value

from effsearch.results.plots.rows import number_of
from effsearch.results.plots.surface import Surface, SurfacePoint
from effsearch.results.run_files import REPORT_FILE, read_report
from effsearch.space.coefficients import PAPER_COEFFICIENTS
from effsearch.space.errors import RunError, UsageError


def collect_surface(run: Path) -> Surface:
    """The surface of a scale run.

    Raises:
        UsageError: The search has not come to an end yet.
        RunError: Its report cannot be read.
    """
    report, path = read_report(run), run / REPORT_FILE
    if report is None:
        raise UsageError(f"the search at {run} has no result yet: let it finish with effsearch scale --run")
    try:
        rows = [*report["candidates"], *report["untrained"]]
        points = tuple(point for row in rows for point in _points_of(row, path))
        intervals = {name: tuple(map(float, report["interval"][name])) for name in ("beta", "gamma")}
        triples = [triple for row in rows for triple in row["triples"]]
        paper = next(((one["beta"], one["gamma"]) for one in triples if _is_paper(one)), None)
        return Surface(
            title=f"Coefficients of {report['base']}: {report['trials']} networks, {report['trainings']} trainings",
            points=points,
            left_out=tuple(
                (number_of(one, "beta", path), number_of(one, "gamma", path)) for one in report["left_out"]
            ),
            winner=_points_of(report["candidates"][0] | {"triples": [report["coefficients"]]}, path)[0],
            beta_interval=(intervals["beta"][0], intervals["beta"][1]),
            gamma_interval=(intervals["gamma"][0], intervals["gamma"][1]),
            paper=paper,
            note=f"{report['set_networks']} of {report['reachable_networks']} networks cannot be told apart; "
            f"one seed deviates by {100 * report['seed_deviation']:.1f} points. The cross is a 95 % interval.",
        )
    except (KeyError, TypeError, IndexError, ValueError, AttributeError) as error:
        raise RunError(
            f"{path} is no report of a coefficient search ({error}); run effsearch scale again"
        ) from error


def _points_of(row: Mapping[str, Any], path: Path) -> list[SurfacePoint]:
    return [
        SurfacePoint(
            alpha=number_of(triple, "alpha", path),
            beta=number_of(triple, "beta", path),
            gamma=number_of(triple, "gamma", path),
            expected=number_of(row, "expected", path),
            is_trained=bool(row["accuracies"]),
            is_in_set=bool(row["is_in_set"]),
        )
        for triple in row["triples"]
    ]


def _is_paper(triple: Mapping[str, Any]) -> bool:
    paper = PAPER_COEFFICIENTS
    return (triple["alpha"], triple["beta"], triple["gamma"]) == (paper.alpha, paper.beta, paper.gamma)
