"""Where does a name go so that it covers neither a point nor another name?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

# Right and left read best; every direction is tried near the point first, then farther away.
_DIRECTIONS = ((1, 0), (1, -1), (1, 1), (-1, -1), (-1, 1), (-1, 0), (0, -1), (0, 1))
_DISTANCES = (11.0, 20.0, 32.0, 46.0, 62.0, 80.0)  # points
_LEADER_FROM = 25.0  # points; farther names get a line to their marker
_MARKER_RADIUS = 8.0  # points kept clear around every labelled place


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A name for a place in data coordinates."""

    text: str
    x: float
    y: float
    weight: str = "normal"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Surroundings:
    """What a name must keep clear of, in pixels; boxes are (left, bottom, right, top)."""

    frame: NDArray[np.float64]  # (4,)
    markers: NDArray[np.float64]  # (num_markers, 2)
    boxes: list[NDArray[np.float64]]  # of names placed and of labelled places


def plain_text(text: str, *, limit: int = 48) -> str:
    """`text` for matplotlib: dollar signs start no mathematics, line breaks are spaces, the middle may go."""
    text = " ".join(text.split())
    if len(text) > limit:
        text = text[: limit // 2] + "…" + text[limit // 2 + 1 - limit :]
    return text.replace("$", r"\$")


def place_labels(
    axes: Axes, labels: Sequence[Label], *, obstacles: NDArray[np.float64], size: float, colour: str
) -> list[Annotation]:
    """Write names beside their places, greedily in the order given: each where it covers least.

    Limits and position of `axes` must be final. The longer the list, the more a late name may have to cover.

    Args:
        axes: Where to write.
        labels: Names, the most important first.
        obstacles: (num_obstacles, 2) data coordinates of markers and lines to keep clear of.
        size: Font size in points.
        colour: Of text and leader lines.

    Returns:
        One annotation per label.
    """
    from matplotlib.patheffects import withStroke

    points_to_pixels = axes.figure.dpi / 72
    places = np.array([(label.x, label.y) for label in labels], dtype=np.float64).reshape(-1, 2)
    anchors = axes.transData.transform(places)
    radius = _MARKER_RADIUS * points_to_pixels
    around = _Surroundings(
        frame=np.asarray(axes.bbox.extents),
        markers=axes.transData.transform(obstacles) if len(obstacles) else np.empty((0, 2)),
        boxes=[np.concatenate([anchor - radius, anchor + radius]) for anchor in anchors],
    )
    placed = []
    for label, anchor in zip(labels, anchors, strict=True):
        annotation = axes.annotate(
            plain_text(label.text),
            xy=(label.x, label.y),
            xytext=(0, 0),
            textcoords="offset points",
            fontsize=size,
            fontweight=label.weight,
            color=colour,
            zorder=9,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )
        offset, distance = _best_offset(annotation, anchor, around, points_to_pixels)
        _move(annotation, offset)
        around.boxes.append(_box_of(annotation))
        if distance >= _LEADER_FROM:
            leader = _leader(anchor, offset, points_to_pixels)
            around = replace(around, markers=np.concatenate([around.markers, np.repeat(leader, 3, axis=0)]))
            axes.annotate(
                "",
                xy=(label.x, label.y),
                xytext=offset,
                textcoords="offset points",
                arrowprops={"arrowstyle": "-", "color": colour, "linewidth": 0.8, "shrinkA": 0, "shrinkB": 6},
                zorder=5,
            )
        placed.append(annotation)
    return placed


def _best_offset(
    annotation: Annotation, anchor: NDArray[np.float64], around: _Surroundings, points_to_pixels: float
) -> tuple[tuple[float, float], float]:
    """The offset in points that covers least, and its distance; near places win ties."""
    best_penalty, best_offset, best_distance = float("inf"), (0.0, 0.0), 0.0
    for distance in _DISTANCES:
        for rank, (across, up) in enumerate(_DIRECTIONS):
            offset = (across * distance * (0.8 if up else 1.0), up * distance * (0.8 if across else 1.0))
            _move(annotation, offset)
            leader = (
                _leader(anchor, offset, points_to_pixels) if distance >= _LEADER_FROM else np.empty((0, 2))
            )
            penalty = _penalty(_box_of(annotation), leader, around, margin=3 * points_to_pixels)
            penalty += 0.05 * rank + 0.04 * distance
            if penalty < best_penalty:
                best_penalty, best_offset, best_distance = penalty, offset, distance
    return best_offset, best_distance


def _leader(
    anchor: NDArray[np.float64], offset: tuple[float, float], points_to_pixels: float
) -> NDArray[np.float64]:
    """Pixels along the line from the edge of a marker to its name."""
    reach = np.array(offset) * points_to_pixels
    start = 1.5 * _MARKER_RADIUS / float(np.abs(offset).max())
    return np.asarray(anchor + np.linspace(start, 1.0, 20)[:, None] * reach)


def _penalty(
    box: NDArray[np.float64], leader: NDArray[np.float64], around: _Surroundings, *, margin: float
) -> float:
    """How bad a place is: covering names is worst, then leaving the frame, then markers and crossed lines.

    `leader` holds points (num_points, 2) along the line to the marker, none where there is no line.
    """
    left, bottom, right, top = box + np.array([-margin, -margin, margin, margin])
    num_boxes = sum(
        bool(left < other[2] and other[0] < right and bottom < other[3] and other[1] < top)
        for other in around.boxes
    )
    frame = around.frame
    is_outside = bool(left < frame[0] or bottom < frame[1] or right > frame[2] or top > frame[3])
    x, y = around.markers[:, 0], around.markers[:, 1]
    num_markers = int(np.count_nonzero((x > left) & (x < right) & (y > bottom) & (y < top)))
    gaps = np.abs(around.markers[:, None, :] - leader[None, :, :]).max(axis=2)
    is_crossing = bool((gaps < margin).any())
    num_struck = sum(
        bool(((leader > other[:2]) & (leader < other[2:])).all(axis=1).any()) for other in around.boxes
    )
    return 100.0 * (num_boxes + num_struck) + 60.0 * is_outside + 2.0 * num_markers + 3.0 * is_crossing


def _move(annotation: Annotation, offset: tuple[float, float]) -> None:
    """Set a name at an offset in points, aligned so that it grows away from its place."""
    annotation.set_position(offset)
    across, up = int(np.sign(offset[0])), int(np.sign(offset[1]))
    annotation.set_horizontalalignment(("center", "left", "right")[across])
    annotation.set_verticalalignment(("center", "bottom", "top")[up])


def _box_of(annotation: Annotation) -> NDArray[np.float64]:
    """The pixels that a name covers."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure = annotation.get_figure(root=True)
    assert figure is not None
    renderer = FigureCanvasAgg(figure).get_renderer()  # type: ignore[no-untyped-call]  # matplotlib leaves it so
    return np.asarray(annotation.get_window_extent(renderer).extents)
