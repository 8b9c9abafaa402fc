"""What is a network's score likely to be, given the trainings so far?

A Bayesian model of scores over choices: effects of single choices and of pairs, features that are known
without training, and a level, a scale and a deviation of its own for each rung below the top one. How large each
part is, and how noisy a training, is estimated from the scores (`evidence`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve, lapack, solve_triangular

from effsearch.search.model.evidence import (
    INTERCEPT_VARIANCE,
    Observations,
    Sizes,
    estimate_sizes,
    observed_covariance,
    shared_covariance,
)
from effsearch.search.model.kernel import ChoiceKernel, FloatArray, IntArray, elementary_sums, make_kernel
from effsearch.search.model.standardise import (
    Scaling,
    feature_scaling,
    kept_rows,
    merged,
    scaling_of,
    shape_features,
    thinned,
)

GROWTH = 1.15  # sizes are estimated anew when there are this many times more rows
DRAWS_OF_SHARES = 200
POINTS_AT_ONCE = 2_048  # whose covariances with all rows are held at one time


@dataclass(frozen=True, slots=True, kw_only=True)
class Effects:
    """How much each choice of one dimension adds to the score, averaged over all others."""

    mean: FloatArray  # (num_choices,)
    deviation: FloatArray  # (num_choices,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A mean with an interval, from posterior draws."""

    mean: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """Share of each dimension, and of each pair of them, in the variance of the score over the whole space."""

    main: tuple[Interval, ...]
    total: tuple[Interval, ...]  # with the pairs that the dimension is in
    pairs: dict[tuple[int, int], Interval]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surrogate:
    """The model after some trainings; scores are in the units they came in, the more the better."""

    kernel: ChoiceKernel
    sizes: Sizes
    seen: Observations
    scaling: Scaling
    feature_centres: FloatArray
    feature_scales: FloatArray
    num_estimated: int  # observations there were when the sizes were last estimated
    factor: FloatArray  # lower Cholesky factor of the observations' covariance
    weights: FloatArray  # its solution for the values

    @property
    def noise(self) -> FloatArray:
        """Deviation of one training about its network's mean, for each rung."""
        return np.asarray(np.sqrt(self.sizes.noise) * self.scaling.scale)

    def predict(self, points: IntArray, features: FloatArray | None = None) -> tuple[FloatArray, FloatArray]:
        """Give mean and deviation of the noise-free score at the top rung.

        Args:
            points: (num_points, num_dimensions) choice indices; -1 is a choice not made.
            features: (num_points, num_features), as in the fit.
        """
        inputs = self._inputs(points, features)
        cross = self._cross(inputs)
        mean = cross @ self.weights
        solved = solve_triangular(self.factor, cross.T, lower=True, check_finite=False)
        variance = self._own_variance(inputs) - np.einsum("ij,ij->j", solved, solved)
        slope = self.scaling.slope(mean)
        return self.scaling.outward(mean), np.sqrt(np.maximum(variance, 0.0)) * slope

    def mean(self, points: IntArray, features: FloatArray | None = None) -> FloatArray:
        """Give the mean alone, which is much quicker."""
        means = []
        for start in range(0, max(1, len(points)), POINTS_AT_ONCE):
            part = slice(start, start + POINTS_AT_ONCE)
            inputs = self._inputs(points[part], None if features is None else features[part])
            means.append(self._cross(inputs) @ self.weights)
        return self.scaling.outward(np.concatenate(means))

    def sample(
        self,
        points: IntArray,
        features: FloatArray | None = None,
        *,
        rng: np.random.Generator,
        num_samples: int = 1,
    ) -> FloatArray:
        """Draw the noise-free scores of some points jointly.

        Returns:
            (num_samples, num_points).
        """
        inputs = self._inputs(points, features)
        cross = self._cross(inputs)
        solved = solve_triangular(self.factor, cross.T, lower=True, check_finite=False)
        own = shared_covariance(self.kernel, self.sizes, inputs, inputs) + INTERCEPT_VARIANCE
        root = _root(own - solved.T @ solved)
        draws = cross @ self.weights + rng.standard_normal((num_samples, len(points))) @ root.T
        return self.scaling.outward(draws)

    def main_effects(self) -> tuple[Effects, ...]:
        """Give for each dimension what its choices add, mean and deviation, in the scores' units."""
        kernel, size = self.kernel, self.sizes.orders[0]
        base = size * kernel.base * self.sizes.relevance[kernel.owner]
        cross = base @ self._scaled_one_hot().T
        solved = solve_triangular(self.factor, cross.T, lower=True, check_finite=False)
        mean = cross @ self.weights * self.scaling.scale
        variance = np.maximum(np.diag(base) - np.einsum("ij,ij->j", solved, solved), 0.0)
        deviation = np.sqrt(variance) * self.scaling.scale
        ends = kernel.starts[1:]
        pairs = zip(np.split(mean, ends), np.split(deviation, ends), strict=True)
        return tuple(Effects(mean=one, deviation=other) for one, other in pairs)

    def feature_weights(self) -> tuple[FloatArray, FloatArray]:
        """Give mean and deviation of the effect of one standard deviation of each feature.

        The curved part of a feature's effect is left out.
        """
        size, number = self.sizes.feature, len(self.feature_centres)
        cross = (self.seen.features * self.sizes.scale[self.seen.rungs][:, None] * size).T
        solved = solve_triangular(self.factor, cross.T, lower=True, check_finite=False)
        variance = np.maximum(size - np.einsum("ij,ij->j", solved, solved), 0.0)
        mean = cross @ self.weights * self.scaling.scale
        return mean[:number], np.sqrt(variance[:number]) * self.scaling.scale

    def importance(self, *, rng: np.random.Generator, level: float = 0.9) -> Importance:
        """Give the share of each dimension and pair in the variance that choices make over the whole space.

        Args:
            rng: Source of the posterior draws.
            level: Of the intervals.
        """
        kernel = self.kernel
        number = kernel.num_dimensions
        main, pair = np.zeros((DRAWS_OF_SHARES, number)), np.zeros((DRAWS_OF_SHARES, number, number))
        indicator = np.zeros((kernel.num_columns, number))
        indicator[np.arange(kernel.num_columns), kernel.owner] = 1 / np.bincount(kernel.owner)[kernel.owner]
        for draw in range(DRAWS_OF_SHARES):
            single, table = self._draw_effects(rng)
            main[draw] = indicator.T @ single**2
            pair[draw] = indicator.T @ table**2 @ indicator
        upper = np.triu(np.ones((number, number)), 1)
        total = main.sum(axis=1) + (pair * upper).sum(axis=(1, 2)) + 1e-12
        main, pair = main / total[:, None], pair / total[:, None, None]
        tails = [(1 - level) / 2, (1 + level) / 2]

        def interval(shares: FloatArray) -> Interval:
            low, high = np.quantile(shares, tails)
            return Interval(mean=float(shares.mean()), low=float(low), high=float(high))

        with_pairs = main + pair.sum(axis=2)
        return Importance(
            main=tuple(interval(main[:, index]) for index in range(number)),
            total=tuple(interval(with_pairs[:, index]) for index in range(number)),
            pairs={
                (one, other): interval(pair[:, one, other])
                for one in range(number)
                for other in range(one + 1, number)
            },
        )

    def _draw_effects(self, rng: np.random.Generator) -> tuple[FloatArray, FloatArray]:
        """Draw main effects (columns,) and pair tables (columns, columns) from the posterior.

        A draw from the prior is moved by what the observations say against it (Matheron's rule).
        """
        kernel, sizes, seen = self.kernel, self.sizes, self.seen
        main_size, pair_size = sizes.orders
        scaled = kernel.base * sizes.relevance[kernel.owner]
        root = _root(scaled)
        single = np.sqrt(main_size) * (root @ rng.standard_normal(len(root)))
        table = root @ np.triu(rng.standard_normal(root.shape), 1) @ root.T
        table = np.sqrt(pair_size) * np.where(kernel.owner[:, None] < kernel.owner, table, 0.0)
        table = table + table.T
        shown = seen.one_hot @ single + np.einsum("ij,ij->i", seen.one_hot @ table, seen.one_hot) / 2
        sums = kernel.power_sums(sizes.relevance, seen.one_hot, seen.one_hot)
        parts = elementary_sums(sums)
        scale = sizes.scale[seen.rungs]
        modelled = scale[:, None] * scale * (main_size * parts[0] + pair_size * parts[1])
        rest = self.factor @ self.factor.T - modelled
        shown = scale * shown + _root(rest) @ rng.standard_normal(len(rest))
        moved = cho_solve((self.factor, True), seen.values - shown, check_finite=False) * scale
        single = single + main_size * scaled @ (seen.one_hot.T @ moved)
        weighted = seen.one_hot.T @ (seen.one_hot * moved[:, None])
        off = np.where(kernel.owner[:, None] == kernel.owner, 0.0, weighted)
        table = table + pair_size * scaled @ off @ scaled
        return single, table

    def _inputs(self, points: IntArray, features: FloatArray | None) -> tuple[FloatArray, FloatArray]:
        shaped = shape_features(features, self.feature_centres, self.feature_scales, len(points))
        return self.kernel.one_hot(points), shaped

    def _scaled_one_hot(self) -> FloatArray:
        return self.seen.one_hot * self.sizes.scale[self.seen.rungs][:, None]

    def _cross(self, inputs: tuple[FloatArray, FloatArray]) -> FloatArray:
        seen = self.seen
        shared = shared_covariance(self.kernel, self.sizes, inputs, (seen.one_hot, seen.features))
        top = seen.rungs == len(self.sizes.noise) - 1
        return np.asarray(shared * self.sizes.scale[seen.rungs] + np.where(top, INTERCEPT_VARIANCE, 0.0))

    def _own_variance(self, inputs: tuple[FloatArray, FloatArray]) -> FloatArray:
        one_hot, features = inputs
        diagonal = np.diag(self.kernel.base) * self.sizes.relevance[self.kernel.owner]
        sums = [one_hot @ diagonal**power for power in (1, 2)]
        parts = elementary_sums(sums)
        shared = sum(size * part for size, part in zip(self.sizes.orders, parts, strict=True))
        return np.asarray(shared + features**2 @ self.sizes.feature + self.sizes.own + INTERCEPT_VARIANCE)


