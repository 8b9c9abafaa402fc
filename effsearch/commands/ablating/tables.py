"""What does an ablation look like on a terminal?"""

from collections.abc import Mapping, Sequence
from typing import Any

from effsearch.commands.tables import print_table, say
from effsearch.space.arms import BASE_NAME, arm_title
from effsearch.space.budget import short_count


def print_ablation(report: Mapping[str, Any]) -> None:
    """Print the arms with their costs, means and intervals, and what must be known to read them."""
    rows = [
        (
            arm_title(row["name"], row["factor"]),
            f"{row['multipliers']['depth']:.2f}",
            row["blocks"],
            _width_words(row),
            f"{row['trained_resolution']}{'*' if row['is_upsampled'] else ''}",
            row["divisor"] or "-",
            short_count(row["trained_multiply_adds"]),
            "-" if row["name"] == BASE_NAME else f"{row['off']:+.2%}",
            len(row["accuracies"]),
            _mean_words(row),
            _difference_words(row, report["arms"]),
        )
        for row in report["arms"]
    ]
    columns = (
        "arm",
        "depth",
        "blocks",
        "width",
        "px",
        "by",
        "FLOPs",
        "off",
        "n",
        "accuracy, %",
        "less best single",
    )
    alpha, beta, gamma = (report["coefficients"][name] for name in ("alpha", "beta", "gamma"))
    print_table(
        f"{report['base']} grown at equal cost, FLOPs as trained; compound {alpha:g}, {beta:g}, {gamma:g}",
        columns,
        rows,
    )
    say(
        "by: channels are multiples of it; n: seeds; intervals hold 95 %, those of differences by pairs of one seed"
    )
    if any(row["difference"] is not None for row in report["arms"]):
        say("the best single dimension is picked by these very means, which flatters it")
    if any(row["is_upsampled"] for row in report["arms"]):
        say("* upsampled: the images have fewer pixels")
    for note in report["notes"]:
        say(note)
    failed = f", {report['failures']} of them failed" if report["failures"] else ""
    ends = {
        "seeds": "all that were asked for",
        "minutes": "the time is up, the same command with --run goes on",
    }
    say(f"{report['trainings']} of {report['planned']} trainings{failed}; {ends[report['stopped_by']]}")
    if report["certificate"]:
        say(f"the base's run: {report['certificate']}")
    say(f"run: {report['run']}")
    say(f"plot: {report['plot']}")


def _width_words(row: Mapping[str, Any]) -> str:
    width = f"{row['multipliers']['width']:.2f}"
    return width if row["width_correction"] == 1 else f"{width} (x{row['width_correction']:g})"


def _mean_words(row: Mapping[str, Any]) -> str:
    if row["mean"] is None:
        return "failed" if row["failures"] else "-"
    if row["low"] is None:
        return f"{100 * row['mean']:.1f}"
    return f"{100 * row['mean']:.1f} ({100 * row['low']:.1f} to {100 * row['high']:.1f})"


def _difference_words(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    difference = row["difference"]
    if difference is None:
        is_best = any(
            other["difference"] is not None
            and (other["difference"]["against"], other["factor"]) == (row["name"], row["factor"])
            for other in rows
        )
        return "best single" if is_best else "-"
    text = f"{100 * difference['mean']:+.1f}"
    if difference["low"] is not None:
        text += f" ({100 * difference['low']:+.1f} to {100 * difference['high']:+.1f})"
    return text
