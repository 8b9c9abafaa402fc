import math

import pytest
import torch

from effsearch.proxy_train.latency import measure, passes
from effsearch.proxy_train.latency.measure import (
    MAX_TIMED,
    MIN_TIMED,
    NUM_WARM,
    measure_latency,
    processor_share,
    time_network,
    time_pass,
)
from effsearch.proxy_train.latency.measure_blocks import measure_blocks
from effsearch.proxy_train.latency.target import LatencyTarget
from effsearch.space.latency_table import network_blocks
from effsearch.space.spec import BlockSpec, ModelSpec, StageSpec, StemSpec


def make_spec(*, channels=8, resolution=16, num_blocks=1):
    return ModelSpec(
        stem=StemSpec(out_channels=8),
        stages=(StageSpec(out_channels=channels, stride=1, blocks=(BlockSpec(kind="basic"),) * num_blocks),),
        resolution=resolution,
        num_classes=3,
    )


@pytest.fixture
def two_threads():
    num_threads = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(num_threads)


@pytest.mark.usefixtures("two_threads")
def test_latency_is_measured_on_the_threads_asked_for_which_are_given_back(monkeypatch):
    seen = []

    def watched(run, *, seconds):
        seen.append(torch.get_num_threads())
        return time_pass(run, seconds=0)

    monkeypatch.setattr(measure, "time_pass", watched)
    assert 0 < measure_latency(make_spec()) < math.inf
    time_network(make_spec(), LatencyTarget(num_threads=3))
    assert seen == [1, 3]
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_threads_are_given_back_after_a_failure_too(monkeypatch):
    def broken(blocks):
        return torch.nn.Linear(3, 3)  # takes no images

    monkeypatch.setattr(passes, "deployed", broken)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        measure_latency(make_spec())
    assert torch.get_num_threads() == 2


def test_a_timing_is_the_median_of_the_passes_that_count():
    taken = iter([9.0] * NUM_WARM + [5.0, 1.0, 7.0, 2.0, 6.0, 3.0, 4.0])
    timing = time_pass(lambda: next(taken), seconds=0.0)
    assert (timing.median, timing.low, timing.high, timing.num_passes) == (4.0, 1.0, 7.0, MIN_TIMED)
    assert timing.nanoseconds == 4_000_000_000


@pytest.mark.parametrize(("once", "number"), [(1.0, MIN_TIMED), (0.01, 50), (1e-9, MAX_TIMED)])
def test_quick_passes_are_timed_more_often(once, number):
    assert time_pass(lambda: once, seconds=0.5).num_passes == number


def test_a_share_of_the_processor_is_at_most_all_of_it():
    assert processor_share(1.0, 4.0) == 0.25
    assert processor_share(8.0, 4.0) == 1.0
    assert processor_share(0.0, 0.0) == 1.0


def test_a_network_with_a_thousand_times_the_work_takes_longer():
    assert measure_latency(make_spec(channels=128, resolution=64)) > measure_latency(make_spec())


def test_equal_blocks_are_timed_once_and_add_up(monkeypatch):
    spec = make_spec(num_blocks=3)
    timed = []

    def time_blocks(blocks, target, *, seconds=0.0):
        timed.append(len(blocks))
        return time_pass(lambda: 0.002 if len(blocks) == 1 else 0.01, seconds=0)

    monkeypatch.setattr("effsearch.proxy_train.latency.measure_blocks.time_blocks", time_blocks)
    monkeypatch.setattr(measure, "time_blocks", time_blocks)
    found = measure_blocks(spec, LatencyTarget())
    assert [block.scope for block in found.blocks] == [scope for scope, _ in network_blocks(spec)]
    assert timed == [5, 1, 1, 1, 5]  # whole, stem, one of three equal blocks, head, whole
    assert found.whole.nanoseconds == 10_000_000
    assert found.sum_nanoseconds == sum(block.nanoseconds for block in found.blocks) == 5 * 2_000_000
    assert found.adding_up_error == 0.0
