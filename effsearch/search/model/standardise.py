"""How are scores and features put into the form that the model works on?

Scores are centred for each rung and scaled, and bad ones compressed: only good ones matter, and the worst would
otherwise decide the shape of the model. Features are standardised. Trainings of one point are merged into their mean.
"""

from dataclasses import dataclass

import numpy as np

from effsearch.search.model.evidence import Observations
from effsearch.search.model.kernel import FloatArray, IntArray

MOST_ROWS = 600  # of the exact model; beyond, the best half and an even spread of the others stand for all
MOST_ESTIMATED = 250  # rows that the sizes are estimated from
KNEE = 2.0  # standard deviations below the median from which bad scores are compressed


@dataclass(frozen=True, slots=True, kw_only=True)
class Scaling:
    """How scores become what the model works on: centred for each rung, scaled, the low end compressed."""

    centres: FloatArray  # (num_rungs,)
    scale: float

    def inward(self, values: FloatArray, rungs: IntArray) -> FloatArray:
        """Give standardised values."""
        plain = (values - self.centres[rungs]) / self.scale
        below = np.minimum(plain + KNEE, 0.0)
        return np.asarray(np.maximum(plain, -KNEE) - np.log1p(-below))

    def outward(self, values: FloatArray) -> FloatArray:
        """Give scores of the top rung from standardised values."""
        below = np.minimum(values + KNEE, 0.0)
        plain = np.maximum(values, -KNEE) - np.expm1(np.minimum(-below, 5.0))
        return np.asarray(plain * self.scale + self.centres[-1])

    def slope(self, values: FloatArray) -> FloatArray:
        """Give the derivative of `outward`."""
        return np.asarray(self.scale * np.exp(np.clip(-values - KNEE, 0.0, 5.0)))


def scaling_of(values: FloatArray, rungs: IntArray) -> Scaling:
    """Centre each rung at its median; scale all by the spread about them of the rung seen most."""
    num_rungs = int(rungs.max(initial=0)) + 1
    overall = float(np.median(values)) if len(values) else 0.0
    groups = [values[rungs == rung] for rung in range(num_rungs)]
    centres = [float(np.median(group)) if len(group) else overall for group in groups]
    most = int(np.bincount(rungs, minlength=1).argmax())
    spread = np.sort(np.abs(values[rungs == most] - centres[most]))
    scale = float(np.sqrt(np.mean(np.minimum(spread, 3 * _middle(spread)) ** 2))) if len(spread) else 0.0
    return Scaling(centres=np.asarray(centres), scale=scale if scale > 1e-12 * (1 + abs(overall)) else 1.0)


def _middle(spread: FloatArray) -> float:
    """Median of what is not zero: half the scores may be alike."""
    positive = spread[spread > 0]
    return float(np.median(positive)) if len(positive) else 0.0


def feature_scaling(features: FloatArray | None, num_rows: int) -> tuple[FloatArray, FloatArray]:
    """Give the mean and the deviation of each feature, 1 for one that never differs."""
    if features is None or not num_rows:
        return np.zeros(0), np.ones(0)
    deviation = features.std(axis=0)
    centres = features.mean(axis=0)
    return centres, np.where(deviation > 1e-9 * (1 + np.abs(centres)), deviation, 1.0)


def shape_features(
    features: FloatArray | None, centres: FloatArray, scales: FloatArray, num_rows: int
) -> FloatArray:
    """Give standardised features and, bounded and at half weight, their squares: an effect may level off."""
    if features is None or not len(centres):
        return np.zeros((num_rows, 0))
    plain = (features - centres) / scales
    return np.hstack([plain, (np.minimum(plain**2, 9.0) - 1) / 2])


def merged(
    encoded: IntArray, values: FloatArray, rungs: IntArray
) -> tuple[IntArray, FloatArray, IntArray, FloatArray]:
    """Merge trainings of one point at one rung: first row, mean, rung and count of each."""
    both = np.column_stack([rungs, encoded])
    places: dict[bytes, int] = {}  # much quicker than sorting rows
    inverse = np.asarray([places.setdefault(row.tobytes(), len(places)) for row in both], dtype=np.int64)
    _, first, counts = np.unique(inverse, return_index=True, return_counts=True)
    mean = np.bincount(inverse, values) / counts
    return first, mean, rungs[first], counts.astype(np.float64)


def kept_rows(values: FloatArray, rungs: IntArray) -> IntArray:
    """Give the rows that the model is made of: all, or those of high rungs, the best, and a spread of the others."""
    number = len(values)
    if number <= MOST_ROWS:
        return np.arange(number)
    best, others = np.split(np.lexsort((-values, -rungs)), [MOST_ROWS // 2])
    spread = np.linspace(0, len(others) - 1, MOST_ROWS - len(best)).astype(np.int64)
    return np.sort(np.concatenate([best, others[spread]]))


def thinned(seen: Observations) -> Observations:
    """Every so manieth row, where there are more than the sizes need."""
    number = len(seen.values)
    if number <= MOST_ESTIMATED:
        return seen
    rows = np.linspace(0, number - 1, MOST_ESTIMATED).astype(np.int64)
    rows[-1] = int(np.argmax(seen.rungs))  # the top rung must stay among them
    return Observations(
        one_hot=seen.one_hot[rows],
        features=seen.features[rows],
        values=seen.values[rows],
        rungs=seen.rungs[rows],
        counts=seen.counts[rows],
    )
