import numpy as np
import pytest

from effsearch.search.model.trade_off import added_area, dominated_area, feasible_worth, front_of, weighed

REFERENCE = np.asarray([0.0, 0.0])


def test_the_front_holds_what_nothing_exceeds_in_both() -> None:
    values = np.asarray([[1.0, 3.0], [2.0, 2.0], [2.0, 1.0], [3.0, 1.0], [0.5, 3.0]])
    assert front_of(values).tolist() == [[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]
    assert front_of(np.zeros((0, 2))).shape == (0, 2)


def test_the_area_of_a_staircase() -> None:
    assert dominated_area(np.asarray([[1.0, 3.0], [2.0, 2.0], [3.0, 1.0]]), REFERENCE) == 6.0
    assert dominated_area(np.asarray([[1.0, -3.0]]), REFERENCE) == 0.0


def test_the_added_area_is_the_difference_of_two_areas() -> None:
    rng = np.random.default_rng(0)
    seen, points = rng.normal(size=(30, 2)), rng.normal(size=(50, 2)) * 1.5
    before = dominated_area(seen, REFERENCE)
    after = [dominated_area(np.vstack([seen, point]), REFERENCE) for point in points]
    assert added_area(points, front_of(seen), REFERENCE) == pytest.approx(np.asarray(after) - before)


def test_weights_decide_which_end_of_the_front_counts() -> None:
    values = np.asarray([[1.0, 0.0], [0.0, 1.0]])
    low, high = np.zeros(2), np.ones(2)
    first = weighed(values, np.asarray([0.9, 0.1]), low=low, high=high)
    second = weighed(values, np.asarray([0.1, 0.9]), low=low, high=high)
    assert (np.argmax(first), np.argmax(second)) == (0, 1)


def test_what_violates_a_constraint_comes_after_all_that_does_not() -> None:
    worth = feasible_worth(
        np.asarray([5.0, 1.0, 9.0]), [np.asarray([-1.0, 0.0, 3.0]), np.asarray([1.0, -1.0, -1.0])]
    )
    assert np.argsort(-worth).tolist() == [1, 2, 0] or np.argsort(-worth).tolist() == [1, 0, 2]
    assert worth[1] == 1.0
