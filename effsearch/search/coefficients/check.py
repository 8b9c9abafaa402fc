"""Does the order of the best hold when they are trained longer?"""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

NUM_CHECK_SEEDS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A candidate that was trained longer."""

    candidate: int  # its place in the result's candidates
    accuracies: tuple[float, ...]  # one for each seed

    @property
    def mean_accuracy(self) -> float:
        """Mean validation accuracy over the seeds."""
        return statistics.fmean(self.accuracies)


def order_holds(checked: Sequence[Checked]) -> bool:
    """Tell whether those trained longer, given best first, still come in that order."""
    return all(one.mean_accuracy >= other.mean_accuracy for one, other in itertools.pairwise(checked))


def longer_order(checked: Sequence[Checked]) -> list[int]:
    """Give the places that those trained longer, given best first, take then: [2, 1, 3] where the first two swap."""
    by_mean = sorted(range(len(checked)), key=lambda index: -checked[index].mean_accuracy)
    return [1 + by_mean.index(index) for index in range(len(checked))]
