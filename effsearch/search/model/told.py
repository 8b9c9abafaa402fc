"""What has a model been told, as arrays that grow with every training?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scores:
    """How some trainings ended, in their order."""

    points: IntArray  # (n, num_dimensions) choice indices; -1 is a choice that was not made
    values: FloatArray  # (n,)
    rungs: IntArray  # (n,) 0 for the cheapest training
    features: FloatArray  # (n, k) numbers known without training


def joined(parts: Sequence[Scores]) -> Scores:
    """Give the scores of at least one part as one, in their order."""
    return Scores(
        points=np.concatenate([part.points for part in parts]),
        values=np.concatenate([part.values for part in parts]),
        rungs=np.concatenate([part.rungs for part in parts]),
        features=np.concatenate([part.features for part in parts]),
    )


class Told:
    """Takes scores and gives all of them; only the new are joined to what was given before.

    Args:
        num_dimensions: Of the points.
    """

    def __init__(self, num_dimensions: int) -> None:
        self._num_dimensions = num_dimensions
        self._parts: list[Scores] = []
        self._num = 0

    def __len__(self) -> int:
        return self._num

    def add(self, scores: Scores) -> None:
        """Take the scores of some more trainings."""
        self._parts.append(scores)
        self._num += len(scores.values)

    def scores(self) -> Scores:
        """Give the scores of all trainings; without one, empty arrays and no features."""
        if not self._parts:
            points = np.zeros((0, self._num_dimensions), dtype=np.int64)
            return Scores(
                points=points,
                values=np.zeros(0),
                rungs=np.zeros(0, dtype=np.int64),
                features=np.zeros((0, 0)),
            )
        if len(self._parts) > 1:
            self._parts = [joined(self._parts)]
        return self._parts[0]
