"""How is it drawn which choices mattered, and what each of them did?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from effsearch.results.plots import style
from effsearch.results.plots.labels import plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_BARS = 10
_ROW = 0.24  # inches for each choice
_GAP = 0.6  # rows between two dimensions
_TOP, _BOTTOM = 1.0, 0.95  # inches for title and legend, for axis labels and note
_SHARE_PANEL = (0.225, 0.31)  # left and width, of the figure's
_EFFECT_PANEL = (0.63, 0.34)
_LEGEND_START = (0.02 - _SHARE_PANEL[0]) / _SHARE_PANEL[
    1
]  # at the figure's left edge, in widths of its panel


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectMark:
    """What one choice adds to the score, in its units, with an interval."""

    choice: str
    effect: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One dimension's share of the variance, with the effects of its choices."""

    name: str
    alone: float
    share: float  # with the pairs that it is in
    low: float
    high: float
    effects: tuple[EffectMark, ...]


def draw_importance(bars: Sequence[Bar], *, score: str, note: str) -> Figure:
    """The figure of an explanation: shares on the left, the effects of the same dimensions' choices on the right.

    Needs no display and leaves matplotlib's global state alone. Of many dimensions the most important are drawn.

    Args:
        bars: In any order.
        score: What the score is called.
        note: A line of text for below.
    """
    import matplotlib.style
    from matplotlib.figure import Figure

    chosen = sorted(bars, key=lambda bar: bar.share, reverse=True)[:MOST_BARS]
    num_rows = sum(len(bar.effects) for bar in chosen) + _GAP * len(chosen)
    height = max(style.MIN_HEIGHT * 0.7, _ROW * num_rows + _TOP + _BOTTOM)
    with matplotlib.style.context(["default", style.STYLE]):
        figure = Figure(figsize=(style.WIDTH, height), facecolor="white", dpi=100)
        bottom, span = _BOTTOM / height, 1 - (_TOP + _BOTTOM) / height
        shares = figure.add_axes((_SHARE_PANEL[0], bottom, _SHARE_PANEL[1], span))
        effects = figure.add_axes((_EFFECT_PANEL[0], bottom, _EFFECT_PANEL[1], span))
        rows = _rows_of(chosen)
        _draw_shares(shares, chosen, rows)
        _draw_effects(effects, chosen, rows)
        for axes in (shares, effects):
            axes.set_ylim(num_rows, 0)
            axes.grid(axis="x", color=style.GRID, linewidth=0.8)
            axes.set_axisbelow(True)
            axes.tick_params(axis="y", length=0)
            axes.spines[["top", "right", "left"]].set_visible(False)
        which = (
            f": the {len(chosen)} of {len(bars)} dimensions that matter most"
            if len(bars) > len(chosen)
            else ""
        )
        figure.text(
            0.02,
            1 - 0.14 / height,
            f"What {score} depends on{which}",
            fontsize=14,
            fontweight="bold",
            va="top",
        )
        figure.text(
            0.02, 0.12 / height, plain_text(note, limit=124), fontsize=style.SMALL_FONT, color=style.MUTED
        )
    return figure


def _rows_of(bars: Sequence[Bar]) -> list[np.ndarray]:
    """Where the choices of each dimension stand, in rows from the top."""
    rows, start = [], 0.0
    for bar in bars:
        rows.append(start + (_GAP + 1) / 2 + np.arange(len(bar.effects)))
        start += len(bar.effects) + _GAP
    return rows


def _draw_shares(axes: Axes, bars: Sequence[Bar], rows: Sequence[np.ndarray]) -> None:
    middles = [float(place.mean()) for place in rows]
    heights = [0.7 * len(place) for place in rows]
    total = np.array([100 * bar.share for bar in bars])
    ends = np.array([(100 * bar.low, 100 * bar.high) for bar in bars]).T
    axes.barh(middles, total, height=heights, color=style.PALE_COLOURS[0], label="with its pairs")
    alone = [100 * bar.alone for bar in bars]
    axes.barh(middles, alone, height=heights, color=style.DARK_COLOURS[0], label="by itself")
    axes.hlines(
        middles, *ends, color="white", linewidth=4.0, zorder=2
    )  # a rim, or dark bars would hide the line
    axes.hlines(middles, *ends, color=style.INK, linewidth=1.6, label="90 % interval", zorder=3)
    axes.set_yticks(middles, [plain_text(bar.name, limit=22) for bar in bars])
    axes.set_xlim(0, max(1.0, 1.04 * float(ends.max())))
    axes.set_xlabel("Share of the variance (%)")
    _add_legend(axes, start=_LEGEND_START, order=("by itself", "with its pairs", "90 % interval"))


def _draw_effects(axes: Axes, bars: Sequence[Bar], rows: Sequence[np.ndarray]) -> None:
    places = np.concatenate(rows)
    marks = [mark for bar in bars for mark in bar.effects]
    low, middle, high = (
        100 * np.array([getattr(mark, name) for mark in marks]) for name in ("low", "effect", "high")
    )
    axes.axvline(0.0, color=style.MUTED, linewidth=1.0, zorder=1)
    axes.hlines(places, low, high, color=style.INK, linewidth=1.4, zorder=2)
    is_sure = (low > 0) | (high < 0)
    for sure, look, label in ((True, style.DARK_COLOURS[0], "sure"), (False, "white", "may be nothing")):
        shown = is_sure == sure
        if shown.any():
            axes.scatter(
                middle[shown],
                places[shown],
                s=42,
                facecolor=look,
                edgecolor=style.DARK_COLOURS[0],
                linewidth=1.3,
                zorder=3,
                label=label,
            )
    axes.set_yticks(places, [plain_text(mark.choice, limit=9) for mark in marks])
    reach = max(1e-3, 1.06 * float(np.abs([low, high]).max()))
    axes.set_xlim(-reach, reach)
    axes.set_xlabel("Effect of each choice (points)")
    _add_legend(axes, start=-0.02, order=("sure", "may be nothing"))


def _add_legend(axes: Axes, *, start: float, order: Sequence[str]) -> None:
    """A row above the panel, from `start` of its width on."""
    handles, labels = axes.get_legend_handles_labels()
    known = dict(zip(labels, handles, strict=True))
    shown = [label for label in order if label in known]
    axes.legend(
        [known[label] for label in shown],
        shown,
        loc="lower left",
        bbox_to_anchor=(start, 1.0),
        ncols=len(order),
        fontsize=style.SMALL_FONT,
        frameon=False,
        borderpad=0,
        borderaxespad=0.4,
        columnspacing=1.2,
        handlelength=1.2,
        handletextpad=0.5,
    )
