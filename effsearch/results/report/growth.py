"""What family was scaled, with which coefficients, and what did growing in each way bring?"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any  # JSON

from effsearch.results.plots.ablation_data import AblationPlot, collect_ablation
from effsearch.results.plots.collect_growth import collect_growth
from effsearch.results.plots.collect_surface import collect_surface
from effsearch.results.plots.growth import Growth
from effsearch.results.plots.surface import Surface
from effsearch.results.report.contents import RunContents
from effsearch.results.report.json_values import list_of, mapping_of, rows_of
from effsearch.results.report.wording import last_part
from effsearch.results.run_files import FAMILY_FILE

_COEFFICIENTS = ("alpha", "beta", "gamma")


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyView:
    """A family as it was written."""

    title: str
    rows: tuple[Mapping[str, Any], ...]
    base_multiply_adds: int | None
    trained: tuple[
        Mapping[str, Any], ...
    ]  # what `effsearch train --family` measured, with the network's name
    growth: Growth | None  # None of a family from before costs were promised
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CoefficientView:
    """A search of coefficients."""

    words: tuple[str, ...]
    rows: tuple[Mapping[str, Any], ...]  # candidates that were trained, the best first
    intervals: tuple[tuple[str, object, list[Any]], ...]  # name, chosen, low and high
    num_untrained: int
    num_left_out: int
    surface: Surface | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationView:
    """An ablation."""

    rows: tuple[Mapping[str, Any], ...]
    notes: tuple[str, ...]
    plot: AblationPlot | None


def make_family(contents: RunContents) -> FamilyView | None:
    """Give the family that `effsearch scale` left in a run; None where there is none."""
    family = contents.family
    rows = rows_of(family, "family")
    if not rows:
        return None
    coefficients = mapping_of(family.get("coefficients"))
    words = [str(family.get("rule", "scaled")), *(f"{name} {value}" for name, value in coefficients.items())]
    growth = None
    if all("nominal_multiply_adds" in row for row in rows):
        folder = (contents.run / FAMILY_FILE).parent
        growth = contents.unread.attempt(lambda: collect_growth(folder), None)
    cost = family.get("base_multiply_adds")
    return FamilyView(
        title=f"{last_part(family.get('base', 'its base'))} scaled: {', '.join(words)}",
        rows=tuple(rows),
        base_multiply_adds=cost if isinstance(cost, int) and cost > 0 else None,
        trained=tuple(_trained(family, rows)),
        growth=growth,
        notes=tuple(str(note) for note in list_of(family.get("notes"))),
    )


def _trained(family: Mapping[str, Any], rows: list[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Give the networks that were trained, the one that the family was scaled from first."""
    base = mapping_of(family.get("base_trained"))
    if base:
        yield {"name": "base", "multiply_adds": family.get("base_multiply_adds"), **base}
    yield from (row for row in rows if row.get("accuracy") is not None)


def growth_json(growth: Growth) -> dict[str, Any]:
    """Give the curve of a family's costs to the page's script."""
    return {
        "phis": list(growth.phis),
        "nominal": list(growth.nominal),
        "built": list(growth.built),
        "between": [list(step) for step in growth.between],
    }


def make_coefficients(contents: RunContents) -> CoefficientView | None:
    """Give what a search of coefficients found; None in a run that is none, or has no result yet."""
    result = contents.result
    if contents.stored.command != "scale" or "candidates" not in result:
        return None
    chosen, intervals = mapping_of(result.get("coefficients")), mapping_of(result.get("interval"))
    return CoefficientView(
        words=tuple(str(line) for line in list_of(result.get("words"))),
        rows=tuple(rows_of(result, "candidates")),
        intervals=tuple((name, chosen.get(name), list_of(intervals.get(name))) for name in _COEFFICIENTS),
        num_untrained=len(list_of(result.get("untrained"))),
        num_left_out=len(list_of(result.get("left_out"))),
        surface=contents.unread.attempt(lambda: collect_surface(contents.run), None),
    )


def surface_json(surface: Surface) -> dict[str, Any]:
    """Give the surface of coefficients to the page's script; accuracies in per cent."""
    winner = surface.winner
    return {
        "points": [
            [one.beta, one.gamma, one.alpha, round(100 * one.expected, 3), one.is_trained, one.is_in_set]
            for one in surface.points
        ],
        "left_out": [list(one) for one in surface.left_out],
        "winner": [winner.beta, winner.gamma],
        "beta_interval": list(surface.beta_interval),
        "gamma_interval": list(surface.gamma_interval),
        "paper": None if surface.paper is None else list(surface.paper),
    }


def make_ablation(contents: RunContents) -> AblationView | None:
    """Give the arms of an ablation; None in a run that is none, or has no result yet."""
    if contents.stored.command != "ablate" or "arms" not in contents.result:
        return None
    return AblationView(
        rows=tuple(rows_of(contents.result, "arms")),
        notes=tuple(str(note) for note in list_of(contents.result.get("notes"))),
        plot=contents.unread.attempt(lambda: _ablation_or_none(contents.run), None),
    )


def ablation_json(plot: AblationPlot) -> dict[str, Any]:
    """Give the arms to the page's script; accuracies in per cent."""
    named = [(one.name, one.points) for one in plot.series]
    if plot.base is not None:
        named.insert(0, ("base", (plot.base,)))
    return {
        "series": [
            {
                "name": name,
                "points": [
                    [
                        one.multiply_adds,
                        100 * one.accuracy,
                        100 * (one.accuracy if one.low is None else one.low),
                        100 * (one.accuracy if one.high is None else one.high),
                        one.factor,
                        one.num_seeds,
                    ]
                    for one in points
                ],
            }
            for name, points in named
        ]
    }


def _ablation_or_none(run: Path) -> AblationPlot | None:
    try:
        return collect_ablation(run)
    except ValueError:  # no arm came to a score
        return None
