"""What does a pruning look like on a terminal?"""

from collections.abc import Mapping, Sequence
from typing import Any

from effsearch.commands.tables import print_table, say
from effsearch.space.budget import short_count


def print_pruning(report: Mapping[str, Any]) -> None:
    """Print what a pruning came to."""
    print_table(
        "widths before and after",
        ("part", "kind", "inner", "squeezed", "out"),
        [
            (row["part"], row["kind"], _change(row["inner"]), _change(row["squeezed"]), _change(row["out"]))
            for row in report["widths"]
        ],
    )
    before, after = report["before"], report["right_after"]
    rows = [
        ("before", before, before["accuracy"]),
        ("right after", after, after["accuracy"]),
        ("after the training", after, report["best"]["accuracy"]),
    ]
    print_table(
        f"{report['network']} at {report['resolution']} px",
        ("when", "validation", "FLOPs", "params", "activations"),
        [
            (
                when,
                f"{accuracy:.2%}",
                short_count(cost["multiply_adds"]),
                short_count(cost["params"]),
                short_count(cost["activations"]),
            )
            for when, cost, accuracy in rows
        ],
    )
    test = report["test"]
    say(f"test {test['accuracy']:.2%}, top-5 {test['top5']:.2%}, looked at once, after the training")
    for note in (*(f"left whole: {line}" for line in report["kept"]), *report["notes"], *report["warnings"]):
        say(note)
    say(f"network: {report['spec_path']}")
    say(f"weights: {report['weights']}")


def _change(widths: Sequence[int] | None) -> str:
    if widths is None:
        return "-"
    before, after = widths
    return str(before) if before == after else f"{before} > {after}"
