import subprocess
import sys
from itertools import pairwise
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from effsearch.results.plots.front import draw_front
from effsearch.results.plots.front_data import Family, FamilyMember, FrontPlot, FrontPoint, FrontSeries


def _point(multiply_adds: int, accuracy: float, name: str = "x", **more: Any) -> FrontPoint:
    return FrontPoint(name=name, multiply_adds=multiply_adds, accuracy=accuracy, **more)


CHEAP, BEATEN, DEAR = _point(100_000_000, 0.4), _point(200_000_000, 0.3), _point(300_000_000, 0.6)
B0 = _point(385_814_752, 0.65, "efficientnet-b0", accuracy_std=0.01, num_seeds=3)
WINNER = _point(300_000_000, 0.6, "trial 3", accuracy_std=0.02, num_seeds=3)
FAMILY = Family(
    name="trial 3",
    members=tuple(FamilyMember(phi=phi, multiply_adds=300_000_000 * 2**phi) for phi in range(1, 8)),
)
SERIES = FrontSeries(
    name="run", trials=(DEAR, BEATEN, CHEAP), anchors=(B0,), winners=(WINNER,), budgets=(400_000_000,)
)
PLOT = FrontPlot(title="A search", series=(SERIES,), families=(FAMILY,), resolution=224)


def _texts(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def _legend(figure: Figure) -> list[str]:
    legend = figure.axes[0].get_legend()
    assert legend is not None
    return [text.get_text() for text in legend.get_texts()]


def test_the_front_holds_anchors_and_leaves_out_cheaper_rungs() -> None:
    screened = _point(50_000_000, 0.9, is_full_fidelity=False)
    series = FrontSeries(name="run", trials=(DEAR, BEATEN, CHEAP, screened), anchors=(B0,))
    assert series.front == (CHEAP, DEAR, B0)


def test_everything_is_named_in_legend_and_picture() -> None:
    figure = draw_front(PLOT)
    assert _legend(figure) == [
        "trials",
        "Pareto front",
        "winner (mean of 3 seeds)",
        "known networks",
        "scaled family (not trained)",
    ]
    texts = _texts(figure)
    for text in ("A search", "efficientnet-b0", "trial 3: 60.0 %", "budget 400 M"):
        assert text in texts
    assert "FLOPs (multiply-adds at 224 px)" in texts


def test_the_family_is_named_by_phi_and_built_cost() -> None:
    texts = _texts(draw_front(PLOT))
    assert [text for text in texts if text.startswith("phi ")] == [f"phi {phi}" for phi in range(1, 8)]
    assert {"600 M", "1.2 G", "38.4 G"} <= set(texts)


def test_the_step_line_runs_through_the_front_in_per_cent() -> None:
    axes = draw_front(PLOT).axes[0]
    (line,) = [line for line in axes.get_lines() if line.get_label() == "Pareto front"]
    assert line.get_xdata().tolist() == [100_000_000, 300_000_000, 385_814_752]
    assert line.get_ydata() == pytest.approx(np.array([40.0, 60.0, 65.0]))
    assert line.get_drawstyle() == "steps-post"


def test_all_points_budget_and_spread_lie_inside_the_limits() -> None:
    axes = draw_front(PLOT).axes[0]
    low, high = axes.get_xlim()
    assert low < 100_000_000 < 400_000_000 < high
    bottom, top = axes.get_ylim()
    assert bottom < 30 < 66 < top
    assert axes.get_xscale() == "log"


def test_the_size_is_half_a_slide_and_no_letter_is_smaller_than_11_points() -> None:
    figure = draw_front(PLOT)
    assert figure.get_size_inches().tolist() == [9.0, 5.5]
    figure.canvas.draw()
    assert min(text.get_fontsize() for text in figure.findobj(Text) if text.get_text()) >= 11


def test_no_text_leaves_the_figure() -> None:
    figure = draw_front(PLOT)
    figure.canvas.draw()
    width, height = figure.bbox.size
    for text in figure.findobj(Text):
        if text.get_text() and text.get_visible():
            box = text.get_window_extent()
            is_tick_out_of_range = text in figure.axes[0].get_xticklabels()
            assert is_tick_out_of_range or (box.x0 >= 0 and box.x1 <= width), text
            assert box.y0 >= 0, text
            assert box.y1 <= height, text


def test_trained_members_become_points_of_the_panel() -> None:
    family = Family(
        name="trial 3",
        members=(
            FamilyMember(phi=1, multiply_adds=700_000_000, accuracy=0.7),
            FamilyMember(phi=2, multiply_adds=1_400_000_000, accuracy=0.75),
        ),
    )
    figure = draw_front(FrontPlot(title="t", series=(SERIES,), families=(family,)))
    assert "scaled family, trained" in _legend(figure)
    assert "scaled family (not trained)" not in _legend(figure)
    assert figure.axes[0].get_xlim()[1] > 1_400_000_000
    assert figure.axes[0].get_ylim()[1] > 75


def test_several_searches_are_told_apart_by_name_line_and_marker() -> None:
    other = FrontSeries(name="random", trials=(_point(90_000_000, 0.2), _point(150_000_000, 0.35)))
    figure = draw_front(FrontPlot(title="t", series=(SERIES, other)))
    fronts = [line for line in figure.axes[0].get_lines() if str(line.get_label()).startswith("Pareto")]
    assert [line.get_label() for line in fronts] == ["Pareto front, run", "Pareto front, random"]
    assert len({line.get_marker() for line in fronts}) == 2
    assert len({line.get_linestyle() for line in fronts}) == 2


def test_cheaper_rungs_and_repeated_trials_have_looks_of_their_own() -> None:
    trials = (CHEAP, WINNER, _point(50_000_000, 0.9, is_full_fidelity=False))
    figure = draw_front(FrontPlot(title="t", series=(FrontSeries(name="run", trials=trials),)))
    assert _legend(figure) == ["cheaper rungs, not ranked", "trials", "mean of several seeds", "Pareto front"]


def test_crowded_families_leave_ticks_unnamed_rather_than_overlap() -> None:
    members = tuple(FamilyMember(phi=phi / 10, multiply_adds=int(3e8 * 2 ** (phi / 10))) for phi in range(60))
    figure = draw_front(FrontPlot(title="t", series=(SERIES,), families=(Family(name="x", members=members),)))
    names = [text for text in figure.findobj(Text) if text.get_text().startswith("phi ")]
    boxes = sorted((text.get_window_extent() for text in names), key=lambda box: box.x0)
    assert 3 <= len(boxes) < 60
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))


