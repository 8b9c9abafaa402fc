"""How long does each block of a network take by itself, and what does that add up to?"""

import time
from dataclasses import dataclass

from effsearch.proxy_train.latency.measure import Timing, processor_share, time_blocks, time_network
from effsearch.proxy_train.latency.target import LatencyTarget, require_target
from effsearch.space.latency_table import LatencyConditions, block_signature, network_blocks, part_of
from effsearch.space.spec import ModelSpec

BLOCK_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockLatency:
    """One block of a network."""

    scope: str  # "stem", "stages.2.0", "head"
    part: str
    signature: str
    nanoseconds: int  # median, by itself; blocks of one signature are timed once


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkLatency:
    """A network measured whole, and its blocks by themselves."""

    conditions: LatencyConditions
    whole: Timing
    blocks: tuple[BlockLatency, ...]
    sum_nanoseconds: int  # of the blocks
    adding_up_error: float  # of that sum, as a share of the whole
    processor_share: float  # of the time that it took, what other programs left


def measure_blocks(spec: ModelSpec, target: LatencyTarget) -> NetworkLatency:
    """Time a network whole, before and after each of its blocks by itself.

    Raises:
        UsageError: The target is not there.
    """
    conditions = require_target(target)
    started, started_working = time.monotonic(), time.process_time()
    before = time_network(spec, target)
    alone: dict[str, int] = {}
    blocks = []
    for scope, block in network_blocks(spec):
        signature = block_signature(block)
        if signature not in alone:
            alone[signature] = time_blocks([block], target, seconds=BLOCK_SECONDS).nanoseconds
        blocks.append(
            BlockLatency(scope=scope, part=part_of(scope), signature=signature, nanoseconds=alone[signature])
        )
    whole = min(before, time_network(spec, target), key=lambda timing: timing.median)
    total = sum(block.nanoseconds for block in blocks)
    return NetworkLatency(
        conditions=conditions,
        whole=whole,
        blocks=tuple(blocks),
        sum_nanoseconds=total,
        adding_up_error=total / whole.nanoseconds - 1,
        processor_share=processor_share(time.process_time() - started_working, time.monotonic() - started),
    )
