"""What does a training look like on a terminal?"""

from collections.abc import Mapping
from typing import Any

from effsearch.commands.tables import print_table, say
from effsearch.commands.watching import minutes_text
from effsearch.space.budget import short_count


def print_training(report: Mapping[str, Any]) -> None:
    """Print what one training came to."""
    _print_rows([report])
    best = report["best"]
    what = "averaged weights" if best["weights"] == "average" else "weights"
    say(
        f"best: the {what} of epoch {best['epoch']}, chosen on validation images; tested once, after the training"
    )
    for note in (*report["notes"], *report.get("warnings", [])):
        say(note)
    say(f"weights: {report['weights']}")
    say(f"history: {report['history']}")


def print_trained_family(report: Mapping[str, Any]) -> None:
    """Print what the trainings of a family came to."""
    _print_rows(report["trained"])
    for one in report["trained"]:
        for warning in one.get("warnings", []):
            say(f"{one['network']}: {warning}")
    say(f"family: {report['family']}; effsearch plot draws it")


def _print_rows(reports: list[Mapping[str, Any]]) -> None:
    rows = [
        (
            report["network"],
            f"{report['test']['accuracy']:.2%}",
            f"{report['test']['top5']:.2%}",
            f"{report['best']['accuracy']:.2%}",
            short_count(report["multiply_adds"]),
            short_count(report["params"]),
            report["resolution"],
            report["epochs"],
            minutes_text(report["train_seconds"]),
            f"{report['images_per_second']:,.0f}",
        )
        for report in reports
    ]
    columns = (
        "network",
        "test top-1",
        "test top-5",
        "validation",
        "FLOPs",
        "params",
        "pixels",
        "epochs",
        "time",
        "images/s",
    )
    print_table(f"trained with recipe {reports[0]['recipe']}", columns, rows)
