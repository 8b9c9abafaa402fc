"""What do a few noisy trainings say about candidates that lie on one surface?

A score is a level, a smooth response to where the candidate lies, what is the candidate's own, and a seed's noise.
How smooth, how much of each and how noisy is not known: a grid of answers is weighed by what the scores say for each.
Such a belief needs no correction for how candidates were picked for more seeds, because the scores that they were
picked by are among those it has seen. One candidate with one lucky training is drawn back to its neighbours; one that
was never trained is believed to be what they say, with all the doubt that leaves.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

LENGTHS = (0.25, 0.5, 1.0, 2.0)  # over which the response changes; the surface's corners are 1.4 apart
SIGNALS = (0.03, 0.1, 0.3, 1.0, 3.0, 10.0)  # variance of the true scores, in variances of a seed
OWN_SHARES = (0.02, 0.1, 0.3, 1.0)  # share of that variance which neighbours do not say
PRIOR_DEVIATION = 0.01  # of a seed's noise: a point, believed as much as two trainings would make one
PRIOR_FREEDOM = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What is believed of the true scores of some candidates."""

    means: FloatArray  # (num_candidates,)
    deviations: FloatArray  # (num_candidates,) of what is not known of a true score
    draws: FloatArray  # (num_draws, num_candidates) true scores as they may be
    smoothers: FloatArray  # (num_candidates, num_trained) what each mean score weighs in each belief
    noise: float  # deviation from seed to seed

    @property
    def chances(self) -> FloatArray:
        """(num_candidates,) how likely each candidate is the best of all."""
        best = np.argmax(self.draws, axis=1)
        return np.bincount(best, minlength=self.draws.shape[1]) / len(self.draws)


def fit_response(
    places: FloatArray, scores: Sequence[Sequence[float]], *, seed: int = 0, num_draws: int = 4_000
) -> Response:
    """Give what scores say of the candidates that have some and of those that have none.

    Args:
        places: (num_candidates, num_coordinates) where the candidates lie; a unit is a long way.
        scores: Those of each candidate, one for each seed.
        seed: Of the draws.
        num_draws: True scores drawn from what is believed.

    Raises:
        ValueError: No candidate has a score.
    """
    counts = np.array([len(one) for one in scores], dtype=np.float64)
    trained = np.flatnonzero(counts)
    if not len(trained):
        raise ValueError("a response needs at least one score")
    counts = counts[trained]
    groups = [np.array(one, dtype=np.float64) for one in scores if len(one)]
    means = np.array([float(group.mean()) for group in groups])
    within = float(sum(float(((group - group.mean()) ** 2).sum()) for group in groups))
    covariances = _prior_covariances(places)  # (num_answers, num_candidates, num_candidates)
    seen = covariances[:, trained][:, :, trained] + np.diag(1 / counts)
    inverse = np.linalg.inv(seen)
    _, log_determinants = np.linalg.slogdet(seen)
    total = inverse.sum(axis=(1, 2))  # precision of the level
    level_weights = inverse.sum(axis=1) / total[:, None]  # (num_answers, num_trained)
    # beliefs = smoothers @ means: level + covariance with the trained ones, times what they say beyond the level
    cross = covariances[:, :, trained] @ inverse  # (num_answers, num_candidates, num_trained)
    smoothers = cross + (1 - cross.sum(axis=2))[:, :, None] * level_weights[:, None, :]
    residuals = means - (level_weights @ means)[:, None]
    squares = np.einsum("hi,hij,hj->h", residuals, inverse, residuals) + within
    freedom = PRIOR_FREEDOM + counts.sum() - 1
    squares += PRIOR_FREEDOM * PRIOR_DEVIATION**2
    logs = -0.5 * (log_determinants + np.log(total) + freedom * np.log(squares))
    weights = np.exp(logs - logs.max())
    weights /= weights.sum()
    left = covariances - cross @ covariances[:, trained, :]
    gap = 1 - cross.sum(axis=2)
    left += gap[:, :, None] * gap[:, None, :] / total[:, None, None]  # what is not known of the level
    draws = _draw(smoothers @ means, left, squares, freedom, weights, seed=seed, num_draws=num_draws)
    return Response(
        means=np.einsum("h,hk->k", weights, smoothers @ means),
        deviations=draws.std(axis=0),
        draws=draws,
        smoothers=np.einsum("h,hkt->kt", weights, smoothers),
        noise=float(np.sqrt(weights @ squares / freedom)),
    )


def _prior_covariances(places: FloatArray) -> FloatArray:
    """Give the covariance of the true scores under each answer, in variances of a seed's noise."""
    gaps = np.sqrt(((places[:, None, :] - places[None, :, :]) ** 2).sum(axis=2))
    own = np.eye(len(places))
    answers = []
    for signal, share in itertools.product(SIGNALS, OWN_SHARES):
        lengths = LENGTHS if share < 1 else LENGTHS[:1]  # without a smooth part there is no length
        for length in lengths:
            scaled = np.sqrt(3) * gaps / length
            smooth = (1 + scaled) * np.exp(-scaled)  # Matern 3/2: a response may have kinks
            answers.append(signal * ((1 - share) * smooth + share * own))
    return np.array(answers)


def _draw(
    means: FloatArray,
    covariances: FloatArray,
    squares: FloatArray,
    freedom: float,
    weights: FloatArray,
    *,
    seed: int,
    num_draws: int,
) -> FloatArray:
    rng = np.random.default_rng(seed)
    parts = []
    for answer, number in enumerate(rng.multinomial(num_draws, weights)):
        if number:
            values, vectors = np.linalg.eigh(covariances[answer])
            root = vectors * np.sqrt(np.clip(values, 0, None))
            noises = np.sqrt(squares[answer] / rng.chisquare(freedom, size=number))
            normals = rng.standard_normal((number, len(root)))
            parts.append(means[answer] + noises[:, None] * (normals @ root.T))
    return np.concatenate(parts)
