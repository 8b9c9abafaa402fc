"""What does a coefficient search look like on a terminal?"""

from collections.abc import Mapping
from typing import Any

from effsearch.commands.tables import print_table, say
from effsearch.space.budget import short_count

NUM_ROWS = 15  # those that cannot be told apart from the winner, and so many in all


def print_coefficients(report: Mapping[str, Any]) -> None:
    """Print the candidates of a search, what cannot be told apart, and how far to trust it."""
    rows = report["candidates"]
    num_shown = max(min(NUM_ROWS, len(rows)), 1 + max(i for i, row in enumerate(rows) if row["is_in_set"]))
    columns = ("alpha, beta, gamma", "accuracy", "seeds", "expected", "95 % interval", "best?", "FLOPs", "px")
    print_table(
        f"coefficients at 2 x the base as trained: {report['trials']} of {report['reachable_networks']} networks, "
        f"{report['trainings']} trainings; * cannot be told apart from the winner",
        columns,
        [_cells(row) for row in rows[:num_shown]],
    )
    if num_shown < len(rows):
        say(f"{len(rows) - num_shown} further networks are in {report['run']}/report.json")
    failed = f"; {report['failures']} networks failed" if report["failures"] else ""
    say(
        f"{report['points']} points of the surface are {report['networks']} networks; {report['points_reached']} "
        f"points meet it within {report['cost_tolerance']:.0%} and are {report['reachable_networks']} networks; "
        f"{len(report['left_out'])} are left out{failed}"
    )
    for line in report["words"]:
        say(line)


def _cells(row: Mapping[str, Any]) -> tuple[object, ...]:
    name = f"{row['alpha']:g}, {row['beta']:g}, {row['gamma']:g}"
    return (
        name + (" (paper)" if row["is_paper"] else "") + (" *" if row["is_in_set"] else ""),
        f"{row['accuracy']:.1%}",
        len(row["accuracies"]),
        f"{row['expected']:.1%}",
        f"{row['low']:.1%} to {row['high']:.1%}",
        f"{row['chance_of_best']:.0%}",
        short_count(row["trained_multiply_adds"]),
        row["trained_resolution"],
    )
