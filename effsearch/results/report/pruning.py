"""What has a pruning left of a network, and what did that cost?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any  # JSON

from effsearch.results.report.contents import RunContents
from effsearch.results.report.json_values import list_of, mapping_of, rows_of
from effsearch.results.report.wording import budget_words

COLUMNS = ("inner", "squeezed", "out")


@dataclass(frozen=True, slots=True, kw_only=True)
class PruningView:
    """A pruning, before and after."""

    facts: tuple[tuple[str, str], ...]  # what was asked
    rows: tuple[
        tuple[str, Mapping[str, Any]], ...
    ]  # when, with accuracy, multiply_adds, params and activations
    widths: tuple[tuple[str, str, tuple[str, ...]], ...]  # part, kind, and widths in the order of COLUMNS
    kept: tuple[str, ...]  # what was left whole, and why


def make_pruning(contents: RunContents) -> PruningView | None:
    """Give what a run has pruned; None where it has pruned nothing."""
    record, result = contents.pruning, contents.result
    if contents.stored.command != "prune" or not record:
        return None
    before, right_after = mapping_of(record.get("before")), mapping_of(record.get("right_after"))
    rows = [("before", before), ("right after", right_after)]
    if result:
        accuracy = mapping_of(result.get("best")).get("accuracy")
        rows.append(("after the training", {**right_after, "accuracy": accuracy}))
    return PruningView(
        facts=tuple(_facts(contents.settings)),
        rows=tuple(rows),
        widths=tuple(
            (str(row.get("part")), str(row.get("kind")), tuple(_change(row.get(name)) for name in COLUMNS))
            for row in rows_of(record, "widths")
        ),
        kept=tuple(str(line) for line in list_of(record.get("kept"))),
    )


def _facts(settings: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    asked = mapping_of(settings.get("pruning"))
    yield "Budget", budget_words(settings.get("budget_limits"))
    if "ranking" in asked:
        yield "Share of each layer", "even" if asked["ranking"] == "even" else "by importance"
    yield "Weights from", str(settings.get("weights"))
    for name, key in (
        ("Importance", "importance"),
        ("Steps", "num_steps"),
        ("Widths in multiples of", "divisor"),
    ):
        yield name, str(asked.get(key, "-"))


def _change(widths: object) -> str:
    if not isinstance(widths, list) or len(widths) != 2:
        return "-"
    before, after = widths
    return str(before) if before == after else f"{before} > {after}"