def fit_surrogate(
    encoded: IntArray,
    values: FloatArray,
    *,
    num_choices: Sequence[int],
    positions: Sequence[FloatArray | None],
    rungs: IntArray | None = None,
    features: FloatArray | None = None,
    previous: Surrogate | None = None,
) -> Surrogate:
    """Give the model that some trainings lead to.

    Args:
        encoded: (n, num_dimensions) choice indices; -1 is a choice that was not made.
        values: (n,) scores, the more the better, finite.
        num_choices: Of each dimension.
        positions: Of each dimension the places of its choices on a line where they are ordered, None where not.
        rungs: (n,) 0 for the cheapest training; all at the top if None.
        features: (n, k) numbers known without training.
        previous: Model of fewer trainings of the same search: its sizes are kept while there are not many more, and
            are a start for new ones.
    """
    num_rows = len(values)
    rungs = np.zeros(num_rows, dtype=np.int64) if rungs is None else rungs
    centres, scales = feature_scaling(features, num_rows)
    scaling = scaling_of(values, rungs)
    kernel = make_kernel(num_choices, positions)
    rows, seen_values, seen_rungs, counts = merged(encoded, scaling.inward(values, rungs), rungs)
    keep = kept_rows(seen_values, seen_rungs)
    shaped = shape_features(features, centres, scales, num_rows)
    seen = Observations(
        one_hot=kernel.one_hot(encoded[rows[keep]]),
        features=shaped[rows[keep]],
        values=seen_values[keep],
        rungs=seen_rungs[keep],
        counts=counts[keep],
    )
    alike = previous is not None and _is_alike(previous, kernel, seen)
    start = previous.sizes if previous is not None and alike else None
    if previous is not None and start is not None and num_rows < previous.num_estimated * GROWTH + 1:
        sizes, num_estimated = start, previous.num_estimated
    else:
        sizes, num_estimated = estimate_sizes(kernel, thinned(seen), start=start), num_rows
    own = (seen.one_hot, seen.features)
    covariance = observed_covariance(sizes, shared_covariance(kernel, sizes, own, own), seen)
    factor = np.asarray(lapack.dpotrf(covariance, lower=1, clean=1)[0])
    return Surrogate(
        kernel=kernel,
        sizes=sizes,
        seen=seen,
        scaling=scaling,
        feature_centres=centres,
        feature_scales=scales,
        num_estimated=num_estimated,
        factor=factor,
        weights=np.asarray(cho_solve((factor, True), seen.values, check_finite=False)),
    )


def _is_alike(previous: Surrogate, kernel: ChoiceKernel, seen: Observations) -> bool:
    return (
        previous.kernel.num_columns == kernel.num_columns
        and previous.kernel.num_dimensions == kernel.num_dimensions
        and previous.seen.features.shape[1] == seen.features.shape[1]
        and len(previous.sizes.noise) == int(seen.rungs.max()) + 1
    )


def _root(covariance: FloatArray) -> FloatArray:
    """Lower factor of a covariance that may be singular."""
    scale = max(float(np.trace(covariance)) / max(len(covariance), 1), 1e-12)
    jitter = 1e-9 * scale
    while True:
        factor, problem = lapack.dpotrf(covariance + jitter * np.eye(len(covariance)), lower=1, clean=1)
        if not problem:
            return np.asarray(factor)
        jitter *= 10
