"""What does a screening let one expect of separate trainings?

Its two scores are joined into one and smoothed by a model of choices and pairs, because a single score is noisy.
Then it is put in units of accuracy: networks are expected to differ in a separate training by `TRUST` times as much
as they do with the supernet's weights.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from effsearch.search.model.surrogate import Surrogate, fit_surrogate
from effsearch.space.search_space import Point, SearchSpace
from effsearch.space.supernet_work import ScreenScore

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

TRUST = 0.7  # before any separate training says more
SPREAD_WITHOUT_ACCURACY = 0.02  # of separate accuracies, where a screening gives none
NASWOT_WEIGHT = 0.4  # beside 1 for the supernet's score, both in standard deviations; see `joined`
OWN_SHARE = (
    0.25  # of what a score has beyond its smooth part; on NAS-Bench-Macro a quarter to none ranked best
)
ENOUGH_TO_SMOOTH = 20
AHEAD = 0.7  # share of the inherited errors at which a separate training counts in full


def joined(scores: Mapping[Point, ScreenScore]) -> dict[Point, float]:
    """Give one number for each screened network, in standard deviations: NASWOT with the supernet's score if any.

    Source:
        NAS-Bench-Macro, tuning networks between 48 and 60 M, a supernet of 20 core-minutes: tau over 70 random ones
        .76 with weight 0, .82 with .2, .83 with .3 to .5, .81 with .8. Among the 80 that the supernet likes best .12,
        .52, .57 to .60 and .61: what it cannot tell apart, NASWOT can.
    """
    if not scores:
        return {}
    naswot = _standardised([score.naswot for score in scores.values()])
    losses = [score.val_loss for score in scores.values() if score.val_loss is not None]
    if len(losses) < len(scores):
        return dict(zip(scores, naswot, strict=True))
    both = -_standardised(losses) + NASWOT_WEIGHT * naswot
    return dict(zip(scores, _standardised(both), strict=True))


class ScreenPrior:
    """Scores of a screening as a first guess; more is better."""

    def __init__(self, space: SearchSpace, scores: Mapping[Point, ScreenScore]) -> None:
        points = np.asarray(list(scores), dtype=np.int64)
        self._values = joined(scores)
        self._own_share = {point: 1.0 if score.is_second else OWN_SHARE for point, score in scores.items()}
        self._naswot = dict(zip(scores, _standardised([one.naswot for one in scores.values()]), strict=True))
        self._accuracies = {
            point: score.val_accuracy for point, score in scores.items() if score.val_accuracy is not None
        }
        unit = float(np.std(list(self._accuracies.values()))) if self._accuracies else SPREAD_WITHOUT_ACCURACY
        self.slope = TRUST * unit  # of separate trainings, for one standard deviation of the screening
        self._smooth: Surrogate | None = None
        if len(points) >= ENOUGH_TO_SMOOTH:
            self._smooth = fit_surrogate(
                points,
                np.asarray(list(self._values.values())),
                num_choices=[len(dimension.labels) for dimension in space.dimensions],
                positions=space.positions(),
            )

    def share_learned(self, trained_errors: Mapping[Point, float]) -> float:
        """Give how far separate trainings are ahead of the inherited weights, from 0 to 1.

        Where weights were trained on for some networks, what these knew before counts, as for all others.

        Args:
            trained_errors: Share of wrong answers after a network's own training.

        Returns:
            0 where they get no fewer wrong, 1 from `AHEAD` of the inherited errors down, in proportion between; 1
            where nothing was inherited.
        """
        pairs = [
            (error, 1 - self._accuracies[point])
            for point, error in trained_errors.items()
            if point in self._accuracies
        ]
        if not pairs:
            return 1.0
        ratio = sum(error for error, _ in pairs) / max(1e-9, sum(inherited for _, inherited in pairs))
        return float(np.clip((1 - ratio) / (1 - AHEAD), 0.0, 1.0))

    def offset(self, points: IntArray) -> FloatArray:
        """Give what separate trainings of some points are expected to score above the mean of all."""
        return self.slope * self.expected(points)

    def features(self, points: IntArray) -> FloatArray:
        """Give the numbers whose weights separate trainings correct, (num_points, 2): the expected, and NASWOT."""
        naswot = [self._naswot.get(tuple(point), 0.0) for point in points.tolist()]
        return np.stack([self.expected(points), np.asarray(naswot)], axis=1)

    def expected(self, points: IntArray) -> FloatArray:
        """Give the screening's scores in standard deviations, smoothed; of points not screened the smooth part.

        A second score is taken as it is: smoothed it told the best of a screening apart less well (docs/supernet.md).
        """
        smooth = np.zeros(len(points)) if self._smooth is None else self._smooth.mean(points)
        own = np.asarray(
            [
                self._values.get(tuple(point), mean)
                for point, mean in zip(points.tolist(), smooth, strict=True)
            ]
        )
        if self._smooth is None:
            return np.asarray(own)
        share = np.asarray([self._own_share.get(tuple(point), 0.0) for point in points.tolist()])
        return np.asarray(smooth + share * (own - smooth))


def _standardised(values: Sequence[float] | FloatArray) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    return np.asarray((array - array.mean()) / (array.std() or 1.0))
