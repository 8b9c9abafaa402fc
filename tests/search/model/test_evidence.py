import numpy as np
import pytest

from effsearch.search.model.evidence import Observations, estimate_sizes, negative_evidence, prior_sizes
from effsearch.search.model.kernel import centred_kernel, elementary_sums, make_kernel

NUM_CHOICES = [3, 2, 5, 4]
POSITIONS = [None, None, np.arange(5.0), np.arange(4.0)]


def some_observations(num_rows: int, *, seed: int) -> Observations:
    rng = np.random.default_rng(seed)
    points = rng.integers(NUM_CHOICES, size=(num_rows, 4))
    points[3, 2] = -1
    return Observations(
        one_hot=make_kernel(NUM_CHOICES, POSITIONS).one_hot(points),
        features=rng.normal(size=(num_rows, 2)),
        values=rng.normal(size=num_rows),
        rungs=np.arange(num_rows) % 3,
        counts=rng.integers(1, 3, size=num_rows).astype(float),
    )


def test_the_slope_of_the_evidence_is_that_of_finite_differences() -> None:
    kernel, seen = make_kernel(NUM_CHOICES, POSITIONS), some_observations(30, seed=0)
    centre = prior_sizes(4, 2, 3)
    place = centre.logarithms() + np.random.default_rng(1).normal(size=len(centre.logarithms())) / 3
    _, slope = negative_evidence(kernel, centre.replaced(place), seen)
    for index, step in enumerate(1e-5 * np.eye(len(place))):
        above, _ = negative_evidence(kernel, centre.replaced(place + step), seen)
        below, _ = negative_evidence(kernel, centre.replaced(place - step), seen)
        assert slope[index] == pytest.approx((above - below) / 2e-5, abs=1e-5)


def test_sizes_come_back_from_their_logarithms() -> None:
    sizes = prior_sizes(4, 2, 3)
    again = sizes.replaced(sizes.logarithms())
    for name in ("relevance", "orders", "feature", "own", "noise", "scale", "deviation"):
        assert getattr(again, name) == pytest.approx(getattr(sizes, name))
    assert len(sizes.widths()) == len(sizes.logarithms())


def test_scores_without_a_pattern_are_put_down_to_noise() -> None:
    rng = np.random.default_rng(0)
    kernel = make_kernel([3] * 5, [None] * 5)
    one_hot = kernel.one_hot(np.repeat(rng.integers(3, size=(30, 5)), 3, axis=0))
    values = rng.normal(size=90)
    seen = Observations(
        one_hot=one_hot,
        features=np.zeros((90, 0)),
        values=values,
        rungs=np.zeros(90, dtype=np.int64),
        counts=np.ones(90),
    )
    sizes = estimate_sizes(kernel, seen, start=None)
    assert sizes.noise[0] == pytest.approx(np.var(values), rel=0.3)
    assert sizes.orders[0] * sizes.relevance.sum() < 0.3


@pytest.mark.parametrize("position", [None, np.asarray([0.0, 1.0, 5.0, 6.0])])
def test_effects_of_a_dimension_sum_to_nothing(position: np.ndarray | None) -> None:
    kernel = centred_kernel(4, position)
    assert kernel.sum(axis=0) == pytest.approx(0, abs=1e-12)
    assert np.trace(kernel) == pytest.approx(4)
    assert np.linalg.eigvalsh(kernel).min() > -1e-12


def test_neighbours_in_order_are_more_alike() -> None:
    kernel = centred_kernel(4, np.asarray([0.0, 1.0, 5.0, 6.0]))
    assert kernel[0, 1] > kernel[0, 2] > kernel[0, 3]
    assert centred_kernel(1, None).tolist() == [[0.0]]


def test_pairs_are_summed_without_being_listed() -> None:
    rng = np.random.default_rng(0)
    single = rng.normal(size=6)
    sums = [np.asarray([[(single**power).sum()]]) for power in (1, 2)]
    pairs = sum(single[one] * single[other] for one in range(6) for other in range(one + 1, 6))
    assert [float(part[0, 0]) for part in elementary_sums(sums)] == pytest.approx([single.sum(), pairs])
