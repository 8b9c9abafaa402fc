"""What lies on the panel of a search: dots, steps, markers, lines and names."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from effsearch.results.plots import style
from effsearch.results.plots.front_data import FrontPoint, FrontSeries
from effsearch.results.plots.labels import Label, place_labels, plain_text
from effsearch.results.plots.scales import format_multiply_adds

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_series(axes: Axes, series: FrontSeries, *, index: int, is_alone: bool) -> None:
    """One search: its trials pale, those of several seeds outlined with their spread, the front dark.

    Args:
        axes: Where to draw.
        series: What the search found.
        index: Its place among the searches of the picture; picks colours, markers and line.
        is_alone: Whether its name may be left out of the legend.
    """
    suffix = "" if is_alone else f", {series.name}"
    marker = style.SERIES_MARKERS[index % len(style.SERIES_MARKERS)]
    pale = style.PALE_COLOURS[index % len(style.PALE_COLOURS)]
    dark = style.DARK_COLOURS[index % len(style.DARK_COLOURS)]
    ranked = [point for point in series.trials if point.is_full_fidelity]
    screened = [point for point in series.trials if not point.is_full_fidelity]
    once = [point for point in ranked if point.num_seeds == 1]
    repeated = [point for point in ranked if point.num_seeds > 1]
    _scatter(axes, screened, f"cheaper rungs, not ranked{suffix}", marker="x", s=22, color=pale, zorder=3)
    _scatter(axes, once, f"trials{suffix}", marker=marker, s=34, color=pale, linewidth=0, zorder=3)
    _scatter(
        axes,
        repeated,
        f"mean of several seeds{suffix}",
        marker=marker,
        s=46,
        facecolor=pale,
        edgecolor=dark,
        linewidth=1.4,
        zorder=4.5,
    )
    front = series.front
    if front:
        axes.step(
            [point.multiply_adds for point in front],
            [100 * point.accuracy for point in front],
            where="post",
            color=dark,
            linewidth=2.2,
            linestyle=style.SERIES_LINES[index % len(style.SERIES_LINES)],
            marker=marker,
            markersize=6,
            zorder=4,
            label=plain_text(f"Pareto front{suffix}"),
        )
    winners = series.winners
    _draw_spreads(axes, [*repeated, *series.anchors, *winners], colour=dark)
    _scatter(
        axes,
        winners,
        f"winner{'s' if len(winners) > 1 else ''}{suffix}{_seeds_text(winners)}",
        marker="*",
        s=300,
        facecolor=style.WINNER_COLOUR,
        edgecolor=style.INK,
        linewidth=1.1,
        zorder=7,
    )


def draw_anchors(axes: Axes, anchors: Sequence[FrontPoint]) -> None:
    """Known networks as hollow markers, each of its own shape."""
    for index, anchor in enumerate(anchors):
        _scatter(
            axes,
            [anchor],
            "known networks" if index == 0 else "",
            marker=style.ANCHOR_MARKERS[index % len(style.ANCHOR_MARKERS)],
            s=72,
            facecolor="white",
            edgecolor=style.INK,
            linewidth=1.7,
            zorder=6,
        )


def draw_trained_members(axes: Axes, members: list[FrontPoint]) -> None:
    """Scaled networks that have been trained."""
    _scatter(
        axes,
        members,
        "scaled family, trained",
        marker="P",
        s=80,
        facecolor="#3d3d3d",
        edgecolor="white",
        linewidth=0.8,
        zorder=6,
    )


def draw_budgets(axes: Axes, budgets: Sequence[int]) -> None:
    """Dashed vertical lines, each with what it allows written along its foot."""
    from matplotlib.patheffects import withStroke

    low, _ = axes.get_ylim()
    for budget in budgets:
        axes.axvline(budget, color=style.MUTED, linewidth=1.4, linestyle=(0, (5, 3)), zorder=2)
        axes.annotate(
            f"budget {format_multiply_adds(budget)}",
            xy=(budget, low),
            xytext=(5, 6),
            textcoords="offset points",
            rotation=90,
            horizontalalignment="left",
            verticalalignment="bottom",
            fontsize=style.SMALL_FONT,
            color=style.MUTED,
            zorder=8,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )


def write_names(axes: Axes, all_series: Sequence[FrontSeries], *, trained_members: list[FrontPoint]) -> None:
    """Names of winners, anchors and trained scaled networks, clear of the points, fronts and budget lines."""
    winners = [winner for series in all_series for winner in series.winners]
    anchors = [anchor for series in all_series for anchor in series.anchors]
    labels = [
        Label(
            text=f"{winner.name}: {100 * winner.accuracy:.1f} %",
            x=winner.multiply_adds,
            y=100 * winner.accuracy,
            weight="bold",
        )
        for winner in winners
    ]
    labels += [
        Label(text=point.name, x=point.multiply_adds, y=100 * point.accuracy)
        for point in (*anchors, *trained_members)
    ]
    obstacles: list[tuple[float, float]] = []
    for series in all_series:
        obstacles += [(point.multiply_adds, 100 * point.accuracy) for point in series.trials]
        obstacles += _places_on_steps(series)
        for budget in series.budgets:
            obstacles += [(budget, float(height)) for height in np.linspace(*axes.get_ylim(), 40)]
    place_labels(
        axes,
        labels,
        obstacles=np.array(obstacles, dtype=np.float64).reshape(-1, 2),
        size=style.SMALL_FONT,
        colour=style.INK,
    )


def _places_on_steps(series: FrontSeries) -> list[tuple[float, float]]:
    """Places along the step line, close enough together that no name slips between them."""
    places: list[tuple[float, float]] = []
    for here, there in pairwise(series.front):
        flat = np.geomspace(here.multiply_adds, there.multiply_adds, 12)
        places += [(float(cost), 100 * here.accuracy) for cost in flat]
        rise = np.linspace(here.accuracy, there.accuracy, 6)
        places += [(float(there.multiply_adds), 100 * float(accuracy)) for accuracy in rise]
    return places


def _draw_spreads(axes: Axes, points: list[FrontPoint], *, colour: str) -> None:
    repeated = [point for point in points if point.num_seeds > 1]
    if repeated:
        axes.errorbar(
            [point.multiply_adds for point in repeated],
            [100 * point.accuracy for point in repeated],
            yerr=[100 * point.accuracy_std for point in repeated],
            fmt="none",
            ecolor=colour,
            elinewidth=1.2,
            capsize=3,
            zorder=4.2,
        )


def _scatter(axes: Axes, points: Sequence[FrontPoint], label: str, **look: object) -> None:
    if points:
        axes.scatter(
            [point.multiply_adds for point in points],
            [100 * point.accuracy for point in points],
            label=plain_text(label) or None,
            **look,  # type: ignore[arg-type]  # matplotlib types each keyword apart
        )


def _seeds_text(winners: Sequence[FrontPoint]) -> str:
    return f" (mean of {winners[0].num_seeds} seeds)" if winners and winners[0].num_seeds > 1 else ""
