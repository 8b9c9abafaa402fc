"""How large do the scaled networks become? One row per family, on an axis of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from effsearch.results.plots import style
from effsearch.results.plots.front_data import Family
from effsearch.results.plots.labels import plain_text
from effsearch.results.plots.scales import format_multiply_adds, padded_log_range

if TYPE_CHECKING:
    from matplotlib.axes import Axes

ROW_HEIGHT = 0.92  # inches for each family

# Inches below the top of a row.
_CAPTION_AT = 0.03
_PHI_AT = 0.44
_LINE_AT = 0.57
_COST_AT = 0.68
_MIN_GAP = 0.68  # inches between ticks that are both named


def draw_family_strip(strip: Axes, families: Sequence[Family]) -> None:
    """A tick per network at its built cost, phi above it and the cost below.

    Ticks too close to the named one before them stay unnamed. The position of `strip` must be final and
    `ROW_HEIGHT` high for each family.
    """
    costs = [member.multiply_adds for family in families for member in family.members]
    low, high = padded_log_range(costs, padding=0.06)
    strip.set_xscale("log")
    strip.set_xlim(low, high)
    strip.set_ylim(ROW_HEIGHT * len(families), 0)
    strip.set_axis_off()
    inches_per_log = strip.bbox.width / strip.figure.dpi / math.log(high / low)
    for row, family in enumerate(families):
        top = row * ROW_HEIGHT
        caption = f"Scaled from {family.name}: FLOPs as built"
        strip.text(
            0,
            top + _CAPTION_AT,
            plain_text(caption, limit=92),
            transform=strip.get_yaxis_transform(),
            fontsize=style.SMALL_FONT,
            color=style.MUTED,
            verticalalignment="top",
        )
        strip.axhline(top + _LINE_AT, color=style.MUTED, linewidth=1, zorder=1)
        named_at = -math.inf
        for member in sorted(family.members, key=lambda member: member.multiply_adds):
            cost = member.multiply_adds
            strip.plot(
                [cost],
                [top + _LINE_AT],
                marker="|" if member.accuracy is None else "P",
                markersize=11 if member.accuracy is None else 8,
                markeredgewidth=2.2 if member.accuracy is None else 0.5,
                color=style.INK,
            )
            at = math.log(cost) * inches_per_log
            if at - named_at < _MIN_GAP:
                continue
            named_at = at
            for text, height, alignment in (
                (f"phi {member.phi:g}", _PHI_AT, "bottom"),
                (format_multiply_adds(cost), _COST_AT, "top"),
            ):
                strip.text(
                    cost,
                    top + height,
                    text,
                    horizontalalignment="center",
                    verticalalignment=alignment,
                    fontsize=style.SMALL_FONT,
                )
