import math

import pytest
import torch

from effsearch.proxy_train import latency
from effsearch.proxy_train.latency import measure_latency
from effsearch.space.spec import BlockSpec, ModelSpec, StageSpec, StemSpec


def make_spec(*, channels=8, resolution=16):
    return ModelSpec(
        stem=StemSpec(out_channels=8),
        stages=(StageSpec(out_channels=channels, stride=1, blocks=(BlockSpec(kind="basic"),)),),
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
def test_latency_is_measured_on_one_thread_which_is_given_back(monkeypatch):
    seen = []
    build = latency.build_model

    def watched(spec, *, seed):
        model = build(spec, seed=seed)
        model.register_forward_hook(lambda *_: seen.append((torch.get_num_threads(), model.training)))
        return model

    monkeypatch.setattr(latency, "build_model", watched)
    assert 0 < measure_latency(make_spec()) < math.inf
    assert set(seen) == {(1, False)}
    assert torch.get_num_threads() == 2


@pytest.mark.usefixtures("two_threads")
def test_threads_are_given_back_after_a_failure_too(monkeypatch):
    def broken(spec, *, seed):
        return torch.nn.Linear(3, 3)  # takes no images

    monkeypatch.setattr(latency, "build_model", broken)
    with pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        measure_latency(make_spec())
    assert torch.get_num_threads() == 2


def test_latency_is_the_median_of_the_timed_passes(monkeypatch):
    """The clock is read once in each of two passes to warm up, then they take 5, 1, 7, 2, 6, 3 and 4 seconds."""
    ticks = iter(
        [0.0, 0.0, *(tick for seconds in (5.0, 1.0, 7.0, 2.0, 6.0, 3.0, 4.0) for tick in (0.0, seconds))]
    )
    monkeypatch.setattr(latency.time, "perf_counter", lambda: next(ticks))
    assert measure_latency(make_spec()) == 4.0


def test_a_network_with_a_thousand_times_the_work_takes_longer():
    assert measure_latency(make_spec(channels=128, resolution=64)) > measure_latency(make_spec())
