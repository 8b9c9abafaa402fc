"""How are a batch norm, its activation and the sum with a shortcut one operator, forward and backward?

Only the raw map is kept for the backward pass; the activated one is never needed.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from effsearch.proxy_train.kernels.lanes import FLOAT_BYTES
from effsearch.proxy_train.kernels.norm_kernels import (
    norm_activate_kernel,
    norm_gradient_kernel,
    sum_gradients_kernel,
    sum_map_kernel,
)
from effsearch.proxy_train.kernels.norm_table import TABLE_ROWS, fill_table, finish_gradients, new_sums


@dataclass(frozen=True, slots=True)
class NormStep:
    """A batch norm and the code of the activation after it."""

    norm: nn.BatchNorm2d
    code: int


def norm_activate(x: Tensor, step: NormStep, shortcut: Tensor | None = None) -> Tensor:
    """Give activation(norm(x)) + shortcut, with the batch's own statistics.

    Both are (batch, channels, height, width), with at least LANES channels. The result is float32, and so is the
    shortcut; x may be bfloat16.
    """
    given: Tensor = _NormActivate.apply(step, x, step.norm.weight, step.norm.bias, shortcut)  # type: ignore[no-untyped-call]  # torch has not typed it
    return given


def packed(x: Tensor) -> Tensor:
    """Give a map pixel by pixel, as the kernels read it."""
    return x.contiguous(memory_format=torch.channels_last)


def address(x: Tensor | None) -> int:
    """Give where a tensor lies, or 0 for none."""
    return 0 if x is None else x.data_ptr()


def batch_table(x: Tensor, step: NormStep, weight: Tensor, bias: Tensor) -> Tensor:
    """Give a norm's table for the statistics of a packed map, and move its running statistics on."""
    channels = x.shape[1]
    pixels = x.numel() // channels
    about = x[0, :, 0, 0].float().contiguous()
    sums = new_sums(channels)
    sum_map_kernel(x.element_size())(x.data_ptr(), about.data_ptr(), sums.data_ptr(), pixels, channels)
    table = torch.empty(TABLE_ROWS, channels)
    fill_table(table, sums, about, count=pixels, weight=weight, bias=bias, norm=step.norm)
    return table


class _NormActivate(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, step: NormStep, x: Tensor, weight: Tensor, bias: Tensor, shortcut: Tensor | None
    ) -> Tensor:
        x = packed(x)
        if shortcut is not None:
            shortcut = packed(shortcut)
        table = batch_table(x, step, weight, bias)
        y = torch.empty_like(x, dtype=torch.float32)
        channels = x.shape[1]
        norm_activate_kernel(x.element_size(), FLOAT_BYTES)(
            x.data_ptr(),
            table.data_ptr(),
            step.code,
            address(shortcut),
            y.data_ptr(),
            x.numel() // channels,
            channels,
        )
        ctx.save_for_backward(x)
        ctx.table, ctx.code = table, step.code
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        dy = packed(dy)
        channels = x.shape[1]
        pixels = x.numel() // channels
        sums = new_sums(channels)
        table = ctx.table
        sum_gradients_kernel(x.element_size(), FLOAT_BYTES)(
            x.data_ptr(),
            table.data_ptr(),
            ctx.code,
            dy.data_ptr(),
            sums.data_ptr(),
            pixels,
            channels,
        )
        dweight, dbias = finish_gradients(table, sums, count=pixels)
        dx = torch.empty_like(x)
        norm_gradient_kernel(x.element_size(), dx.element_size())(
            x.data_ptr(), table.data_ptr(), ctx.code, dy.data_ptr(), dx.data_ptr(), pixels, channels
        )
        return None, dx, dweight, dbias, dy if ctx.needs_input_grad[4] else None
