import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from effsearch.results.plots.importance import MOST_BARS, Bar, EffectMark, draw_importance


def bar(name: str, share: float) -> Bar:
    return Bar(
        name=name,
        alone=share / 2,
        share=share,
        low=share / 3,
        high=share * 1.2,
        effects=(
            EffectMark(choice="3", effect=-0.02, low=-0.03, high=-0.01),
            EffectMark(choice="5", effect=0.01, low=-0.01, high=0.03),
        ),
    )


BARS = [bar("stage1.kernel_size", 0.1), bar("stage2.kernel_size", 0.6)]


def draw(bars: list[Bar]) -> tuple[Figure, Axes, Axes]:
    figure = draw_importance(bars, score="accuracy", note="60 networks")
    shares, effects = figure.axes
    return figure, shares, effects


def ticks(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def test_the_most_important_dimension_comes_first_with_its_shares_in_per_cent() -> None:
    _, shares, _ = draw(BARS)
    assert ticks(shares) == ["stage2.kernel_size", "stage1.kernel_size"]
    with_pairs, alone = shares.containers
    assert [patch.get_width() for patch in with_pairs] == pytest.approx([60, 10])
    assert [patch.get_width() for patch in alone] == pytest.approx([30, 5])
    assert shares.get_ylim()[0] > shares.get_ylim()[1]
    assert shares.get_xlim()[1] > 72


def test_effects_stand_in_points_beside_their_choice_and_the_unsure_ones_are_hollow() -> None:
    _, _, effects = draw(BARS)
    assert ticks(effects) == ["3", "5", "3", "5"]
    marks = {one.get_label(): np.asarray(one.get_offsets()) for one in effects.collections}
    assert marks["sure"][:, 0].tolist() == pytest.approx([-2, -2])
    assert marks["may be nothing"][:, 0].tolist() == pytest.approx([1, 1])
    assert sorted([*marks["sure"][:, 1], *marks["may be nothing"][:, 1]]) == effects.get_yticks().tolist()


def test_both_panels_share_their_rows() -> None:
    _, shares, effects = draw(BARS)
    assert shares.get_ylim() == effects.get_ylim()
    middles = effects.get_yticks().reshape(2, 2).mean(axis=1)
    assert shares.get_yticks().tolist() == pytest.approx(middles.tolist())


def test_of_many_dimensions_the_most_important_are_drawn_and_the_title_says_so() -> None:
    figure, shares, _ = draw([bar(f"stage{index}.repeats", index / 100) for index in range(1, 36)])
    assert len(ticks(shares)) == MOST_BARS
    assert ticks(shares)[0] == "stage35.repeats"
    found = [text.get_text() for text in figure.findobj(Text)]
    assert "What accuracy depends on: the 10 of 35 dimensions that matter most" in found
    assert "60 networks" in found


def test_shares_and_effects_of_nothing_can_be_drawn() -> None:
    nothing = Bar(
        name="one",
        alone=0,
        share=0,
        low=0,
        high=0,
        effects=(EffectMark(choice="3", effect=0, low=0, high=0),),
    )
    _, shares, effects = draw([nothing])
    assert shares.get_xlim()[0] < shares.get_xlim()[1]
    assert effects.get_xlim()[0] < effects.get_xlim()[1]


def test_drawing_leaves_global_settings_alone() -> None:
    before = dict(matplotlib.rcParams)
    draw(BARS)
    assert dict(matplotlib.rcParams) == before
