"""How is a search of coefficients drawn, on the surface alpha * beta^2 * gamma^2 = 2?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from effsearch.results.plots import style
from effsearch.results.plots.labels import plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.collections import PathCollection
    from matplotlib.figure import Figure

_PANEL = (0.095, 0.165, 0.72, 0.635)  # left, bottom, width and height, of the figure's
_BAR = (0.845, 0.165, 0.022, 0.635)
_ALPHAS = (1.0, 1.2, 1.4, 1.6, 1.8, 2.0)
_EDGE = 0.03  # around the axes' ranges, in units of a coefficient


@dataclass(frozen=True, slots=True, kw_only=True)
class SurfacePoint:
    """A triple that was compared, and what is believed of the network it comes to."""

    alpha: float
    beta: float
    gamma: float
    expected: float  # accuracy in [0, 1]
    is_trained: bool
    is_in_set: bool  # cannot be told apart from the winner


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """What a search of coefficients found."""

    title: str
    points: tuple[SurfacePoint, ...]
    left_out: tuple[tuple[float, float], ...]  # beta and gamma of triples that could not be compared
    winner: SurfacePoint
    beta_interval: tuple[float, float]
    gamma_interval: tuple[float, float]
    paper: tuple[float, float] | None = None  # beta and gamma of the paper's triple, where it was compared
    note: str = ""


def draw_surface(surface: Surface) -> Figure:
    """The figure of a coefficient search: width against resolution, depth as contours, colour for the accuracy.

    Needs no display and leaves matplotlib's global state alone.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    with matplotlib.style.context(["default", style.STYLE]):
        figure = Figure(figsize=(style.WIDTH, style.MIN_HEIGHT), facecolor="white", dpi=100)
        axes = figure.add_axes(_PANEL)
        _set_scales(axes, surface)
        _draw_alphas(axes)
        if surface.left_out:
            beta, gamma = zip(*surface.left_out, strict=True)
            axes.scatter(beta, gamma, marker="x", s=22, color=style.MUTED, linewidth=1.0, label="cost missed")
        colours = _draw_points(axes, surface)
        _draw_winner(axes, surface)
        bar = figure.colorbar(colours, cax=figure.add_axes(_BAR))
        bar.set_label("expected accuracy (%)")
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(-0.01, 1.0),
            ncols=3,
            fontsize=style.SMALL_FONT,
            frameon=False,
            borderpad=0,
            borderaxespad=0.4,
            columnspacing=1.2,
            handletextpad=0.4,
        )
        figure.text(
            _PANEL[0], 0.965, plain_text(surface.title, limit=76), fontsize=14, fontweight="bold", va="top"
        )
        figure.text(
            _PANEL[0], 0.03, plain_text(surface.note, limit=112), fontsize=style.SMALL_FONT, color=style.MUTED
        )
    return figure


def _set_scales(axes: Axes, surface: Surface) -> None:
    beta = [point.beta for point in surface.points] + [one[0] for one in surface.left_out]
    gamma = [point.gamma for point in surface.points] + [one[1] for one in surface.left_out]
    axes.set_xlim(1 - 3 * _EDGE, max(*beta, *surface.beta_interval) + _EDGE)
    axes.set_ylim(1 - _EDGE, max(*gamma, *surface.gamma_interval) + _EDGE)
    axes.set_xlabel("beta (width)")
    axes.set_ylabel("gamma (resolution)")
    axes.spines[["top", "right"]].set_visible(False)


def _draw_alphas(axes: Axes) -> None:
    """Lines of equal depth, each named at its left end."""
    beta = np.linspace(*axes.get_xlim(), 200)
    low, high = axes.get_ylim()
    for alpha in _ALPHAS:
        gamma = np.sqrt(2 / alpha) / beta
        axes.plot(beta, gamma, color=style.GRID, linewidth=1.2, zorder=0)
        inside = np.flatnonzero((gamma > low) & (gamma < high - _EDGE))
        if len(inside):
            at = inside[0]
            axes.annotate(
                f"alpha {alpha:g}",
                xy=(beta[at], gamma[at]),
                xytext=(3, 2),
                textcoords="offset points",
                fontsize=style.SMALL_FONT - 2,
                color=style.MUTED,
                zorder=1,
            )


def _draw_points(axes: Axes, surface: Surface) -> PathCollection:
    from matplotlib.colors import Normalize

    values = [100 * point.expected for point in surface.points]
    colours = Normalize(min(values), max(max(values), min(values) + 0.1))
    drawn = None
    for is_in_set, is_trained, label in (
        (True, True, "not told apart from the winner"),
        (True, False, "nor these, never trained"),
        (False, True, "worse"),
        (False, False, "worse, never trained"),
    ):
        chosen = [
            point
            for point in surface.points
            if (point.is_in_set, point.is_trained) == (is_in_set, is_trained)
        ]
        if chosen:
            drawn = axes.scatter(
                [point.beta for point in chosen],
                [point.gamma for point in chosen],
                c=[100 * point.expected for point in chosen],
                marker="o" if is_trained else "D",
                s=120 if is_in_set else 42,
                edgecolor=style.INK if is_in_set else "white",
                linewidth=1.6 if is_in_set else 0.6,
                zorder=4 + is_trained + 0.5 * is_in_set,
                label=label,
                norm=colours,
                cmap="viridis",
            )
    assert drawn is not None, "a search has points"
    return drawn


def _draw_winner(axes: Axes, surface: Surface) -> None:
    winner = surface.winner
    around = _distances(winner.beta, surface.beta_interval), _distances(winner.gamma, surface.gamma_interval)
    axes.errorbar(
        winner.beta,
        winner.gamma,
        xerr=around[0],
        yerr=around[1],
        fmt="none",
        ecolor=style.INK,
        elinewidth=1.4,
        capsize=4,
        zorder=6,
    )
    if surface.paper is not None:
        axes.scatter(
            *surface.paper,
            marker="s",
            s=230,
            facecolor="none",
            edgecolor=style.DARK_COLOURS[1],
            linewidth=2.0,
            zorder=7,
            label="the paper's",
        )
    axes.scatter(
        winner.beta,
        winner.gamma,
        marker="*",
        s=300,
        facecolor=style.WINNER_COLOUR,
        edgecolor=style.INK,
        linewidth=1.1,
        zorder=8,
        label=f"winner: {winner.alpha:g}, {winner.beta:g}, {winner.gamma:g}",
    )


def _distances(value: float, interval: Sequence[float]) -> list[list[float]]:
    """How far an interval reaches below and above a value, as matplotlib wants it."""
    return [[max(0.0, value - interval[0])], [max(0.0, interval[1] - value)]]
