import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from effsearch.proxy_train.build import build_model
from effsearch.proxy_train.latency import passes, target
from effsearch.proxy_train.latency.onnx_graph import INPUT, make_graph
from effsearch.proxy_train.latency.passes import clock_of, deployed, make_pass
from effsearch.proxy_train.latency.target import (
    LatencyTarget,
    has_onnxruntime,
    machine_name,
    require_target,
    runtimes_for,
)
from effsearch.space.errors import UsageError
from effsearch.space.latency_table import network_blocks
from effsearch.space.presets import load_preset


def blocks_of(spec):
    return [block for _, block in network_blocks(spec)]


def images_of(spec, batch=2):
    generator = torch.Generator().manual_seed(1)
    return torch.randn(batch, 3, spec.resolution, spec.resolution, generator=generator)


def largest(wanted, found):
    return float((wanted - found).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("seed", range(8))
def test_folded_norms_compute_what_the_network_does(seed, random_spec):
    spec = random_spec(np.random.default_rng(seed))
    module = deployed(blocks_of(spec))
    assert not any(isinstance(one, torch.nn.BatchNorm2d) for one in module.modules())
    with torch.no_grad():
        wanted = build_model(spec, seed=0).eval()(images_of(spec))
        # Fresh norms divide by sqrt(1 + epsilon): that of the spec, and that of what is timed.
        assert largest(wanted, module(images_of(spec))) < 0.1


def test_folding_changes_nothing_where_the_norms_are_alike():
    blocks = blocks_of(load_preset("mobilenet-v2"))[:4]
    with torch.device("meta"):
        whole = torch.nn.Sequential(*(passes.Block(block, momentum=0.1, epsilon=1e-3) for block in blocks))
    whole = whole.to_empty(device="cpu")
    passes.initialise(whole, seed=0)
    images = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert largest(whole.eval()(images), deployed(blocks)(images)) < 1e-5


@pytest.mark.parametrize("seed", range(16))
def test_the_onnx_graph_computes_what_torch_does(seed, random_spec):
    import onnxruntime

    spec = random_spec(np.random.default_rng(seed))
    blocks = blocks_of(spec)
    module = deployed(blocks)
    content = make_graph(blocks, passes.weights_of(module)).SerializeToString()
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {INPUT: images_of(spec).numpy()})
    with torch.no_grad():
        assert largest(module(images_of(spec)), torch.from_numpy(found)) < 1e-3


@pytest.mark.parametrize("runtime", ["torch", "onnxruntime"])
def test_a_pass_gives_its_seconds_for_a_network_and_for_each_block(runtime, random_spec):
    blocks = blocks_of(random_spec(np.random.default_rng(3)))
    for row in ([block] for block in blocks):
        assert make_pass(row, LatencyTarget(runtime=runtime))() > 0
    assert make_pass(blocks, LatencyTarget(runtime=runtime, batch_size=2))() > 0


def test_one_thread_is_timed_by_its_own_clock():
    assert clock_of(LatencyTarget()) is passes.time.thread_time
    assert clock_of(LatencyTarget(num_threads=2)) is passes.time.perf_counter


def test_conditions_name_what_was_timed_on_what():
    found = require_target(LatencyTarget(num_threads=2, batch_size=4))
    assert str(found) == f"torch {torch.__version__}, {machine_name('cpu')}, 2 threads, batch 4"
    assert machine_name("cpu")


@pytest.mark.parametrize(("name", "option"), [("num_threads", "--threads"), ("batch_size", "--batch")])
def test_no_threads_or_images_are_refused(name, option):
    with pytest.raises(UsageError, match=f"{option} must be at least 1, got 0"):
        LatencyTarget(**{name: 0})


def test_a_runtime_that_is_missing_names_the_extra(monkeypatch):
    monkeypatch.setattr(target.importlib.util, "find_spec", lambda name: None)
    assert not has_onnxruntime()
    assert runtimes_for("cpu") == ["torch"]
    with pytest.raises(UsageError, match=r"needs onnxruntime: pip install 'effsearch\[onnx\]'"):
        require_target(LatencyTarget(runtime="onnxruntime"))


def test_a_gpu_that_is_missing_is_refused_in_a_line(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError, match="torch finds no GPU here: take --device cpu"):
        require_target(LatencyTarget(device="cuda"))
    monkeypatch.setattr(target, "has_onnxruntime", lambda: True)
    monkeypatch.setitem(
        sys.modules, "onnxruntime", SimpleNamespace(get_available_providers=lambda: ["CPUExecutionProvider"])
    )
    assert runtimes_for("cuda") == ["torch"]
    assert runtimes_for("cpu") == ["torch", "onnxruntime"]
    with pytest.raises(UsageError, match="this onnxruntime has no CUDA"):
        require_target(LatencyTarget(runtime="onnxruntime", device="cuda"))


def test_a_gpu_is_timed_by_its_events_and_waited_for(monkeypatch):
    calls = []

    class Event:
        def __init__(self, *, enable_timing):
            assert enable_timing

        def record(self):
            calls.append("record")

        def elapsed_time(self, other):
            return 2.5  # milliseconds

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: calls.append("wait"))
    run = passes._cuda_pass(torch.nn.Identity(), torch.zeros(1))
    assert run() == 0.0025
    assert calls == ["wait", "record", "record", "wait"]
