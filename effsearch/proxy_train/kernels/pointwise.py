"""How is a pointwise convolution made one operator, with its weights' gradient by our own kernel?

Forward, and back to its input, torch's convolution is near what the processor can do; in its weights' gradient it is
not. Where the processor multiplies bfloat16, torch's matrix products of them are near that in all three, at twice the
rate; sums are float32 inside, and the processor rounds them to bfloat16 at the end.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from effsearch.proxy_train.kernels.product_kernels import (
    PANEL_PIXELS,
    TILE_COLUMNS,
    TILE_ROWS,
    sum_products,
)


def pointwise(x: Tensor, weight: Tensor) -> Tensor:
    """Give the convolution of x (batch, in_channels, height, width) with weights (out, in_channels, 1, 1)."""
    given: Tensor = _Pointwise.apply(x, weight)  # type: ignore[no-untyped-call]  # torch has not typed it
    return given


def narrow_pointwise(x: Tensor, weight: Tensor) -> Tensor:
    """Give the same in bfloat16, of a float32 map or one in bfloat16, and float32 weights.

    Gradients are of the types of what they are by; between, all three products round to bfloat16.
    """
    given: Tensor = _NarrowPointwise.apply(x, weight)  # type: ignore[no-untyped-call]  # torch has not typed it
    return given


def has_fast_bfloat16() -> bool:
    """Tell whether this processor has instructions for bfloat16; others convert, and are slower than in float32."""
    capabilities = torch.cpu.get_capabilities()
    return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))


def can_sum(in_channels: int, out_channels: int) -> bool:
    """Tell whether the kernel takes these channels: the fewer fill a tile's rows, the others its columns."""
    few, many = sorted((in_channels, out_channels))
    return few >= TILE_ROWS and many >= TILE_COLUMNS


def sum_weights(x: Tensor, dy: Tensor) -> Tensor:
    """Give the gradient (out_channels, in_channels, 1, 1) by the weights; both maps lie channels-last."""
    few, many = (dy, x) if dy.shape[1] <= x.shape[1] else (x, dy)
    num_few, num_many = few.shape[1], many.shape[1]
    num_rows, num_columns = -(-num_few // TILE_ROWS), -(-num_many // TILE_COLUMNS)
    tiles = torch.zeros(num_rows * num_columns * TILE_ROWS * TILE_COLUMNS)
    few_panel = torch.empty(num_rows * TILE_ROWS * PANEL_PIXELS)
    many_panel = torch.empty(TILE_COLUMNS * PANEL_PIXELS)
    sums = torch.empty(num_few, num_many)
    sum_products(
        few.data_ptr(),
        many.data_ptr(),
        tiles.data_ptr(),
        sums.data_ptr(),
        few_panel.data_ptr(),
        many_panel.data_ptr(),
        x.numel() // x.shape[1],
        num_few,
        num_many,
    )
    return (sums if few is dy else sums.t().contiguous())[:, :, None, None]


class _Pointwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        ctx.save_for_backward(x, weight)
        return functional.conv2d(x, weight)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        dy = dy.contiguous(memory_format=torch.channels_last)
        dx = dweight = None
        if ctx.needs_input_grad[0]:
            dx, _, _ = torch.ops.aten.convolution_backward(
                dy, x, weight, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1, [True, False, False]
            )
        if ctx.needs_input_grad[1]:
            dweight = sum_weights(x, dy)
        return dx, dweight


class _NarrowPointwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        narrow_x, narrow_weight = x.bfloat16(), weight[:, :, 0, 0].bfloat16()
        ctx.save_for_backward(narrow_x, narrow_weight)
        ctx.kinds = x.dtype, weight.dtype
        return _as_map(_as_matrix(narrow_x) @ narrow_weight.t(), like=x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight = ctx.kinds
        dy_matrix = _as_matrix(dy)
        dx = dweight = None
        if ctx.needs_input_grad[0]:
            dx = _as_map(dy_matrix @ weight, like=x).to(of_x)
        if ctx.needs_input_grad[1]:
            dweight = (dy_matrix.t() @ _as_matrix(x))[:, :, None, None].to(of_weight)
        return dx, dweight


def _as_matrix(x: Tensor) -> Tensor:
    """Give a map as (pixels, channels); it is copied only if it does not lie channels-last."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


def _as_map(matrix: Tensor, like: Tensor) -> Tensor:
    batch, _, height, width = like.shape
    return matrix.view(batch, height, width, -1).permute(0, 3, 1, 2)
