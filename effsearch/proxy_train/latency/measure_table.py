"""What does every block of a space take on this machine, and how well does that add up?

Blocks and whole networks are timed in one shuffled row, twice over, and the better median counts: what disturbs only
ever adds time, and what drifts meets all alike.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime

import numpy as np

from effsearch.proxy_train.latency.correction import Measured, correct
from effsearch.proxy_train.latency.measure import processor_share, time_blocks
from effsearch.proxy_train.latency.target import LatencyTarget, require_target
from effsearch.space.anchors import anchor_sizes
from effsearch.space.canonical import network_hash
from effsearch.space.latency_table import Block, LatencyTable, block_signature, network_blocks
from effsearch.space.screening import sample_points, screen
from effsearch.space.search_space import SearchSpace
from effsearch.space.space_blocks import blocks_of, space_blocks
from effsearch.space.spec import ModelSpec

NUM_NETWORKS = 20  # measured whole
NUM_DRAWN = 2_000  # that these are chosen from
NUM_ROUNDS = 2
BLOCK_SECONDS = 0.01  # for the passes of one block in one round
NETWORK_SECONDS = 0.15


def table_blocks(space: SearchSpace, *, resolution: int, num_classes: int) -> dict[str, Block]:
    """Give the blocks that a table of a space has: all of its own, and those of the known networks."""
    anchors = anchor_sizes(resolution=resolution, num_classes=num_classes)
    return space_blocks(space, resolution=resolution, num_classes=num_classes) | blocks_of(anchors)


def calibration_networks(
    space: SearchSpace, *, resolution: int, num_classes: int, number: int = NUM_NETWORKS, seed: int = 0
) -> list[ModelSpec]:
    """Give distinct networks of a space, spread evenly over their multiply-adds but for the ends of these."""
    points = sample_points(space, NUM_DRAWN, rng=np.random.default_rng(seed))
    costs = screen(space, points, resolution=resolution, num_classes=num_classes).multiply_adds
    least, most = np.quantile(costs, [0.01, 0.99])
    wanted = np.linspace(least, most, number)
    nearest = [int(np.argmin(np.abs(costs - one))) for one in wanted]
    specs = [
        space.spec_at(points[index].tolist(), resolution=resolution, num_classes=num_classes)
        for index in nearest
    ]
    return list({network_hash(spec): spec for spec in specs}.values())


def measure_table(
    space: SearchSpace,
    target: LatencyTarget,
    *,
    resolution: int,
    num_classes: int,
    notify: Callable[[int, int], None] = lambda done, total: None,
) -> LatencyTable:
    """Time all blocks of a space and some of its networks, and correct the ones by the others.

    Args:
        space: Whose blocks.
        target: What they run with.
        resolution: Pixels of the networks.
        num_classes: Of their heads.
        notify: Is told how many timings of how many are done.

    Raises:
        UsageError: The target is not there.
    """
    conditions = require_target(target)
    started, started_working = time.monotonic(), time.process_time()
    blocks = table_blocks(space, resolution=resolution, num_classes=num_classes)
    networks = calibration_networks(space, resolution=resolution, num_classes=num_classes)
    rows = {name: [block] for name, block in blocks.items()}
    wholes = {network_hash(spec): [block for _, block in network_blocks(spec)] for spec in networks}
    found = time_all(rows, wholes, target, notify)
    measured = [
        Measured(
            signatures=tuple(block_signature(block) for block in whole if block), nanoseconds=found[network]
        )
        for network, whole in wholes.items()
    ]
    correction = correct({name: found[name] for name in blocks}, blocks, measured)
    return LatencyTable(
        nanoseconds=correction.nanoseconds,
        error=correction.error,
        mean_error=correction.mean_error,
        raw_error=correction.raw_error,
        num_networks=len(measured),
        conditions=conditions,
        time=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=round(time.monotonic() - started, 1),
        processor_share=processor_share(time.process_time() - started_working, time.monotonic() - started),
    )


def time_all(
    rows: Mapping[str, Sequence[Block]],
    wholes: Mapping[str, Sequence[Block]],
    target: LatencyTarget,
    notify: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, int]:
    """Give the nanoseconds of each row of blocks, the least of the rounds' medians.

    Args:
        rows: One block each, timed briefly.
        wholes: Networks, timed for longer.
        target: What they run with.
        notify: Is told how many timings of how many are done.
    """
    rng = np.random.default_rng(0)
    names = [*rows, *wholes]
    best: dict[str, int] = {}
    for round_index in range(NUM_ROUNDS):
        for index, place in enumerate(rng.permutation(len(names))):
            name = names[place]
            is_block = name in rows
            timing = time_blocks(
                rows[name] if is_block else wholes[name],
                target,
                seconds=BLOCK_SECONDS if is_block else NETWORK_SECONDS,
            )
            best[name] = min(timing.nanoseconds, best.get(name, timing.nanoseconds))
            notify(round_index * len(names) + index + 1, NUM_ROUNDS * len(names))
    return best
