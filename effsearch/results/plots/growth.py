"""How is it drawn what a family costs, as its rule promises and as it is built?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from effsearch.results.plots import style
from effsearch.results.plots.labels import plain_text
from effsearch.results.plots.scales import format_multiply_adds, log_ticks, padded_log_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BAND = 0.1  # off by less is not worth a word

_LEFT, _INNER_WIDTH = 0.1, 0.875  # of the figure's width
_COST_PANEL = (0.42, 0.445)  # bottom and height, of the figure's
_OFF_PANEL = (0.115, 0.24)


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth:
    """Costs of a family; multiply-adds at the target."""

    title: str
    phis: tuple[float, ...]  # of the members, ascending
    nominal: tuple[float, ...]  # what the rule promises of each
    built: tuple[int, ...]
    between: tuple[
        tuple[float, float, int], ...
    ] = ()  # phi, nominal and built in small steps; none for some rules


def draw_growth(growth: Growth) -> Figure:
    """The figure of a family's costs: both over phi on a logarithmic axis, and below how far they are apart.

    Needs no display and leaves matplotlib's global state alone.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    with matplotlib.style.context(["default", style.STYLE]):
        figure = Figure(figsize=(style.WIDTH, style.MIN_HEIGHT), facecolor="white", dpi=100)
        costs = figure.add_axes((_LEFT, _COST_PANEL[0], _INNER_WIDTH, _COST_PANEL[1]))
        offs = figure.add_axes((_LEFT, _OFF_PANEL[0], _INNER_WIDTH, _OFF_PANEL[1]), sharex=costs)
        _draw_costs(costs, growth)
        _draw_offs(offs, growth)
        for axes in (costs, offs):
            axes.grid(color=style.GRID, linewidth=0.8)
            axes.set_axisbelow(True)
            axes.spines[["top", "right"]].set_visible(False)
        costs.tick_params(axis="x", labelbottom=False)
        offs.set_xlabel("phi")
        figure.text(_LEFT, 0.97, plain_text(growth.title, limit=76), fontsize=14, fontweight="bold", va="top")
    return figure


def _draw_costs(axes: Axes, growth: Growth) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    phis, nominal, built = _steps(growth)
    low, high = padded_log_range([*nominal, *built])
    axes.set_yscale("log")
    axes.set_ylim(low, high)
    axes.yaxis.set_major_locator(FixedLocator(log_ticks(low, high)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda count, _: format_multiply_adds(count)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_ylabel("FLOPs")
    axes.plot(
        phis, nominal, color=style.MUTED, linewidth=1.6, linestyle=(0, (5, 3)), label="as the rule promises"
    )
    if growth.between:
        axes.plot(phis, built, color=style.DARK_COLOURS[0], linewidth=1.4, label="as built, phi by phi")
    axes.plot(
        growth.phis,
        growth.built,
        linestyle="none",
        marker="o",
        markersize=7,
        color=style.DARK_COLOURS[0],
        label="this family",
    )
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1.0),
        ncols=3,
        fontsize=style.SMALL_FONT,
        frameon=False,
        borderpad=0,
        borderaxespad=0.4,
        columnspacing=1.6,
    )


def _draw_offs(axes: Axes, growth: Growth) -> None:
    from matplotlib.ticker import MaxNLocator

    phis, nominal, built = _steps(growth)
    axes.axhspan(-100 * BAND, 100 * BAND, color=style.GRID, zorder=0)
    axes.axhline(0.0, color=style.MUTED, linewidth=1.0, zorder=1)
    offs = 100 * (np.asarray(built) / np.asarray(nominal) - 1)
    if growth.between:
        axes.plot(phis, offs, color=style.DARK_COLOURS[0], linewidth=1.4)
    own = 100 * (np.asarray(growth.built) / np.asarray(growth.nominal) - 1)
    axes.vlines(growth.phis, 0, own, color=style.DARK_COLOURS[0], linewidth=2.2)
    axes.plot(growth.phis, own, linestyle="none", marker="o", markersize=7, color=style.DARK_COLOURS[0])
    reach = max(1.2 * 100 * BAND, 1.1 * float(np.abs([*offs, *own]).max()))
    axes.set_ylim(-reach if min(*offs, *own) < -2 else -1.2 * 100 * BAND, reach)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]))
    axes.set_ylabel("off by (%)")


def _steps(growth: Growth) -> tuple[Sequence[float], Sequence[float], Sequence[float]]:
    """Phi, nominal and built of the lines: in small steps where they are known."""
    if not growth.between:
        return growth.phis, growth.nominal, growth.built
    phis, nominal, built = zip(*growth.between, strict=True)
    return phis, nominal, built
