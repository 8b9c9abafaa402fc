"""How alike are two points of a space of choices?

A score is a sum of effects: of one choice, and of two choices together. Each dimension has a centred kernel over its
choices, so that the two kinds do not overlap, and the sum over all pairs follows from two power sums, which are
matrix products of one-hot rows. Effects of three choices were tried and lost (docs/search_efficiency.md).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

NUM_ORDERS = 2  # main effects and pairs
SHARE_NOMINAL = 0.2  # of an ordered dimension's kernel: a choice may still stand out from its neighbours


def centred_kernel(num_choices: int, position: NDArray[np.float64] | None) -> FloatArray:
    """Give the prior covariance of the effects of one dimension's choices: rows sum to 0, mean variance is 1.

    Args:
        num_choices: How many there are.
        position: Where each choice lies on a line, if they are ordered; neighbours then share strength.
    """
    kernel = _centred(np.eye(num_choices))
    if position is not None and num_choices > 2:
        gaps = np.abs(position[:, None] - position[None, :])
        ordered = _centred(-gaps)
        if np.trace(ordered) > 0:
            kernel = SHARE_NOMINAL * kernel + (1 - SHARE_NOMINAL) * ordered
    return kernel


def _centred(kernel: FloatArray) -> FloatArray:
    kernel = kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean()
    mean_variance = np.trace(kernel) / len(kernel)
    return kernel / mean_variance if mean_variance > 1e-12 else np.zeros_like(kernel)


@dataclass(frozen=True, slots=True)
class ChoiceKernel:
    """The dimensions of a space, as blocks of one matrix over all choices side by side."""

    starts: IntArray  # (num_dimensions,) first column of each dimension
    owner: IntArray  # (num_columns,) dimension of each column
    base: FloatArray  # (num_columns, num_columns) block-diagonal

    @property
    def num_dimensions(self) -> int:
        """Number of dimensions."""
        return len(self.starts)

    @property
    def num_columns(self) -> int:
        """Number of choices of all dimensions together."""
        return len(self.owner)

    def one_hot(self, points: IntArray) -> FloatArray:
        """Give (num_points, num_columns) rows of ones and zeros; a negative index is a choice not made."""
        rows = np.zeros((len(points), self.num_columns))
        present = points >= 0
        row, dimension = np.nonzero(present)
        rows[row, self.starts[dimension] + points[present]] = 1.0
        return rows

    def power_sums(self, relevance: FloatArray, one: FloatArray, other: FloatArray) -> list[FloatArray]:
        """Give the sums over dimensions of `relevance * kernel` and of its square.

        Args:
            relevance: (num_dimensions,) weight of each dimension.
            one: One-hot rows.
            other: One-hot rows.
        """
        scaled = self.base * relevance[self.owner]
        power, sums = scaled, []
        for order in range(NUM_ORDERS):
            power = scaled if order == 0 else power * scaled
            sums.append((one @ power) @ other.T)
        return sums


def make_kernel(num_choices: Sequence[int], positions: Sequence[FloatArray | None]) -> ChoiceKernel:
    """Give the kernel of a space from the number and the positions of each dimension's choices."""
    owner = np.repeat(np.arange(len(num_choices)), num_choices)
    starts = np.concatenate([[0], np.cumsum(num_choices)[:-1]]) if len(num_choices) else np.zeros(0)
    base = np.zeros((len(owner), len(owner)))
    for start, number, position in zip(starts, num_choices, positions, strict=True):
        end = int(start) + number
        base[int(start) : end, int(start) : end] = centred_kernel(number, position)
    return ChoiceKernel(starts.astype(np.int64), owner.astype(np.int64), base)


def elementary_sums(sums: Sequence[FloatArray]) -> list[FloatArray]:
    """Give the sums over all single dimensions and over all pairs from the power sums (Newton's identities)."""
    first, second = sums
    return [first, (first * first - second) / 2]
