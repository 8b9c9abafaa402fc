"""What does a screening let one expect of separate trainings?

The screening's scores are smoothed by a model of choices and pairs, because a single score is noisy, and put in units
of accuracy: networks are expected to differ in a separate training by `TRUST` times as much as they do with the
supernet's weights.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from effsearch.search.surrogate import Surrogate, fit_surrogate
from effsearch.space.search_space import Point, SearchSpace
from effsearch.space.supernet_work import ScreenScore

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

TRUST = 0.7  # before any separate training says more
SPREAD_WITHOUT_ACCURACY = 0.02  # of separate accuracies, where a screening gives none
OWN_SHARE = (
    0.25  # of what a score has beyond its smooth part; on NAS-Bench-Macro a quarter to none ranked best
)
ENOUGH_TO_SMOOTH = 20


class ScreenPrior:
    """Scores of a screening as a first guess; more is better."""

    def __init__(self, space: SearchSpace, scores: Mapping[Point, ScreenScore]) -> None:
        points = np.asarray(list(scores), dtype=np.int64)
        values = np.asarray([score.value for score in scores.values()])
        self._centre, self._spread = float(values.mean()), float(values.std()) or 1.0
        self._values = dict(zip(scores, (values - self._centre) / self._spread, strict=True))
        naswot = np.asarray([score.naswot for score in scores.values()])
        naswot = (naswot - naswot.mean()) / (naswot.std() or 1.0)
        self._naswot = dict(zip(scores, naswot, strict=True))
        accuracies = [score.val_accuracy for score in scores.values() if score.val_accuracy is not None]
        self._unit = float(np.std(accuracies)) if accuracies else SPREAD_WITHOUT_ACCURACY
        self.slope = (
            TRUST * self._unit
        )  # of the expected score in separate trainings, for one deviation of the screening's
        self._smooth: Surrogate | None = None
        if len(points) >= ENOUGH_TO_SMOOTH:
            self._smooth = fit_surrogate(
                points,
                np.asarray(list(self._values.values())),
                num_choices=[len(dimension.labels) for dimension in space.dimensions],
                positions=space.positions(),
            )

    def offset(self, points: IntArray) -> FloatArray:
        """Give what separate trainings of some points are expected to score above the mean of all."""
        return self.slope * self.expected(points)

    def features(self, points: IntArray) -> FloatArray:
        """Give the numbers whose weights separate trainings correct, (num_points, 2): the expected, and NASWOT."""
        naswot = [self._naswot.get(tuple(point), 0.0) for point in points.tolist()]
        return np.stack([self.expected(points), np.asarray(naswot)], axis=1)

    def expected(self, points: IntArray) -> FloatArray:
        """Give the screening's scores in standard deviations, smoothed; of points not screened the smooth part."""
        smooth = np.zeros(len(points)) if self._smooth is None else self._smooth.mean(points)
        own = np.asarray(
            [
                self._values.get(tuple(point), mean)
                for point, mean in zip(points.tolist(), smooth, strict=True)
            ]
        )
        share = 1.0 if self._smooth is None else OWN_SHARE
        return np.asarray(smooth + share * (own - smooth))
