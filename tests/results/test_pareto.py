import numpy as np
import pytest

from effsearch.results.pareto import hypervolume, pareto_front


def _random_points(seed: int, *, num_points: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Points with many ties in cost, accuracy and both."""
    rng = np.random.default_rng(seed)
    return rng.integers(1, 15, num_points).astype(float), rng.integers(0, 12, num_points) / 12


def _all_pairs_front(costs: np.ndarray, accuracies: np.ndarray) -> list[int]:
    """The slow road: a point stays unless another beats it, or an identical one came first."""
    stays = []
    for i in range(len(costs)):
        is_beaten = any(
            costs[j] <= costs[i]
            and accuracies[j] >= accuracies[i]
            and (costs[j] < costs[i] or accuracies[j] > accuracies[i] or j < i)
            for j in range(len(costs))
            if j != i
        )
        if not is_beaten:
            stays.append(i)
    return sorted(stays, key=lambda i: costs[i])


@pytest.mark.parametrize("seed", range(30))
def test_the_fast_front_equals_the_all_pairs_one(seed: int) -> None:
    costs, accuracies = _random_points(seed)
    assert pareto_front(costs, accuracies).tolist() == _all_pairs_front(costs, accuracies)


@pytest.mark.parametrize("seed", range(10))
def test_shuffling_the_points_leaves_the_front_unchanged(seed: int) -> None:
    costs, accuracies = _random_points(seed)
    order = np.random.default_rng(seed + 100).permutation(len(costs))
    front, shuffled = pareto_front(costs, accuracies), pareto_front(costs[order], accuracies[order])
    assert np.array_equal(costs[front], costs[order][shuffled])
    assert np.array_equal(accuracies[front], accuracies[order][shuffled])


@pytest.mark.parametrize("seed", range(10))
def test_cost_and_accuracy_both_rise_along_the_front(seed: int) -> None:
    costs, accuracies = _random_points(seed)
    front = pareto_front(costs, accuracies)
    assert (np.diff(costs[front]) > 0).all()
    assert (np.diff(accuracies[front]) > 0).all()


def test_the_front_of_the_front_is_itself() -> None:
    costs, accuracies = _random_points(1)
    front = pareto_front(costs, accuracies)
    assert pareto_front(costs[front], accuracies[front]).tolist() == list(range(len(front)))


def test_of_identical_points_the_first_is_kept() -> None:
    assert pareto_front([3, 1, 1, 3], [0.9, 0.5, 0.5, 0.9]).tolist() == [1, 0]


def test_of_equal_accuracy_the_cheaper_is_kept_and_of_equal_cost_the_better() -> None:
    assert pareto_front([2, 1], [0.5, 0.5]).tolist() == [1]
    assert pareto_front([1, 1], [0.4, 0.5]).tolist() == [1]


def test_no_points_have_no_front_and_no_volume() -> None:
    assert pareto_front([], []).tolist() == []
    assert hypervolume([], [], reference_cost=10) == 0.0


def test_large_counts_stay_apart() -> None:
    assert pareto_front([385_814_753, 385_814_752], [0.5, 0.5]).tolist() == [1]


def test_hypervolume_of_two_steps_is_worked_out_by_hand() -> None:
    # From cost 2 on 0.5 is dominated, from cost 6 on another 0.3: 8 x 0.5 + 4 x 0.3.
    assert hypervolume([2, 6], [0.5, 0.8], reference_cost=10) == pytest.approx(5.2)
    assert hypervolume([2, 6], [0.5, 0.8], reference_cost=10, reference_accuracy=0.1) == pytest.approx(4.4)


def test_points_outside_the_reference_add_nothing() -> None:
    inside = hypervolume([2], [0.5], reference_cost=10, reference_accuracy=0.2)
    assert hypervolume(
        [2, 10, 11, 1], [0.5, 0.9, 1, 0.2], reference_cost=10, reference_accuracy=0.2
    ) == pytest.approx(inside)


@pytest.mark.parametrize("seed", range(10))
def test_hypervolume_never_falls_when_points_are_added(seed: int) -> None:
    costs, accuracies = _random_points(seed)
    volumes = [hypervolume(costs[:n], accuracies[:n], reference_cost=12) for n in range(len(costs) + 1)]
    assert (np.diff(volumes) >= 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_hypervolume_equals_the_share_of_random_darts_that_hit(seed: int) -> None:
    costs, accuracies = _random_points(seed, num_points=12)
    rng = np.random.default_rng(seed)
    dart_costs, dart_accuracies = rng.uniform(0, 15, 20_000), rng.uniform(0, 1, 20_000)
    is_hit = ((costs[:, None] <= dart_costs) & (accuracies[:, None] >= dart_accuracies)).any(axis=0)
    # Six standard errors of 20,000 darts are 0.021 of the board.
    assert hypervolume(costs, accuracies, reference_cost=15) / 15 == pytest.approx(is_hit.mean(), abs=0.022)


def test_points_that_are_no_numbers_or_unpaired_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one accuracy per cost, got shapes \(2,\) and \(1,\)"):
        pareto_front([1, 2], [0.5])
    with pytest.raises(ValueError, match="must not be NaN"):
        hypervolume([1, 2], [0.5, float("nan")], reference_cost=3)
