"""What has to be made of blocks' times, so that they add up to a network's?

A block by itself finds its weights in the cache, and a runtime that reorders maps does so at both ends of every block
it is given, but inside a network once. So what a block adds to a network is taken to be its own time by a factor,
and something for each block and for each value that it takes and gives. The three are fitted to networks measured
whole. docs/latency.md has what other ways came to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from effsearch.space.latency_table import Block

FloatArray = NDArray[np.float64]

ENOUGH_NETWORKS = 8  # with fewer the factor alone is fitted
UNKNOWN_ERROR = 0.05  # where a space has but one network, and none can be left out


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A network measured whole."""

    signatures: tuple[str, ...]  # of its blocks
    nanoseconds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Correction:
    """Times that add up, and how well they do."""

    nanoseconds: dict[str, int]
    error: float  # deviation of measured over predicted, each network left out in turn
    mean_error: float  # the mean of its absolute value
    raw_error: float  # the same of blocks' times as they are


def correct(
    alone: Mapping[str, int], blocks: Mapping[str, Block], networks: Sequence[Measured]
) -> Correction:
    """Fit what blocks add to networks.

    Args:
        alone: Nanoseconds of each block by itself, by signature.
        blocks: The blocks.
        networks: Measured ones, all of these blocks; at least one.
    """
    features = {name: _features(alone[name], block) for name, block in blocks.items()}
    num_features = 3 if len(networks) >= ENOUGH_NETWORKS else 1
    parts = [np.stack([features[name][:num_features] for name in one.signatures]) for one in networks]
    rows = np.stack([one.sum(axis=0) for one in parts])
    whole = np.array([one.nanoseconds for one in networks], dtype=np.float64)
    weights = fit_shares(rows, whole)
    errors = left_out_errors(parts, whole)
    return Correction(
        nanoseconds={
            name: round(float(_block_times(feature[:num_features], weights)))
            for name, feature in features.items()
        },
        error=float(np.sqrt(np.mean(errors**2))) if len(errors) else UNKNOWN_ERROR,
        mean_error=float(np.abs(errors).mean()) if len(errors) else UNKNOWN_ERROR,
        raw_error=float(np.abs(whole / rows[:, 0] - 1).mean()),
    )


def fit_shares(rows: FloatArray, whole: FloatArray) -> FloatArray:
    """Give the weights of features, (num_features,), that make the relative errors least in their squares."""
    shares = rows / whole[:, None]
    scales = np.linalg.norm(shares, axis=0)
    scales[scales == 0] = 1.0
    weights: FloatArray = np.linalg.lstsq(shares / scales, np.ones(len(whole)), rcond=1e-6)[0] / scales
    return weights


def left_out_errors(parts: Sequence[FloatArray], whole: FloatArray) -> FloatArray:
    """Give measured over predicted, less one, of each network by a fit to the others; none of a single one.

    Args:
        parts: Of each network, the features of its blocks, (num_blocks, num_features).
        whole: (num_networks,) nanoseconds.
    """
    if len(whole) < 2:
        return np.zeros(0)
    rows = np.stack([one.sum(axis=0) for one in parts])
    others = [np.delete(np.arange(len(whole)), index) for index in range(len(whole))]
    predicted = [
        _block_times(parts[index], fit_shares(rows[rest], whole[rest])).sum()
        for index, rest in enumerate(others)
    ]
    return np.asarray(whole / predicted - 1, dtype=np.float64)


def _block_times(features: FloatArray, weights: FloatArray) -> FloatArray:
    """Give the nanoseconds of blocks; a fit may put a small one below zero, and a table holds at least one."""
    return np.maximum(1.0, features @ weights)


def _features(alone: int, block: Block) -> FloatArray:
    first, last = block[0], block[-1]
    num_values = first.in_channels * first.in_size**2 + last.out_channels * last.out_size**2
    return np.array([alone, 1.0, num_values], dtype=np.float64)
