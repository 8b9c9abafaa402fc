import numpy as np
import pytest

from effsearch.proxy_train.latency import measure_table as module
from effsearch.proxy_train.latency.correction import (
    UNKNOWN_ERROR,
    Measured,
    correct,
    fit_shares,
    left_out_errors,
)
from effsearch.proxy_train.latency.measure import Timing
from effsearch.proxy_train.latency.measure_table import (
    NUM_ROUNDS,
    calibration_networks,
    measure_table,
    table_blocks,
)
from effsearch.proxy_train.latency.target import LatencyTarget
from effsearch.space.canonical import network_hash
from effsearch.space.latency_table import block_signature, network_blocks
from effsearch.space.shipped_spaces import load_shipped_space
from effsearch.space.space_blocks import space_blocks

SPACE = load_shipped_space("nas-bench-macro")


def ends(block):
    first, last = block[0], block[-1]
    return first.in_channels * first.in_size**2 + last.out_channels * last.out_size**2


def alone_of(blocks, seed=0):
    rng = np.random.default_rng(seed)
    return {name: int(rng.integers(20_000, 400_000)) for name in blocks}


def networks(number, law):
    """Networks measured whole as a law of each block says."""
    specs = calibration_networks(SPACE, resolution=32, num_classes=10, number=number)
    return [
        Measured(
            signatures=tuple(block_signature(block) for _, block in network_blocks(spec)),
            nanoseconds=round(sum(law(block) for _, block in network_blocks(spec))),
        )
        for spec in specs
    ]


def test_a_correction_finds_what_networks_add_to_their_blocks():
    blocks = space_blocks(SPACE, resolution=32, num_classes=10)
    alone = alone_of(blocks)

    def law(block):
        return 1.3 * alone[block_signature(block)] + 5_000 + 0.2 * ends(block)

    found = correct(alone, blocks, networks(20, law))
    for name, block in blocks.items():
        assert found.nanoseconds[name] == pytest.approx(law(block), abs=2)
    assert found.error < 1e-4
    assert found.mean_error < 1e-4
    assert found.raw_error > 0.3


def test_few_networks_fit_a_factor_alone_and_one_leaves_the_error_unknown():
    blocks = space_blocks(SPACE, resolution=32, num_classes=10)
    alone = alone_of(blocks)
    few = networks(4, lambda block: 2 * alone[block_signature(block)])
    assert correct(alone, blocks, few).nanoseconds == {name: 2 * value for name, value in alone.items()}
    single = correct(alone, blocks, few[:1])
    assert single.nanoseconds == {name: 2 * value for name, value in alone.items()}
    assert (single.error, single.mean_error) == (UNKNOWN_ERROR, UNKNOWN_ERROR)


def test_a_block_never_takes_less_than_a_nanosecond():
    blocks = space_blocks(SPACE, resolution=32, num_classes=10)
    alone = dict.fromkeys(blocks, 1_000)
    # Whatever is measured, a block's own share must not come out below zero.
    found = correct(alone, blocks, networks(20, lambda block: max(1, 3_000 - 0.02 * ends(block))))
    assert min(found.nanoseconds.values()) >= 1


def test_errors_are_of_networks_that_the_fit_has_not_seen():
    rows = np.array([[1.0], [2.0], [4.0]])
    whole = np.array([1.0, 2.0, 8.0])
    errors = left_out_errors(rows[:, None], whole)  # of one block each
    assert errors[2] == pytest.approx(1.0)  # the others say one for one
    assert errors[0] == pytest.approx(1 / float(fit_shares(rows[1:], whole[1:])[0]) - 1)
    assert len(left_out_errors(rows[:1, None], whole[:1])) == 0


def test_errors_are_of_what_a_table_predicts_and_not_of_times_below_zero():
    """A factor of 1 and -25 for each block fit to the point, but no block takes less than 1."""
    large = 100.0 + 10 * np.arange(9)
    parts = [np.array([[alone, 1.0], [1.0, 1.0]]) for alone in large]
    parts += [np.array([[alone, 1.0], [60.0, 1.0], [70.0, 1.0]]) for alone in large]
    whole = np.array([one[:, 0].sum() - 25 * len(one) for one in parts])
    errors = left_out_errors(parts, whole)
    assert errors[:9] == pytest.approx((large - 49) / (large - 24) - 1)
    assert errors[9:] == pytest.approx(0, abs=1e-9)


def test_networks_to_fit_are_distinct_and_spread():
    found = calibration_networks(SPACE, resolution=32, num_classes=10, number=12)
    assert len({network_hash(spec) for spec in found}) == len(found) > 8
    again = calibration_networks(SPACE, resolution=32, num_classes=10, number=12)
    assert again == found


def test_a_table_takes_the_least_of_its_rounds_and_holds_every_block(monkeypatch):
    told, calls = [], []

    def time_blocks(blocks, target, *, seconds):
        calls.append(len(blocks))
        late = len(calls) <= 30  # what disturbs the start of the first round
        total = sum(1_000 + len(block) * 100 for block in blocks)
        return Timing(median=total * (3 if late else 1) / 1e9, low=0.0, high=0.0, num_passes=1)

    monkeypatch.setattr(module, "time_blocks", time_blocks)
    table = measure_table(
        SPACE,
        LatencyTarget(),
        resolution=32,
        num_classes=10,
        notify=lambda done, total: told.append((done, total)),
    )
    blocks = table_blocks(SPACE, resolution=32, num_classes=10)
    assert set(table.nanoseconds) == set(blocks) > set(space_blocks(SPACE, resolution=32, num_classes=10))
    assert told[-1] == (len(calls), len(calls)) == (NUM_ROUNDS * (len(blocks) + table.num_networks),) * 2
    for name, block in blocks.items():
        assert table.nanoseconds[name] == pytest.approx(1_000 + len(block) * 100, abs=1)
    assert table.error < 1e-3
