"""How is a search drawn, with its front, its anchors and the family scaled from it?"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from effsearch.results.plots import style
from effsearch.results.plots.family_strip import ROW_HEIGHT, draw_family_strip
from effsearch.results.plots.front_data import FrontPlot, FrontPoint
from effsearch.results.plots.front_layers import (
    draw_anchors,
    draw_budgets,
    draw_series,
    draw_trained_members,
    write_names,
)
from effsearch.results.plots.labels import plain_text
from effsearch.results.plots.scales import format_multiply_adds, log_ticks, padded_log_range

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Inches, from top to bottom.
_TITLE_HEIGHT = 0.44
_LEGEND_ROW_HEIGHT = 0.235
_LEGEND_GAP = 0.12
_MIN_PANEL_HEIGHT = 2.8
_X_AXIS_HEIGHT = 0.66
_NOTE_HEIGHT = 0.32
_BOTTOM_MARGIN = 0.08

_LEGEND_COLUMNS = ((27, 3), (50, 2))  # the longest name that so many columns hold


def draw_front(plot: FrontPlot) -> Figure:
    """The figure of a front: accuracy over multiply-adds, and the scaled families on a strip of their own.

    Needs no display and leaves matplotlib's global state alone. The families have their own axis below, since
    phi 7 costs some hundred times its base and would squeeze the search into a corner.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    with matplotlib.style.context(["default", style.STYLE]):
        figure = Figure(facecolor="white", dpi=100)
        axes = figure.add_axes((0, 0, 1, 1))
        points = _all_points(plot)
        _set_scales(axes, plot, points)
        for index, series in enumerate(plot.series):
            draw_series(axes, series, index=index, is_alone=len(plot.series) == 1)
        draw_anchors(axes, [anchor for series in plot.series for anchor in series.anchors])
        draw_trained_members(axes, _trained_members(plot))
        handles, names = _legend_entries(axes, plot)

        num_columns = _num_legend_columns(names)
        num_legend_rows = math.ceil(len(names) / num_columns)
        above = _TITLE_HEIGHT + _LEGEND_ROW_HEIGHT * num_legend_rows + _LEGEND_GAP
        note_height = _NOTE_HEIGHT * len(plot.notes)
        strip_height = ROW_HEIGHT * len(plot.families)
        below = _X_AXIS_HEIGHT + strip_height + note_height + _BOTTOM_MARGIN
        height = max(style.MIN_HEIGHT, above + _MIN_PANEL_HEIGHT + below)
        figure.set_size_inches(style.WIDTH, height)
        _place(axes, bottom=below, panel_height=height - above - below)
        figure.text(
            style.LEFT_MARGIN / style.WIDTH,
            1 - 0.17 / height,
            plain_text(plot.title, limit=64),
            fontsize=14,
            fontweight="bold",
            verticalalignment="top",
        )
        axes.legend(
            handles,
            names,
            loc="lower left",
            bbox_to_anchor=(0, 1 + 0.5 * _LEGEND_GAP / (height - above - below)),
            ncols=num_columns,
            fontsize=style.SMALL_FONT,
            frameon=False,
            borderpad=0,
            borderaxespad=0,
            labelspacing=0.4,
            columnspacing=1.6,
            handlelength=1.8,
        )
        draw_budgets(axes, _budgets(plot))
        write_names(axes, plot.series, trained_members=_trained_members(plot))
        if plot.families:
            strip = figure.add_axes((0, 0, 1, 1))
            _place(strip, bottom=note_height + _BOTTOM_MARGIN, panel_height=strip_height)
            draw_family_strip(strip, plot.families)
        for index, note in enumerate(reversed(plot.notes)):
            figure.text(
                style.LEFT_MARGIN / style.WIDTH,
                (0.12 + index * _NOTE_HEIGHT) / height,
                plain_text(note, limit=104),
                fontsize=style.SMALL_FONT,
                color=style.MUTED,
            )
    return figure


def _place(axes: Axes, *, bottom: float, panel_height: float) -> None:
    """Put axes between the side margins; bottom and height are in inches."""
    width, height = axes.figure.get_size_inches()  # type: ignore[union-attr]  # never a sub-figure here
    inner_width = width - style.LEFT_MARGIN - style.RIGHT_MARGIN
    axes.set_position(
        (style.LEFT_MARGIN / width, bottom / height, inner_width / width, panel_height / height)
    )


def _set_scales(axes: Axes, plot: FrontPlot, points: list[FrontPoint]) -> None:
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    low, high = padded_log_range([*(point.multiply_adds for point in points), *_budgets(plot)])
    axes.set_xscale("log")
    axes.set_xlim(low, high)
    axes.set_ylim(*_accuracy_range(points))
    axes.xaxis.set_major_locator(FixedLocator(log_ticks(low, high)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: format_multiply_adds(count)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_locator(MaxNLocator(nbins=6, steps=[1, 2, 2.5, 5, 10]))
    at = f" at {plot.resolution} px" if plot.resolution else ""
    axes.set_xlabel(f"FLOPs (multiply-adds{at})")
    axes.set_ylabel("Proxy accuracy (%)")
    axes.grid(color=style.GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _legend_entries(axes: Axes, plot: FrontPlot) -> tuple[list[Artist], list[str]]:
    from matplotlib.lines import Line2D

    handles, names = axes.get_legend_handles_labels()
    if any(member.accuracy is None for family in plot.families for member in family.members):
        handles.append(
            Line2D([], [], linestyle="none", marker="|", markersize=11, markeredgewidth=2.2, color=style.INK)
        )
        names.append("scaled family (not trained)")
    return handles, names


def _num_legend_columns(names: list[str]) -> int:
    longest = max(map(len, names), default=0)
    return next((columns for length, columns in _LEGEND_COLUMNS if longest <= length), 1)


def _budgets(plot: FrontPlot) -> list[int]:
    return sorted({budget for series in plot.series for budget in series.budgets})


def _all_points(plot: FrontPlot) -> list[FrontPoint]:
    points = [point for series in plot.series for point in (*series.trials, *series.anchors)]
    points += [winner for series in plot.series for winner in series.winners]
    return points + _trained_members(plot)


def _trained_members(plot: FrontPlot) -> list[FrontPoint]:
    return [
        FrontPoint(name=f"phi {member.phi:g}", multiply_adds=member.multiply_adds, accuracy=member.accuracy)
        for family in plot.families
        for member in family.members
        if member.accuracy is not None
    ]


def _accuracy_range(points: list[FrontPoint]) -> tuple[float, float]:
    """Limits in per cent, around the points and their spread, with room for a name above the best."""
    low = 100 * min(point.accuracy - point.accuracy_std for point in points)
    high = 100 * max(point.accuracy + point.accuracy_std for point in points)
    span = max(high - low, 4.0)
    middle = (low + high) / 2
    return middle - 0.58 * span, middle + 0.62 * span
