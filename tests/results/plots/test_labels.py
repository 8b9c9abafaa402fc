import itertools

import numpy as np
import pytest
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from effsearch.results.plots.labels import Label, place_labels, plain_text


def _axes() -> Axes:
    axes = Figure(figsize=(9, 5.5), dpi=100).add_axes((0.1, 0.1, 0.8, 0.8))
    axes.set(xlim=(0, 10), ylim=(0, 10))
    return axes


def _overlap(first: Artist, second: Artist) -> bool:
    a, b = first.get_window_extent(), second.get_window_extent()
    return bool(a.x0 < b.x1 and b.x0 < a.x1 and a.y0 < b.y1 and b.y0 < a.y1)


def test_a_dollar_sign_starts_no_mathematics() -> None:
    axes = _axes()
    (name,) = place_labels(
        axes, [Label(text="$x_1$ costs $5", x=5, y=5)], obstacles=np.empty((0, 2)), size=11, colour="k"
    )
    axes.figure.canvas.draw()
    assert name.get_text() == r"\$x_1\$ costs \$5"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("two\nlines", "two lines"), ("a" * 30 + "b" * 30, "a" * 5 + "…" + "b" * 4), ("short", "short")],
)
def test_names_are_one_line_of_bounded_length(text: str, expected: str) -> None:
    assert plain_text(text, limit=10) == expected
    assert len(plain_text(text, limit=10)) <= 10


@pytest.mark.parametrize("seed", range(2))
def test_names_of_close_places_do_not_overlap_and_stay_inside(seed: int) -> None:
    axes = _axes()
    places = np.random.default_rng(seed).uniform(4.5, 5.5, (5, 2))
    labels = [Label(text=f"network number {i}", x=x, y=y) for i, (x, y) in enumerate(places)]
    names = place_labels(axes, labels, obstacles=places, size=11, colour="black")
    assert not any(_overlap(first, second) for first, second in itertools.combinations(names, 2))


@pytest.mark.parametrize(("x", "y"), [(0, 0), (10, 10), (0, 10), (10, 0)])
def test_a_name_in_a_corner_stays_inside_the_frame(x: float, y: float) -> None:
    axes = _axes()
    (name,) = place_labels(
        axes, [Label(text="efficientnet-b0", x=x, y=y)], obstacles=np.empty((0, 2)), size=11, colour="k"
    )
    box, frame = name.get_window_extent(), axes.bbox
    assert frame.x0 <= box.x0 < box.x1 <= frame.x1
    assert frame.y0 <= box.y0 < box.y1 <= frame.y1


def test_a_name_keeps_clear_of_markers() -> None:
    axes = _axes()
    right_of_it = np.column_stack([np.linspace(5.1, 8, 50), np.full(50, 5.0)])
    (name,) = place_labels(
        axes, [Label(text="efficientnet-b0", x=5, y=5)], obstacles=right_of_it, size=11, colour="k"
    )
    box = name.get_window_extent()
    pixels = axes.transData.transform(right_of_it)
    assert not any(box.contains(x, y) for x, y in pixels)


def test_no_labels_are_fine() -> None:
    assert place_labels(_axes(), [], obstacles=np.empty((0, 2)), size=11, colour="k") == []
