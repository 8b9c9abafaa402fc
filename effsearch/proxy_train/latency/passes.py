"""How is a row of blocks run once, and timed?

Networks run as they are deployed: in evaluation mode, in float32, norms folded into the convolutions before them.
"""

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from effsearch.proxy_train.build import Block, initialise
from effsearch.proxy_train.latency.onnx_graph import INPUT, make_graph
from effsearch.proxy_train.latency.target import CUDA_PROVIDER, LatencyTarget
from effsearch.space.layer import Layer

Pass = Callable[[], float]  # runs once, gives the seconds that it took


def make_pass(blocks: Sequence[Sequence[Layer]], target: LatencyTarget) -> Pass:
    """Give what runs some blocks in a row once, on noise, and tells the seconds.

    One thread of the CPU is timed by its own clock, which stands still while other programs have the processor; more
    threads by the wall's, a GPU by its events.

    Args:
        blocks: Layers of each, as `space.latency_table.network_blocks` gives them.
        target: What it runs with. Its device has to be there.
    """
    module = deployed(blocks)
    first = blocks[0][0]
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(
        target.batch_size, first.in_channels, first.in_size, first.in_size, generator=generator
    )
    if target.runtime == "onnxruntime":
        return _onnx_pass(blocks, module, images.numpy(), target)
    return _torch_pass(module, images, target)


def deployed(blocks: Sequence[Sequence[Layer]]) -> nn.Sequential:
    """Give blocks in a row with fresh weights, in evaluation mode, norms folded."""
    with torch.device("meta"):
        modules = [Block(tuple(block), momentum=0.1, epsilon=1e-3) for block in blocks]
    row = nn.Sequential(*modules).to_empty(device="cpu")
    initialise(row, seed=0)
    row.eval()
    for block in modules:
        for layer in block.layers:
            if layer.has_norm:
                conv, norm = (block.get_submodule(name) for name in (layer.name, f"{layer.name}_norm"))
                assert isinstance(conv, nn.Conv2d)
                assert isinstance(norm, nn.BatchNorm2d)
                setattr(block, layer.name, torch.nn.utils.fusion.fuse_conv_bn_eval(conv, norm))
                setattr(block, f"{layer.name}_norm", nn.Identity())
    return row


@contextlib.contextmanager
def threads_of(target: LatencyTarget) -> Iterator[None]:
    """Let torch have as many threads as a target says, meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(target.num_threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def clock_of(target: LatencyTarget) -> Callable[[], float]:
    """Give the clock, in seconds, that passes on the CPU are timed by."""
    return time.thread_time if target.num_threads == 1 else time.perf_counter


def _torch_pass(module: nn.Module, images: torch.Tensor, target: LatencyTarget) -> Pass:
    module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    module = module.to(target.device)
    images = images.to(target.device, memory_format=torch.channels_last)
    if target.device == "cuda":
        return _cuda_pass(module, images)
    clock = clock_of(target)

    def run() -> float:
        with torch.inference_mode():
            started = clock()
            module(images)
            return clock() - started

    return run


def _cuda_pass(module: nn.Module, images: torch.Tensor) -> Pass:
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]

    def run() -> float:
        with torch.inference_mode():
            torch.cuda.synchronize()
            begin.record()
            module(images)
            end.record()
            torch.cuda.synchronize()
        return float(begin.elapsed_time(end)) / 1000

    return run


def weights_of(module: nn.Module) -> dict[str, NDArray[np.float32]]:
    """Give the weights that `make_graph` wants, a bias for each of them."""
    weights = {name: value.detach().numpy() for name, value in module.named_parameters()}
    for name in [name for name in weights if name.endswith(".weight")]:
        weights.setdefault(f"{name.removesuffix('weight')}bias", np.zeros(len(weights[name]), np.float32))
    return weights


def _onnx_pass(
    blocks: Sequence[Sequence[Layer]],
    module: nn.Sequential,
    images: NDArray[np.float32],
    target: LatencyTarget,
) -> Pass:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = target.num_threads, 1
    options.log_severity_level = 3  # errors
    is_gpu = target.device == "cuda"
    session = onnxruntime.InferenceSession(
        make_graph(blocks, weights_of(module)).SerializeToString(),
        options,
        providers=[CUDA_PROVIDER] if is_gpu else ["CPUExecutionProvider"],
    )
    given = {INPUT: np.ascontiguousarray(images)}
    # A session on a GPU returns when the result is back: with its copies that is what a caller waits for.
    clock = time.perf_counter if is_gpu else clock_of(target)

    def run() -> float:
        started = clock()
        session.run(None, given)
        return clock() - started

    return run
