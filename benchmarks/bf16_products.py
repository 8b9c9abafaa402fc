"""What if the pointwise convolutions were computed in bfloat16, and everything else in float32 on the kernels?

Maps stay float32 between operators: they are rounded before a convolution and widened after it.
"""

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from matrix_limit import products, rate_of
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from effsearch.proxy_train.kernels import run_block
from effsearch.proxy_train.kernels.switch import is_on


@contextlib.contextmanager
def bf16_pointwise() -> Iterator[None]:
    """Let blocks that run on the kernels compute their pointwise convolutions in bfloat16 for a while.

    Raises:
        SystemExit: The kernels are off, so that everything would go on in float32.
    """
    if not is_on():
        raise SystemExit("pointwise convolutions in bfloat16 need the kernels, which are off in this process")

    def pointwise(x: Tensor, weight: Tensor) -> Tensor:
        given: Tensor = _Pointwise.apply(x, weight)  # type: ignore[no-untyped-call]  # torch's
        return given

    with mock.patch.object(run_block, "pointwise", pointwise):
        yield


def has_bf16() -> bool:
    """Tell whether this processor multiplies in bfloat16."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def rates_by_type(*, seconds: float = 1.0) -> dict[str, dict[str, float]]:
    """Give the multiply-adds per second of each product on one thread, in float32 and where it can in bfloat16."""
    torch.set_num_threads(1)
    dtypes = (torch.float32, torch.bfloat16) if has_bf16() else (torch.float32,)
    return {
        str(dtype).removeprefix("torch."): {
            name: round(rate_of(multiply, seconds)) for name, multiply in products(dtype).items()
        }
        for dtype in dtypes
    }


class _Pointwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        narrow_x = x.contiguous(memory_format=torch.channels_last).bfloat16()
        narrow_weight = weight.bfloat16()
        ctx.save_for_backward(narrow_x, narrow_weight)
        return functional.conv2d(narrow_x, narrow_weight).float()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        narrow_dy = dy.contiguous(memory_format=torch.channels_last).bfloat16()
        dx, dweight, _ = torch.ops.aten.convolution_backward(
            narrow_dy,
            x,
            weight,
            None,
            [1, 1],
            [0, 0],
            [1, 1],
            False,
            [0, 0],
            1,
            [*ctx.needs_input_grad, False],
        )
        return None if dx is None else dx.float(), None if dweight is None else dweight.float()
