"""What did a search's winner come to when it was trained fully?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any  # JSON

from effsearch.results.report.contents import RunContents
from effsearch.results.report.json_values import mapping_of, number_or_none, rows_of


@dataclass(frozen=True, slots=True, kw_only=True)
class FullTrainingsView:
    """The trainings of a search's winner that `effsearch train` has done, the last one last."""

    rows: tuple[tuple[str, Mapping[str, Any]], ...]  # of which network, and what it came to
    proxy_accuracy: float | None  # of the winner, by the short trainings


def make_full_trainings(contents: RunContents) -> FullTrainingsView | None:
    """Give how the winner was trained; None where nobody did."""
    best = mapping_of(contents.result.get("best"))
    rows = rows_of(contents.full_trainings, "trainings")
    if not rows:
        return None
    winners = {_hash_of(best): str(best.get("name", "the winner"))}
    winners |= {_hash_of(row): str(row.get("name")) for row in rows_of(contents.result, "winners")}
    return FullTrainingsView(
        rows=tuple((winners.get(_hash_of(row), "an earlier winner"), row) for row in rows),
        proxy_accuracy=number_or_none(best.get("accuracy")),
    )


def _hash_of(row: Mapping[str, Any]) -> str:
    return str(row.get("network_hash"))  # whatever somebody has put there
