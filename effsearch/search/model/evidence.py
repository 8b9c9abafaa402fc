"""Which sizes of effects and of noise do the observed scores speak for?

The logarithms of all variances are those that maximise the marginal likelihood times a weak prior; so pairs of
choices enter the model as far as the data ask for them, and a feature counts as far as it has held.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lapack
from scipy.optimize import minimize

from effsearch.search.model.kernel import ChoiceKernel, FloatArray, IntArray, elementary_sums

BoolArray = NDArray[np.bool_]

INTERCEPT_VARIANCE = 4.0  # of each rung's level, in units of the scores' variance
JITTER = 1e-6
ORDER_SHARES = (0.5, 0.25)  # prior guess at the share of main effects and of pairs in the variance
FEATURE_SHARE = 0.2  # of all features together
NOISE_SHARE = 0.1
OWN_SHARE = 0.1  # of what is a point's own: real, but explained by no choice; only repeats tell it from noise
DEVIATION_SHARE = 0.1  # of what a cheaper rung sees otherwise than the top one
WIDTHS = {
    "relevance": 1.0,
    "orders": 1.5,
    "feature": 1.5,
    "own": 1.5,
    "noise": 1.5,
    "scale": 0.5,
    "deviation": 1.0,
}
BOUND = 12.0  # of any logarithm
FIRST_ITERATIONS = 40
LATER_ITERATIONS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Variances of the model, in units of the scores' variance."""

    relevance: FloatArray  # (num_dimensions,) relative size of each dimension's effects
    orders: FloatArray  # (2,) of main effects and of pairs
    feature: FloatArray  # (num_features,) of each weight
    own: FloatArray  # (1,) of what is a point's own
    noise: FloatArray  # (num_rungs,)
    scale: FloatArray  # (num_rungs,) how strongly a rung shows the shared function; 1 for the top
    deviation: FloatArray  # (num_rungs,) of what a rung shows otherwise; 0 for the top

    def logarithms(self) -> FloatArray:
        """Give the free numbers as one vector."""
        logarithms: FloatArray = np.log(
            np.concatenate(
                [
                    self.relevance,
                    self.orders,
                    self.feature,
                    self.own,
                    self.noise,
                    self.scale[:-1],
                    self.deviation[:-1],
                ]
            )
        )
        return logarithms

    def replaced(self, logarithms: FloatArray) -> "Sizes":
        """Give the sizes that a vector of logarithms stands for."""
        ends = np.cumsum(
            [
                len(self.relevance),
                len(self.orders),
                len(self.feature),
                len(self.own),
                len(self.noise),
                len(self.scale) - 1,
            ]
        )
        parts = np.split(np.exp(logarithms), ends)
        return Sizes(
            relevance=parts[0],
            orders=parts[1],
            feature=parts[2],
            own=parts[3],
            noise=parts[4],
            scale=np.append(parts[5], 1.0),
            deviation=np.append(parts[6], 0.0),
        )

    def widths(self) -> FloatArray:
        """Give the prior deviation of each logarithm."""
        lengths = {name: len(getattr(self, name)) for name in WIDTHS}
        lengths["scale"] -= 1
        lengths["deviation"] -= 1
        return np.concatenate([np.full(lengths[name], width) for name, width in WIDTHS.items()])


@dataclass(frozen=True, slots=True, kw_only=True)
class Observations:
    """What has been seen, standardised."""

    one_hot: FloatArray  # (num_rows, num_columns)
    features: FloatArray  # (num_rows, num_features)
    values: FloatArray  # (num_rows,)
    rungs: IntArray  # (num_rows,)
    counts: FloatArray  # (num_rows,) how many trainings a row is the mean of


def prior_sizes(num_dimensions: int, num_features: int, num_rungs: int) -> Sizes:
    """Give what is assumed before anything is seen: the centre of the prior."""
    numbers = [num_dimensions, num_dimensions * (num_dimensions - 1) / 2]
    orders = [share / max(number, 1.0) for share, number in zip(ORDER_SHARES, numbers, strict=True)]
    top = np.arange(num_rungs) == num_rungs - 1
    return Sizes(
        relevance=np.ones(num_dimensions),
        orders=np.asarray(orders),
        feature=np.full(num_features, FEATURE_SHARE / max(num_features, 1)),
        own=np.full(1, OWN_SHARE),
        noise=np.full(num_rungs, NOISE_SHARE),
        scale=np.ones(num_rungs),
        deviation=np.where(top, 0.0, DEVIATION_SHARE),
    )


def shared_covariance(
    kernel: ChoiceKernel,
    sizes: Sizes,
    one: tuple[FloatArray, FloatArray],
    other: tuple[FloatArray, FloatArray],
) -> FloatArray:
    """Give the covariance of the shared function between two sets of (one-hot rows, features)."""
    parts = elementary_sums(kernel.power_sums(sizes.relevance, one[0], other[0]))
    shared = sum(size * part for size, part in zip(sizes.orders, parts, strict=True))
    shared = shared + (one[1] * sizes.feature) @ other[1].T
    return np.asarray(shared + sizes.own * is_same_point(one[0], other[0]))


