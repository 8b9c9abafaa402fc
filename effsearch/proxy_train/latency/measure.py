"""How long does one pass of a network, or of a block, take on this machine?"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from effsearch.proxy_train.latency.passes import Pass, make_pass, threads_of
from effsearch.proxy_train.latency.target import LatencyTarget
from effsearch.space.latency_table import network_blocks
from effsearch.space.layer import Layer
from effsearch.space.spec import ModelSpec

NUM_WARM = 3
MIN_TIMED, MAX_TIMED = 7, 200
WHOLE_SECONDS = 0.5  # for the passes of a network, where these are quick


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What repeated passes took, in seconds."""

    median: float
    low: float  # 5th percentile
    high: float  # 95th percentile
    num_passes: int

    @property
    def nanoseconds(self) -> int:
        """The median as a whole number, at least 1."""
        return max(1, round(self.median * 1e9))


def processor_share(working: float, seconds: float) -> float:
    """Give the share of some seconds that this process had a processor for, at most 1."""
    return round(min(1.0, working / seconds), 3) if seconds > 0 else 1.0


def time_pass(run: Pass, *, seconds: float) -> Timing:
    """Time a pass again and again, after a few that do not count.

    Args:
        run: Runs once and gives its seconds.
        seconds: What to spend; there are `MIN_TIMED` passes in any case, and no more than `MAX_TIMED`.
    """
    for _ in range(NUM_WARM):
        once = run()
    number = min(MAX_TIMED, max(MIN_TIMED, round(seconds / max(once, 1e-7))))
    taken = sorted(run() for _ in range(number))
    return Timing(
        median=statistics.median(taken),
        low=taken[round(0.05 * (number - 1))],
        high=taken[round(0.95 * (number - 1))],
        num_passes=number,
    )


def time_blocks(
    blocks: Sequence[Sequence[Layer]], target: LatencyTarget, *, seconds: float = WHOLE_SECONDS
) -> Timing:
    """Time some blocks in a row."""
    with threads_of(target):
        return time_pass(make_pass(blocks, target), seconds=seconds)


def time_network(spec: ModelSpec, target: LatencyTarget, *, seconds: float = WHOLE_SECONDS) -> Timing:
    """Time a whole network at its resolution, with fresh weights, as it is deployed."""
    return time_blocks([block for _, block in network_blocks(spec)], target, seconds=seconds)


def measure_latency(spec: ModelSpec) -> float:
    """Give the median seconds of a pass in torch: one image at the network's resolution, one thread."""
    return time_network(spec, LatencyTarget()).median
