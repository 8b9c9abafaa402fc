"""Which networks are beaten by none, and how good are they together?"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pareto_front(costs: ArrayLike, accuracies: ArrayLike) -> NDArray[np.intp]:
    """The points that no other point beats: none is cheaper and as accurate, or as cheap and more accurate.

    Of identical points the first is kept. One sort, so O(n log n).

    Args:
        costs: (num_points,), less is better.
        accuracies: (num_points,), more is better.

    Returns:
        Indices of the front's points, from the cheapest to the dearest; both cost and accuracy rise along it.

    Raises:
        ValueError: The two differ in length, or hold NaN.
    """
    costs, accuracies = _checked(costs, accuracies)
    # By cost, then the more accurate, then the earlier.
    order = np.lexsort((np.arange(len(costs)), -accuracies, costs))
    best_so_far = np.maximum.accumulate(accuracies[order])
    is_better = np.ones(len(order), dtype=bool)
    is_better[1:] = best_so_far[1:] > best_so_far[:-1]
    return order[is_better]


def hypervolume(
    costs: ArrayLike, accuracies: ArrayLike, *, reference_cost: float, reference_accuracy: float = 0.0
) -> float:
    """The area that the front dominates, up to a reference point: one number for a front, more is better.

    Points as dear as `reference_cost` or no better than `reference_accuracy` add nothing. Give logarithms of
    the costs to weigh each halving of the cost alike.

    Args:
        costs: (num_points,), less is better.
        accuracies: (num_points,), more is better.
        reference_cost: Right edge of the area.
        reference_accuracy: Lower edge of the area.

    Raises:
        ValueError: Costs and accuracies differ in length, or hold NaN.
    """
    costs, accuracies = _checked(costs, accuracies)
    is_inside = (costs < reference_cost) & (accuracies > reference_accuracy)
    costs, accuracies = costs[is_inside], accuracies[is_inside]
    front = pareto_front(costs, accuracies)
    steps = np.diff(accuracies[front], prepend=reference_accuracy)
    return float(np.sum((reference_cost - costs[front]) * steps))


def _checked(costs: ArrayLike, accuracies: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    costs = np.asarray(costs, dtype=np.float64)
    accuracies = np.asarray(accuracies, dtype=np.float64)
    if costs.ndim != 1 or costs.shape != accuracies.shape:
        raise ValueError(f"need one accuracy per cost, got shapes {costs.shape} and {accuracies.shape}")
    if np.isnan(costs).any() or np.isnan(accuracies).any():
        raise ValueError("costs and accuracies must not be NaN")
    return costs, accuracies