def is_same_point(one: FloatArray, other: FloatArray) -> BoolArray:
    """Tell for each pair of one-hot rows whether they are equal."""
    number = other.sum(axis=1)
    return np.asarray((one @ other.T == number) & (one.sum(axis=1)[:, None] == number))


def observed_covariance(sizes: Sizes, shared: FloatArray, seen: Observations) -> FloatArray:
    """Give the covariance of the observations, noise included, from that of the shared function."""
    scale = sizes.scale[seen.rungs]
    same = seen.rungs[:, None] == seen.rungs[None, :]
    weights = scale[:, None] * scale + np.where(same, sizes.deviation[seen.rungs], 0.0)
    covariance = weights * shared + np.where(same, INTERCEPT_VARIANCE, 0.0)
    covariance[np.diag_indices_from(covariance)] += sizes.noise[seen.rungs] / seen.counts + JITTER
    return np.asarray(covariance)


def estimate_sizes(kernel: ChoiceKernel, seen: Observations, *, start: Sizes | None) -> Sizes:
    """Give the sizes that maximise marginal likelihood times prior.

    Args:
        kernel: Of the space.
        seen: What the sizes should explain.
        start: Earlier estimate of the same shape, which shortens the way.
    """
    num_rungs = int(seen.rungs.max()) + 1
    centre = prior_sizes(kernel.num_dimensions, seen.features.shape[1], num_rungs)
    middle, widths = centre.logarithms(), centre.widths()

    def objective(logarithms: FloatArray) -> tuple[float, FloatArray]:
        loss, gradient = negative_evidence(kernel, centre.replaced(logarithms), seen)
        pull = (logarithms - middle) / widths
        return loss + float(pull @ pull) / 2, gradient + pull / widths

    found = minimize(
        objective,
        middle if start is None else start.logarithms(),
        jac=True,
        method="L-BFGS-B",
        bounds=[(value - BOUND, min(value + BOUND, BOUND)) for value in middle],
        options={"maxiter": FIRST_ITERATIONS if start is None else LATER_ITERATIONS},
    )
    return centre.replaced(np.asarray(found.x))


def negative_evidence(kernel: ChoiceKernel, sizes: Sizes, seen: Observations) -> tuple[float, FloatArray]:
    """Give minus the logarithm of the marginal likelihood, and its slope by the logarithms of the sizes."""
    one, features, rungs = seen.one_hot, seen.features, seen.rungs
    sums = kernel.power_sums(sizes.relevance, one, one)
    parts = elementary_sums(sums)
    shared = sum(size * part for size, part in zip(sizes.orders, parts, strict=True))
    is_same = is_same_point(one, one)
    shared = np.asarray(shared + (features * sizes.feature) @ features.T + sizes.own * is_same)
    covariance = observed_covariance(sizes, shared, seen)
    factor, problem = lapack.dpotrf(covariance, lower=1, clean=1)
    if problem:
        return 1e10, np.zeros_like(sizes.logarithms())
    inverse = lapack.dpotri(factor, lower=1)[0]
    inverse = np.tril(inverse) + np.tril(inverse, -1).T
    weights = inverse @ seen.values
    loss = float(seen.values @ weights) / 2 + float(np.log(np.diag(factor)).sum())
    slope = (inverse - np.outer(weights, weights)) / 2  # of the loss by the covariance
    scale = sizes.scale[rungs]
    same = rungs[:, None] == rungs[None, :]
    by_shared = slope * (scale[:, None] * scale + np.where(same, sizes.deviation[rungs], 0.0))
    main, pair = sizes.orders
    # by one dimension's kernel z: main + pair (p1 - z), times z
    by_power = [by_shared * (main + pair * sums[0]), by_shared * -pair]
    scaled = kernel.base * sizes.relevance[kernel.owner]
    per_column = np.zeros(kernel.num_columns)
    power = np.ones_like(scaled)
    for slopes in by_power:
        power = power * scaled
        per_column += ((one.T @ slopes @ one) * power).sum(axis=1)
    by_relevance = np.zeros(kernel.num_dimensions)
    np.add.at(by_relevance, kernel.owner, per_column)
    by_orders = [
        size * float((by_shared * part).sum()) for size, part in zip(sizes.orders, parts, strict=True)
    ]
    by_feature = sizes.feature * ((by_shared @ features) * features).sum(axis=0)
    by_own = sizes.own * float(by_shared[is_same].sum())
    num_rungs = len(sizes.noise)
    by_noise = np.bincount(rungs, np.diag(slope) * sizes.noise[rungs] / seen.counts, minlength=num_rungs)
    of_shared = slope * shared
    by_scale = np.bincount(rungs, 2 * scale * (of_shared @ scale), minlength=num_rungs)
    by_deviation = np.bincount(
        rungs, (np.where(same, of_shared, 0.0)).sum(axis=1) * sizes.deviation[rungs], minlength=num_rungs
    )
    gradient = [by_relevance, by_orders, by_feature, by_own, by_noise, by_scale[:-1], by_deviation[:-1]]
    return loss, np.concatenate([np.asarray(part, dtype=np.float64) for part in gradient])
