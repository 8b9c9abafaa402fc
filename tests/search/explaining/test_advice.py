import numpy as np
import pytest

from effsearch.search.explaining.advice import Advice, ChoiceEffect, DimensionReport, give_advice
from effsearch.search.model.surrogate import Interval
from effsearch.space.search_space import Label

SHARE = Interval(mean=0.5, low=0.4, high=0.6)


def dimension(labels: tuple[Label, ...], best: list[float], worse: list[float]) -> DimensionReport:
    """A dimension whose choice of the most probability has the best mean."""
    effects = tuple(
        ChoiceEffect(
            label=label,
            effect=Interval(mean=probability, low=probability - 0.1, high=probability + 0.1),
            best_probability=probability,
            worse_probability=beaten,
        )
        for label, probability, beaten in zip(labels, best, worse, strict=True)
    )
    return DimensionReport(name="stage4.repeats", main=SHARE, total=SHARE, effects=effects)


def advise(one: DimensionReport, *taken: list[int]) -> list[Advice]:
    """Advice where the liked networks of each budget take these choices."""
    return list(give_advice([one], [np.asarray(choices)[:, None] for choices in taken]))


def test_a_sure_best_choice_at_the_upper_end_asks_for_more() -> None:
    (advice,) = advise(dimension((2, 3, 4), [0.02, 0.05, 0.93], [0.97, 0.9, 0.0]), [2, 2, 2, 0])
    assert (advice.kind, advice.choices, advice.probability) == ("more", (4,), 0.93)
    assert (advice.num_taking, advice.num_liked) == (3, 4)


def test_one_at_the_lower_end_asks_for_less_where_something_lies_below() -> None:
    effects = ([0.93, 0.05, 0.02], [0.0, 0.9, 0.97])
    assert [advice.kind for advice in advise(dimension((16, 24, 32), *effects), [0, 0, 2])] == ["less"]
    assert advise(dimension((1, 2, 3), *effects), [0, 0, 2]) == []
    assert advise(dimension((0.0, 0.25, 0.5), *effects), [0, 0, 2]) == []


def test_a_best_choice_that_few_can_pay_for_is_held_back_by_the_budget() -> None:
    one = dimension((2, 3, 4), [0.02, 0.05, 0.93], [0.97, 0.9, 0.0])
    assert [advice.kind for advice in advise(one, [0, 0, 2])] == ["budget"]


def test_with_several_budgets_the_one_that_takes_it_most_decides() -> None:
    one = dimension((2, 3, 4), [0.02, 0.05, 0.93], [0.97, 0.9, 0.0])
    (advice,) = advise(one, [0, 0, 2], [2, 2, 2])
    assert (advice.kind, advice.budget_index, advice.num_taking) == ("more", 1, 3)


@pytest.mark.parametrize(
    ("labels", "best", "worse"),
    [
        ((2, 3, 4), [0.05, 0.9, 0.05], [0.97, 0.0, 0.97]),  # best in the middle
        ((2, 3, 4), [0.1, 0.3, 0.6], [0.97, 0.6, 0.0]),  # no end is probable enough
        ((2, 3, 4), [0.02, 0.05, 0.93], [0.94, 0.9, 0.0]),  # not sure that it matters
        (("a", "b", "c"), [0.03, 0.03, 0.94], [0.97, 0.97, 0.0]),  # not ordered
    ],
)
def test_nothing_is_widened_without_a_clear_end(
    labels: tuple[Label, ...], best: list[float], worse: list[float]
) -> None:
    assert advise(dimension(labels, best, worse), [2, 2, 2]) == []


def test_choices_that_are_never_good_may_go_unless_a_liked_network_takes_them() -> None:
    one = dimension(("a", "b", "c"), [0.0, 0.01, 0.99], [1.0, 0.99, 0.0])
    (advice,) = advise(one, [2, 2], [2, 2])
    assert (advice.kind, advice.choices, advice.num_liked) == ("drop", ("a", "b"), 4)
    assert advice.probability == pytest.approx(0.01)
    (advice,) = advise(one, [2, 2], [2, 0])
    assert advice.choices == ("b",)


def test_what_to_widen_comes_before_what_to_drop() -> None:
    one = dimension((2, 3, 4), [0.0, 0.01, 0.99], [1.0, 0.99, 0.0])
    assert [advice.kind for advice in advise(one, [2, 2])] == ["more", "drop"]
