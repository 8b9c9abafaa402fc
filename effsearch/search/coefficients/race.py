"""Which candidate gets one more seed?

Successive halving, by thirds: every candidate is trained once, the better third a second time, the better third of
those a third time, until few are left with all their seeds. Better is what is believed to be, neighbours included
(`response`). A round is chosen from the scores of the rounds before it, so that a search that was interrupted goes on
with the same candidates; it opens when all of the round before is handed out, and nobody waits for stragglers.
"""

import math
from collections.abc import Sequence

import numpy as np

from effsearch.search.coefficients.response import FloatArray, fit_response

REDUCTION = 3  # a round has a third of the candidates of the one before
NUM_DRAWS = 1  # of a belief that only ranks


def round_size(num_candidates: int, round_index: int, *, num_finalists: int) -> int:
    """Give how many candidates a round trains; round 0 trains all."""
    size = math.ceil(round(num_candidates / float(REDUCTION**round_index), 9))
    return min(num_candidates, max(size, num_finalists))


def count_owed(num_candidates: int, *, num_seeds: int, num_finalists: int) -> int:
    """Give how many trainings follow the first ones of so many candidates."""
    return sum(
        round_size(num_candidates, index, num_finalists=num_finalists) for index in range(1, num_seeds)
    )


class Race:
    """The trainings of some candidates so far; says which comes next.

    Args:
        places: (num_candidates, num_coordinates) where the candidates lie.
        num_seeds: Trainings of each of the best.
        num_finalists: How many get all of them.
    """

    def __init__(self, places: FloatArray, *, num_seeds: int, num_finalists: int) -> None:
        self._places = places
        self._num_seeds = num_seeds
        self._num_finalists = num_finalists
        self._started: list[set[int]] = [set() for _ in places]
        self._scores: list[dict[int, float]] = [{} for _ in places]
        self._failed: set[int] = set()
        self._rounds: dict[int, list[int]] = {}

    @property
    def num_started(self) -> int:
        """Candidates whose first training was handed out."""
        return sum(0 in started for started in self._started)

    @property
    def num_trained(self) -> int:
        """Trainings that came to a score."""
        return sum(map(len, self._scores))

    @property
    def scores(self) -> list[list[float]]:
        """Scores of each candidate, by replicate."""
        return [[scores[key] for key in sorted(scores)] for scores in self._scores]

    @property
    def alive(self) -> list[int]:
        """Candidates that have a score or may still get one."""
        return [index for index, scores in enumerate(self._scores) if scores or index not in self._failed]

    def start(self, candidate: int, replicate: int) -> None:
        """Take note that a training is handed out."""
        self._started[candidate].add(replicate)

    def tell(self, candidate: int, replicate: int, score: float | None) -> None:
        """Take how a training ended; None for a failure, after which the candidate is not trained again."""
        self._started[candidate].add(replicate)
        if score is None:
            self._failed.add(candidate)
        else:
            self._scores[candidate][replicate] = score

    def next_first(self) -> int | None:
        """Give the candidate that is trained next for the first time."""
        return next((index for index, started in enumerate(self._started) if 0 not in started), None)

    def next_again(self) -> tuple[int, int] | None:
        """Give the candidate that is trained once more, and its replicate; no first training may follow this."""
        for round_index in range(1, self._num_seeds):
            if round_index not in self._rounds:
                if not any(self._scores):
                    return None
                self._rounds[round_index] = self._open(round_index)
            for candidate in self._rounds[round_index]:
                if round_index not in self._started[candidate] and candidate not in self._failed:
                    return candidate, round_index
        return None

    def _open(self, round_index: int) -> list[int]:
        """Choose who is in a round: who has begun it already, and the best of the round before."""
        known = [
            [score for replicate, score in sorted(scores.items()) if replicate < round_index]
            for scores in self._scores
        ]
        begun = [index for index, started in enumerate(self._started) if round_index in started]
        num_trained = sum(0 in self._started[index] for index in self.alive)
        size = round_size(num_trained, round_index, num_finalists=self._num_finalists)
        others = [
            index
            for index in rank(self._places, known)
            if round_index - 1 in self._started[index] and index not in self._failed and index not in begun
        ]
        return begun + others[: max(0, size - len(begun))]


def rank(places: FloatArray, scores: Sequence[Sequence[float]]) -> list[int]:
    """Give the candidates by what is believed of them, best first."""
    means = fit_response(places, scores, num_draws=NUM_DRAWS).means
    return [int(index) for index in np.argsort(-means, kind="stable")]
