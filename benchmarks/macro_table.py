"""What would a training of a NAS-Bench-Macro network have returned?

Every network of the benchmark was trained three times. A replayed training returns one of the three, drawn for each
network by the replay's seed; the truth is the mean of all three, or of the other two.
"""

import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NUM_DIMENSIONS = 8
NUM_CHOICES = 3
STAGES = ((0, 2), (2, 5), (5, 8))  # layers of each stage
RADICES = NUM_CHOICES ** np.arange(NUM_DIMENSIONS - 1, -1, -1)


@dataclass(frozen=True)
class MacroTable:
    """All 6,561 entries, in the order of their keys: the row of a key is the key read in base three."""

    keys: tuple[str, ...]
    points: NDArray[np.int64]  # (6561, 8)
    runs: NDArray[np.float64]  # (6561, 3) per cent
    means: NDArray[np.float64]
    multiply_adds: NDArray[np.float64]
    parameters: NDArray[np.float64]
    networks: NDArray[np.int64]  # row of the first key that is the same network

    def features(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Number of blocks, logarithms of multiply-adds and of parameters: known without training."""
        num_blocks = (self.points[rows] > 0).sum(axis=1)
        return np.column_stack(
            [num_blocks, np.log(self.multiply_adds[rows]), np.log(self.parameters[rows])]
        ).astype(np.float64)

    def best_inside(self, budget: float) -> float:
        """Best true accuracy at no more than so many multiply-adds."""
        return float(self.means[self.multiply_adds <= budget].max())


def rows_of(points: NDArray[np.int64]) -> NDArray[np.int64]:
    """Give the table's rows of some points."""
    return np.asarray(points @ RADICES, dtype=np.int64)


@cache
def load_macro_table() -> MacroTable:
    """Give the table; EFFSEARCH_SHARED_DATA names the folder it is in."""
    path = Path(os.environ["EFFSEARCH_SHARED_DATA"]) / "nas-bench-macro" / "nas-bench-macro_cifar10.json"
    table = json.loads(path.read_text())
    keys = tuple(sorted(table))
    points = np.asarray([[int(digit) for digit in key] for key in keys], dtype=np.int64)
    networks = rows_of(np.asarray([_identities_last(point) for point in points], dtype=np.int64))
    return MacroTable(
        keys=keys,
        points=points,
        runs=np.asarray([table[key]["test_acc"] for key in keys]),
        means=np.asarray([table[key]["mean_acc"] for key in keys]),
        multiply_adds=np.asarray([table[key]["flops"] for key in keys], dtype=np.float64),
        parameters=np.asarray([table[key]["params"] for key in keys], dtype=np.float64),
        networks=networks,
    )


def _identities_last(point: NDArray[np.int64]) -> list[int]:
    """Identities after the first layer of a stage commute: put them at its end."""
    ordered: list[int] = []
    for first, end in STAGES:
        later = [int(digit) for digit in point[first + 1 : end] if digit]
        ordered += [int(point[first]), *later, *[0] * (end - first - 1 - len(later))]
    return ordered


class Replay:
    """One search on the table: counts distinct trainings, and returns a noisy score for each."""

    def __init__(self, table: MacroTable, *, seed: int) -> None:
        self.table = table
        self._chosen_run = np.random.default_rng([seed, 20]).integers(3, size=len(table.keys))
        self.trained: list[int] = []  # rows of the networks, in the order of their trainings
        self.values: list[float] = []
        self._known: dict[int, float] = {}

    def train(self, row: int) -> float:
        """Give the score of a network; a network trained before costs nothing."""
        network = int(self.table.networks[row])
        if network not in self._known:
            self._known[network] = float(self.table.runs[network, self._chosen_run[network]])
            self.trained.append(network)
            self.values.append(self._known[network])
        return self._known[network]

    def others_mean(self, network: int) -> float:
        """Mean of the two runs that the search did not see."""
        seen = self.table.runs[network, self._chosen_run[network]]
        return float((self.table.runs[network].sum() - seen) / 2)