def test_one_point_makes_a_picture() -> None:
    figure = draw_front(
        FrontPlot(title="$", series=(FrontSeries(name="run", trials=(CHEAP,)),), notes=("a note",))
    )
    figure.canvas.draw()
    assert {r"\$", "a note"} <= set(_texts(figure))


def test_a_users_own_matplotlib_settings_change_nothing_and_are_left_alone() -> None:
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "red"}):
        figure = draw_front(PLOT)
        assert matplotlib.rcParams["font.size"] == 30
    assert figure.axes[0].get_facecolor() == (1.0, 1.0, 1.0, 1.0)
    assert figure.axes[0].xaxis.label.get_fontsize() == 12


def test_drawing_needs_no_display_and_no_pyplot() -> None:
    code = (
        "import sys\nfrom effsearch.results.plots.front import draw_front\n"
        "from effsearch.results.plots.front_data import *\n"
        "point = FrontPoint(name='x', multiply_adds=10, accuracy=0.5)\n"
        "draw_front(FrontPlot(title='t', series=(FrontSeries(name='r', trials=(point,)),)))\n"
        "print('matplotlib.pyplot' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"MPLBACKEND": "agg"}
    )
    assert result.stdout.strip() == "False"


def test_a_picture_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="a front needs at least one scored network, got none"):
        FrontPlot(title="t", series=(FrontSeries(name="run", trials=()),))


def test_a_network_that_costs_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="x: multiply_adds must be at least 1, got 0"):
        _point(0, 0.5)
