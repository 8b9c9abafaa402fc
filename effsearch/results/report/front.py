"""What does the chart of the search show, and what does it say of each network?"""

import dataclasses
from collections.abc import Sequence
from typing import Any  # JSON for the page's script

from effsearch.results.ledger import LedgerEntry
from effsearch.results.plots.collect import RANKED_KINDS, collect_front
from effsearch.results.plots.front_data import FrontPoint
from effsearch.results.report.contents import RunContents
from effsearch.results.report.networks import NetworkIndex


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FrontNetwork:
    """One network of the chart with all that is said of it."""

    point: FrontPoint
    role: str  # "trial" or "anchor"
    number: int | None  # by which the table of trainings knows it
    entry: LedgerEntry | None
    is_on_front: bool
    is_winner: bool


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FrontChart:
    """Accuracy against FLOPs."""

    title: str
    networks: tuple[FrontNetwork, ...]
    budgets: tuple[int, ...]
    families: tuple[tuple[str, tuple[tuple[float, int, float | None], ...]], ...]  # phi, FLOPs, accuracy
    resolution: int | None
    notes: tuple[str, ...]

    @property
    def front(self) -> tuple[FrontNetwork, ...]:
        """The networks that no other beats, from the cheapest to the dearest."""
        found = [one for one in self.networks if one.is_on_front]
        return tuple(sorted(found, key=lambda one: one.point.multiply_adds))


def make_front(contents: RunContents, networks: NetworkIndex) -> FrontChart | None:
    """Give the chart of a search; None where no network of it has a score yet."""
    if not any(entry.has_succeeded and entry.kind in RANKED_KINDS for entry in contents.entries):
        return None
    plot = contents.unread.attempt(lambda: collect_front([contents.run]), None)
    if plot is None:
        return None
    series = plot.series[0]
    on_front, winning = set(map(_identity, series.front)), set(map(_identity, series.winners))
    roles = [("trial", point) for point in series.trials] + [("anchor", point) for point in series.anchors]
    shown = [
        FrontNetwork(
            point=point,
            role=role,
            number=networks.number(point.network_hash, point.multiply_adds),
            entry=networks.entry(point.network_hash, point.multiply_adds),
            is_on_front=_identity(point) in on_front,
            is_winner=_identity(point) in winning,
        )
        for role, point in roles
    ]
    return FrontChart(
        title=plot.title,
        networks=tuple(shown),
        budgets=series.budgets,
        families=tuple(
            (family.name, tuple((one.phi, one.multiply_adds, one.accuracy) for one in family.members))
            for family in plot.families
        ),
        resolution=plot.resolution,
        notes=plot.notes,
    )


def front_json(chart: FrontChart) -> dict[str, Any]:
    """Give the chart to the page's script; accuracies in per cent."""
    return {
        "networks": [_network_json(one) for one in chart.networks],
        "front": [[one.point.multiply_adds, _percent(one.point.accuracy)] for one in chart.front],
        "budgets": list(chart.budgets),
        "families": [
            {
                "name": name,
                "members": [[phi, cost, _percent(accuracy)] for phi, cost, accuracy in members],
            }
            for name, members in chart.families
        ],
    }


def choices_of(entry: LedgerEntry | None) -> list[list[str]]:
    """Give name and value of all that was chosen for a network, as text."""
    if entry is None:
        return []
    pairs: Sequence[tuple[str, object]] = [*entry.point.items(), *entry.coefficients.items()]
    return [[str(name), f"{value:g}" if isinstance(value, float) else str(value)] for name, value in pairs]


def _network_json(one: FrontNetwork) -> dict[str, Any]:
    point = one.point
    return {
        "name": point.name,
        "role": one.role,
        "number": one.number,
        "multiply_adds": point.multiply_adds,
        "accuracy": _percent(point.accuracy),
        "deviation": _percent(point.accuracy_std),
        "seeds": point.num_seeds,
        "params": None if one.entry is None else one.entry.parameters,
        "activations": None if one.entry is None else one.entry.activations,
        "is_full": point.is_full_fidelity,
        "is_on_front": one.is_on_front,
        "is_winner": one.is_winner,
        "choices": choices_of(one.entry),
    }


def _identity(point: FrontPoint) -> tuple[str, int]:
    return point.network_hash or point.name, point.multiply_adds


def _percent(share: float | None) -> float | None:
    return None if share is None else round(100 * share, 4)
