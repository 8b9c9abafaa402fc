"""Do blocks run on the kernels in this process?

Not before `turn_on`: it needs numba, and a self-test that the kernels pass. Without either everything runs on
torch's own operators, somewhat slower, and scores differ in the last digits. Pointwise convolutions are computed in
bfloat16 only inside `narrow_products`, which needs a processor that does so, and another self-test: scores then
differ in more than that.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor, nn

_runner: Callable[..., Tensor] | None = None  # run_block once turned on; numba takes long to load
_was_told = False
_has_narrow_products = False


def turn_on() -> bool:
    """Let blocks in training run on the kernels from now on, if this machine can.

    Returns:
        Whether it can; the reason why not is logged once.
    """
    global _runner, _was_told
    if _runner is not None:
        return True
    try:
        from effsearch.proxy_train.kernels.run_block import run_block
        from effsearch.proxy_train.kernels.self_test import find_fault

        fault = find_fault()
    except Exception as error:  # whatever numba, LLVM or a disk cannot do, torch can do without
        fault = f"{type(error).__name__}: {error}"
    if fault is None:
        _runner = run_block
        return True
    if not _was_told:
        logging.getLogger(__name__).warning("training on torch's operators, which is slower: %s", fault)
        _was_told = True
    return False


def is_on() -> bool:
    """Tell whether blocks that train on this process's CPU run on the kernels, as far as these go."""
    return _runner is not None and torch.get_num_threads() == 1


def can_narrow() -> bool:
    """Tell whether the kernels are on and may compute products in bfloat16; the reason why not is logged once."""
    return is_on() and _is_narrow_sound()


@cache
def _is_narrow_sound() -> bool:
    try:
        from effsearch.proxy_train.kernels.self_test import find_narrow_fault

        with torch.inference_mode(False):
            fault = find_narrow_fault()
    except Exception as error:  # as in `turn_on`
        fault = f"{type(error).__name__}: {error}"
    if fault is not None:
        logging.getLogger(__name__).warning("training in float32, not in bfloat16: %s", fault)
    return fault is None


def runner_for(block: nn.Module, x: Tensor) -> Callable[[Any, Tensor], Tensor] | None:
    """Give what runs a block in training, or None where torch does: the kernels are for one thread and float32.

    A hook on one of its modules wants that module called, which the kernels would not do; and a norm that is left in
    use while its block trains is not to see the batch's statistics.
    """
    if (
        _runner is None
        or type(x) is not Tensor
        or x.device.type != "cpu"
        or x.dtype != torch.float32
        or len(x) < 2  # a norm of one pixel is torch's to refuse
        or torch.get_num_threads() > 1
        or torch.is_autocast_enabled("cpu")
        or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]  # torch's stub lacks it
        or torch.compiler.is_compiling()
        or any(_needs_torch(module) for module in block.children())
    ):
        return None
    return partial(_runner, has_narrow_products=True) if _has_narrow_products else _runner


def _needs_torch(module: nn.Module) -> bool:
    return bool(
        not module.training
        or module._forward_hooks
        or module._forward_pre_hooks
        or module._backward_hooks
        or module._backward_pre_hooks
    )


@contextmanager
def narrow_products() -> Iterator[None]:
    """Compute pointwise convolutions of blocks on the kernels in bfloat16 for a while, if this machine can.

    What is computed inside is differentiated in the same way, wherever that happens.
    """
    global _has_narrow_products
    before, _has_narrow_products = _has_narrow_products, can_narrow()
    try:
        yield
    finally:
        _has_narrow_products = before


@contextmanager
def turned_on() -> Iterator[None]:
    """Run blocks as a worker does for a while: on the kernels, if this machine can."""
    global _runner
    before = _runner
    turn_on()
    try:
        yield
    finally:
        _runner = before


@contextmanager
def turned_off() -> Iterator[None]:
    """Run blocks on torch's operators for a while."""
    global _runner
    before, _runner = _runner, None
    try:
        yield
    finally:
        _runner = before
