"""What is a point worth where there are several objectives, or constraints that must be learned?

With two objectives: the area that it would add to the front. With more: a random weighing of them for each ask. A
constraint counts as its model has it in a draw, so that what is probably infeasible is mostly left alone.
"""

from collections.abc import Callable, Sequence

import numpy as np

from effsearch.search.model.kernel import FloatArray, IntArray

Values = Callable[[IntArray], FloatArray]

SHORTLIST = 384  # points of which joint draws are taken
MARGIN = 0.1  # of the observed range, by which the reference point lies below the worst
AUGMENTATION = 0.05  # share of the weighted sum beside the worst objective


def front_of(values: FloatArray) -> FloatArray:
    """Give the (n, 2) values that no other exceeds in both, the first ascending, the second descending."""
    order = np.lexsort((-values[:, 1], -values[:, 0]))
    kept, highest = [], -np.inf
    for first, second in values[order]:
        if second > highest:
            kept.append((first, second))
            highest = second
    return np.asarray(kept[::-1], dtype=np.float64).reshape(-1, 2)


def added_area(points: FloatArray, front: FloatArray, reference: FloatArray) -> FloatArray:
    """Give the area that each of (m, 2) values would add to what a front dominates, both to be maximised.

    Args:
        points: Values to be added, each alone.
        front: As `front_of` gives it.
        reference: (2,) lower end of what counts.
    """
    front = front[(front > reference).all(axis=1)]
    low = np.concatenate([[reference[0]], front[:, 0]])
    high = np.concatenate([front[:, 0], [np.inf]])
    height = np.concatenate([front[:, 1], [reference[1]]])
    width = np.clip(np.minimum(points[:, :1], high) - low, 0.0, None)
    return np.asarray((width * np.clip(points[:, 1:] - height, 0.0, None)).sum(axis=1))


def dominated_area(values: FloatArray, reference: FloatArray) -> float:
    """Give the hypervolume of (n, 2) values, both to be maximised."""
    front = front_of(values)
    front = front[(front > reference).all(axis=1)]
    return float((np.diff(front[:, 0], prepend=reference[0]) * (front[:, 1] - reference[1])).sum())


def weighed(values: FloatArray, weights: FloatArray, *, low: FloatArray, high: FloatArray) -> FloatArray:
    """Give the augmented Chebyshev score of (m, k) values, the more the better."""
    shares = (values - low) / np.where(high > low, high - low, 1.0) - 1
    return np.asarray((shares * weights).min(axis=1) + AUGMENTATION * (shares @ weights))


def front_worth(
    points: IntArray,
    *,
    means: Sequence[Values],
    samples: Sequence[Values],
    seen: FloatArray,
    rng: np.random.Generator,
) -> FloatArray:
    """Give what a training of each point is worth for the front.

    Args:
        points: Candidates.
        means: Expected value of each objective.
        samples: Joint draw of each objective.
        seen: (n, k) what the trained points have come to, with as little noise as is known.
        rng: Source of weights and of the shortlist.
    """
    low, high = seen.min(axis=0), seen.max(axis=0)
    reference = low - MARGIN * (high - low)
    weights = rng.dirichlet(np.ones(len(means)))
    front = front_of(seen) if len(means) == 2 else np.zeros((0, 2))

    def worth(values: FloatArray) -> FloatArray:
        plain = weighed(values, weights, low=low, high=high)
        if len(means) != 2:
            return plain
        area = added_area(values, front, reference) / max(float(np.prod(high - reference)), 1e-12)
        return area + 1e-9 * plain

    expected = worth(np.stack([mean(points) for mean in means], axis=1))
    order = np.argsort(-expected, kind="stable")
    others = rng.permutation(order[SHORTLIST // 2 :])[: SHORTLIST // 2]
    short = np.concatenate([order[: SHORTLIST // 2], others])
    result = np.full(len(points), -np.inf)
    result[short] = worth(np.stack([sample(points[short]) for sample in samples], axis=1))
    return result


def feasible_worth(score: FloatArray, violations: Sequence[FloatArray]) -> FloatArray:
    """Give a score where no constraint is violated; elsewhere less than any of those, by the violation.

    Args:
        score: Of each point.
        violations: Of each constraint, above 0 where it is violated.
    """
    excess = np.zeros(len(score))
    for violation in violations:
        scale = float(np.abs(violation).mean())
        excess += np.clip(violation, 0.0, None) / (scale if scale > 0 else 1.0)
    floor = float(score.min(initial=np.inf)) if len(score) else 0.0
    return np.where(excess > 0, floor - 1e-9 - excess, score)
