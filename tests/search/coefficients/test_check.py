import pytest

from effsearch.search.coefficients.check import Checked, longer_order, order_holds


@pytest.mark.parametrize(
    ("means", "holds", "places"),
    [
        ([0.5, 0.4, 0.3], True, [1, 2, 3]),
        ([0.4, 0.5, 0.3], False, [2, 1, 3]),
        ([0.3, 0.4, 0.5], False, [3, 2, 1]),
        ([0.4, 0.4], True, [1, 2]),
        ([0.4], True, [1]),
    ],
)
def test_an_order_holds_where_nobody_overtakes(means: list[float], holds: bool, places: list[int]) -> None:
    checked = [
        Checked(candidate=index, accuracies=(mean - 0.01, mean + 0.01)) for index, mean in enumerate(means)
    ]
    assert [one.mean_accuracy for one in checked] == pytest.approx(means)
    assert order_holds(checked) is holds
    assert longer_order(checked) == places
