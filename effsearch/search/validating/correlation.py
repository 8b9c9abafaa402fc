"""How alike do two scores rank the same networks, and how sure is that?"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

FloatArray = NDArray[np.float64]

NUM_RESAMPLES = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Correlation:
    """A rank correlation in [-1, 1] with its interval."""

    value: float
    low: float
    high: float


def correlate_kendall(
    first: FloatArray, second: FloatArray, *, confidence: float = 0.95, seed: int = 0
) -> Correlation:
    """Give Kendall's tau-b of two scores, with a percentile bootstrap interval over the networks.

    No interval excludes what a perfect order would not: where none of n(n-1)/2 pairs is out of order, the true
    number may still be ln(2 / (1 - confidence)) pairs (the rule of three, two-sided). Without that every resample
    of six networks in perfect order is perfect too, and the interval would be a point.

    Tried on normal scores, 600 samples each of 6, 8, 12 and 20 networks with a true tau of 0, .3, .5, .7, .85 and
    .92: this interval held the truth 94 to 100 per cent of the time. Without the rule it was 42 to 88 per cent for
    6 networks from .7 on and 8 from .85 on. BCa was wider and covered no better there; the closed form on Fisher's
    scale (Bonett and Wright 2000) held it 79 per cent of the time for 12 networks at .85.

    Args:
        first: (num_networks,) scores of the first kind, at least three networks.
        second: (num_networks,) scores of the second kind.
        confidence: That the interval holds the truth.
        seed: Of the resampling.

    Returns:
        0 from -1 to 1 where a score is the same for all networks, which ranks nothing.
    """
    if _is_constant(first) or _is_constant(second):
        return Correlation(value=0.0, low=-1.0, high=1.0)
    value = float(stats.kendalltau(first, second).statistic)
    counts = np.random.default_rng(seed).multinomial(
        len(first), np.full(len(first), 1 / len(first)), NUM_RESAMPLES
    )
    return _bounded(
        value,
        _resampled_taus(first, second, counts.astype(np.float64)),
        confidence,
        limit=_perfect_limit(len(first), confidence),
    )


def correlate_spearman(
    first: FloatArray, second: FloatArray, *, confidence: float = 0.95, seed: int = 0
) -> Correlation:
    """Give Spearman's rank correlation of two scores, with its interval; as `correlate_kendall` otherwise.

    What a perfect order leaves open is carried over from tau as for normal scores (Kruskal 1958).
    """
    if _is_constant(first) or _is_constant(second):
        return Correlation(value=0.0, low=-1.0, high=1.0)
    value = float(stats.spearmanr(first, second).statistic)
    rows = np.random.default_rng(seed).integers(len(first), size=(NUM_RESAMPLES, len(first)))
    ranks = [stats.rankdata(scores[rows], axis=1) for scores in (first, second)]
    centred = [rank - rank.mean(axis=1, keepdims=True) for rank in ranks]
    squares = (centred[0] ** 2).sum(axis=1) * (centred[1] ** 2).sum(axis=1)
    resampled = _ratio((centred[0] * centred[1]).sum(axis=1), squares)
    tau = _perfect_limit(len(first), confidence)
    return _bounded(
        value, resampled, confidence, limit=6 / math.pi * math.asin(math.sin(math.pi / 2 * tau) / 2)
    )


def _resampled_taus(first: FloatArray, second: FloatArray, counts: FloatArray) -> FloatArray:
    """Tau-b of each resample, given how often it holds each network: (num_resamples,)."""
    signs = [np.sign(scores[:, None] - scores[None, :]) for scores in (first, second)]

    def summed(pairs: FloatArray) -> FloatArray:
        return np.asarray(((counts @ pairs) * counts).sum(axis=1))

    return _ratio(summed(signs[0] * signs[1]), summed(signs[0] ** 2) * summed(signs[1] ** 2))


def _ratio(products: FloatArray, squares: FloatArray) -> FloatArray:
    """Correlations of the resamples that have any; one network drawn throughout has none."""
    is_ranked = squares > 0
    return np.asarray(products[is_ranked] / np.sqrt(squares[is_ranked]))


def _bounded(value: float, resampled: FloatArray, confidence: float, *, limit: float) -> Correlation:
    low, high = np.quantile(resampled, ((1 - confidence) / 2, (1 + confidence) / 2))
    return Correlation(value=value, low=min(float(low), limit, value), high=max(float(high), -limit, value))


def _perfect_limit(num_networks: int, confidence: float) -> float:
    """The least tau at which a perfect order of so many networks is still no surprise."""
    num_pairs = num_networks * (num_networks - 1) / 2
    return max(-1.0, 1 - 2 * math.log(2 / (1 - confidence)) / num_pairs)


def _is_constant(scores: FloatArray) -> bool:
    return bool((scores == scores[0]).all())
