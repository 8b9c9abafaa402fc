"""How is an ablation drawn: accuracy over cost, one line for each way of growing?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from effsearch.results.plots import style
from effsearch.results.plots.ablation_data import AblationPlot, AblationPoint, AblationSeries
from effsearch.results.plots.labels import plain_text
from effsearch.results.plots.scales import format_multiply_adds, log_ticks, padded_log_range
from effsearch.space.arms import BASE_NAME

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_DODGE = (
    0.035  # of the axis: arms of one factor stand side by side, or their intervals would cover one another
)
_LEAST_SPAN = 0.04  # accuracy that the axis shows at the least
_NOTE_HEIGHT = 0.045  # of the figure


class _Look(NamedTuple):
    colour: str
    marker: str
    line: str | tuple[int, tuple[float, ...]]
    width: float


# Single dimensions are broken lines, compound ones whole: the question is between the two.
_LOOKS = {
    "depth": _Look("#7a2f00", "^", (0, (4, 1.5)), 1.7),
    "width": _Look("#1d5a22", "s", (0, (1.2, 1.2)), 1.7),
    "resolution": _Look("#4f1f66", "D", (0, (5, 1.5, 1.2, 1.5)), 1.7),
    "compound": _Look("#123a70", "o", "-", 2.4),
    "paper": _Look("#4a86c5", "P", "-", 1.7),
    "dwr": _Look("#8a6a00", "v", "-", 1.7),
}
_OTHER_LOOK = _Look(style.MUTED, "x", "-", 1.7)


def draw_ablation(plot: AblationPlot) -> Figure:
    """The figure of an ablation, the paper's figures 3 and 8 in one: lines from the base to what it grows into.

    Needs no display and leaves matplotlib's global state alone.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    with matplotlib.style.context(["default", style.STYLE]):
        figure = Figure(figsize=(style.WIDTH, style.MIN_HEIGHT), facecolor="white", dpi=100)
        bottom = 0.125 + _NOTE_HEIGHT * len(plot.notes)
        axes = figure.add_axes((0.095, bottom, 0.875, 0.845 - bottom))
        _set_scales(axes, plot)
        for index, series in enumerate(plot.series):
            _draw_series(axes, plot, series, shift=_shift(index, len(plot.series), axes))
        if plot.base is not None:
            _draw_point(axes, plot.base, plot.base.multiply_adds, colour=style.INK)
            axes.scatter(
                [plot.base.multiply_adds],
                [100 * plot.base.accuracy],
                marker="*",
                s=260,
                facecolor=style.WINNER_COLOUR,
                edgecolor=style.INK,
                linewidth=1.1,
                zorder=7,
                label=BASE_NAME,
            )
        axes.legend(
            loc="lower left",
            bbox_to_anchor=(0, 1.0),
            ncols=7,
            fontsize=style.SMALL_FONT,
            frameon=False,
            borderpad=0,
            borderaxespad=0.4,
            columnspacing=0.9,
            handlelength=2.2,
            handletextpad=0.5,
        )
        figure.text(0.095, 0.965, plain_text(plot.title, limit=80), fontsize=14, fontweight="bold", va="top")
        for index, note in enumerate(reversed(plot.notes)):
            figure.text(
                0.095,
                0.025 + _NOTE_HEIGHT * index,
                plain_text(note, limit=120),
                fontsize=style.SMALL_FONT,
                color=style.MUTED,
            )
    return figure


def _set_scales(axes: Axes, plot: AblationPlot) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    points = _all_points(plot)
    low, high = padded_log_range([point.multiply_adds for point in points], padding=0.12)
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    bottom = min(point.accuracy if point.low is None else point.low for point in points)
    top = max(point.accuracy if point.high is None else point.high for point in points)
    middle, span = (bottom + top) / 2, max(top - bottom, _LEAST_SPAN)
    axes.set_ylim(100 * (middle - 0.56 * span), 100 * (middle + 0.56 * span))
    axes.xaxis.set_major_locator(FixedLocator(log_ticks(low, high)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: format_multiply_adds(count)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    axes.set_xlabel("FLOPs (multiply-adds as trained)")
    axes.set_ylabel("Proxy accuracy (%)")
    axes.grid(color=style.GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _shift(index: int, num_series: int, axes: Axes) -> float:
    """Factor on the costs of a series that puts it beside the others: none for the middle one."""
    low, high = axes.get_xlim()
    step = min(_DODGE, 0.12 / max(1, num_series - 1))
    return float((high / low) ** (step * (index - (num_series - 1) / 2)))


def _draw_series(axes: Axes, plot: AblationPlot, series: AblationSeries, *, shift: float) -> None:
    look = _LOOKS.get(series.name, _OTHER_LOOK)
    places = [(_common_cost(plot, point.factor) * shift, 100 * point.accuracy) for point in series.points]
    start = [] if plot.base is None else [(float(plot.base.multiply_adds), 100 * plot.base.accuracy)]
    line = np.array(start + places)
    axes.plot(line[:, 0], line[:, 1], color=look.colour, linestyle=look.line, linewidth=look.width, zorder=3)
    for point, (x, _) in zip(series.points, places, strict=True):
        _draw_point(axes, point, x, colour=look.colour)
    axes.plot(
        [x for x, _ in places],
        [y for _, y in places],
        color=look.colour,
        marker=look.marker,
        markersize=8,
        markeredgecolor="white",
        markeredgewidth=0.8,
        linestyle="none",
        zorder=6,
    )
    axes.plot(
        [],
        [],
        color=look.colour,
        marker=look.marker,
        markersize=7,
        linestyle=look.line,
        linewidth=look.width,
        label=plain_text(series.name),
    )


def _common_cost(plot: AblationPlot, factor: float) -> float:
    """Multiply-adds that all arms of a factor stand at: the mean of theirs, which differ by one per cent or so."""
    own = [point.multiply_adds for series in plot.series for point in series.points if point.factor == factor]
    return sum(own) / len(own)


def _draw_point(axes: Axes, point: AblationPoint, x: float, *, colour: str) -> None:
    if point.low is not None and point.high is not None:
        axes.errorbar(
            [x],
            [100 * point.accuracy],
            yerr=[[100 * (point.accuracy - point.low)], [100 * (point.high - point.accuracy)]],
            fmt="none",
            ecolor=colour,
            elinewidth=1.4,
            capsize=4,
            zorder=5,
        )


def _all_points(plot: AblationPlot) -> Sequence[AblationPoint]:
    base = [] if plot.base is None else [plot.base]
    return [*base, *(point for series in plot.series for point in series.points)]
