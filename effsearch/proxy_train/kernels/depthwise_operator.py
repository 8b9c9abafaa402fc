"""How are a depthwise convolution and all that is around it one operator, forward and backward?

From the expansion's raw map to what the projection reads: norm, activation, depthwise convolution, norm, activation
and squeeze-excite. Only raw maps are kept for the backward pass; activated ones are made again from them.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from effsearch.proxy_train.kernels.depthwise_kernels import (
    backward_kernel,
    forward_kernel,
    from_blocks,
    to_blocks,
)
from effsearch.proxy_train.kernels.lanes import FLOAT_BYTES, LANES
from effsearch.proxy_train.kernels.norm_kernels import (
    combine_shares,
    norm_activate_kernel,
    norm_gradient_kernel,
    pool_activated,
    scale_map_kernel,
    sum_gated_kernel,
    sum_gradients_kernel,
)
from effsearch.proxy_train.kernels.norm_operator import NormStep, address, batch_table, packed
from effsearch.proxy_train.kernels.norm_table import TABLE_ROWS, fill_table, finish_gradients, new_sums


@dataclass(frozen=True, slots=True)
class Gate:
    """A squeeze-excite: what makes factors (batch, channels, 1, 1) of means of that shape, and its parameters.

    `parameters` are those that want a gradient; what is not among them gets none.
    """

    apply: Callable[[Tensor], Tensor]
    parameters: tuple[Tensor, ...]


def depthwise_chain(
    x: Tensor,
    before: NormStep | None,
    conv: nn.Conv2d,
    after: NormStep,
    gate: Gate | None,
    *,
    result_type: torch.dtype = torch.float32,
) -> Tensor:
    """Give gate(after(conv(before(x)))), with the batch's own statistics.

    Args:
        x: (batch, channels, height, width), at least LANES channels: float32, or a raw map, which may be bfloat16,
            where there is a norm before.
        before: Norm and activation before the convolution, or nothing.
        conv: Depthwise, without bias; its kernel odd, padded by half of it, and its stride the same both ways.
        after: Norm and activation after the convolution.
        gate: Squeeze-excite after that, or nothing.
        result_type: float32, or bfloat16 for what reads it rounded anyway.
    """
    norm_weight, norm_bias = (before.norm.weight, before.norm.bias) if before else (None, None)
    chain = _Chain(
        before, after, conv.kernel_size[0], conv.stride[0], gate, torch.is_grad_enabled(), result_type
    )
    given: Tensor = _DepthwiseChain.apply(  # type: ignore[no-untyped-call]  # torch has not typed it
        chain,
        x,
        norm_weight,
        norm_bias,
        conv.weight,
        after.norm.weight,
        after.norm.bias,
        *(gate.parameters if gate else ()),
    )
    return given


@dataclass(frozen=True, slots=True)
class _Chain:
    before: NormStep | None
    after: NormStep
    kernel_size: int
    stride: int
    gate: Gate | None
    needs_gradient: bool
    result_type: torch.dtype


class _DepthwiseChain(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        chain: _Chain,
        x: Tensor,
        norm_weight: Tensor | None,
        norm_bias: Tensor | None,
        weight: Tensor,
        after_weight: Tensor,
        after_bias: Tensor,
        *gate_parameters: Tensor,
    ) -> Tensor:
        x = packed(x)
        batch, channels, height, width = x.shape
        out_height, out_width = (-(-size // chain.stride) for size in (height, width))
        table = None
        if chain.before is not None:
            assert norm_weight is not None
            assert norm_bias is not None
            table = batch_table(x, chain.before, norm_weight, norm_bias)
        y = torch.empty((batch, channels, out_height, out_width), memory_format=torch.channels_last)
        about, sums = torch.empty(channels), new_sums(channels)
        border = chain.kernel_size // 2
        buffer = torch.zeros((height + 2 * border) * (width + 2 * border) * LANES)
        blocks = _weight_blocks(weight, is_turned=False)
        forward_kernel(chain.kernel_size, chain.stride, x.element_size())(
            x.data_ptr(),
            address(table),
            chain.before.code if chain.before else 0,
            blocks.data_ptr(),
            y.data_ptr(),
            about.data_ptr(),
            sums.data_ptr(),
            buffer.data_ptr(),
            batch,
            height,
            width,
            channels,
        )
        pixels = out_height * out_width
        y_table = torch.empty(TABLE_ROWS, channels)
        fill_table(
            y_table,
            sums,
            about,
            count=batch * pixels,
            weight=after_weight,
            bias=after_bias,
            norm=chain.after.norm,
        )
        code = chain.after.code
        pooled = factors = None
        result = torch.empty_like(y, dtype=chain.result_type if chain.gate is None else torch.float32)
        if chain.gate is None:
            norm_activate_kernel(FLOAT_BYTES, result.element_size())(
                y.data_ptr(), y_table.data_ptr(), code, 0, result.data_ptr(), batch * pixels, channels
            )
        else:
            pooled = torch.empty(batch, channels, 1, 1)
            pool_activated(
                y.data_ptr(),
                y_table.data_ptr(),
                code,
                result.data_ptr(),
                pooled.data_ptr(),
                batch,
                pixels,
                channels,
            )
            pooled /= pixels
            with torch.set_grad_enabled(chain.needs_gradient):
                pooled.requires_grad_(chain.needs_gradient)
                factors = chain.gate.apply(pooled)
            activated = result
            result = _target_like(activated, chain.result_type)
            packed_factors = factors.detach().contiguous()  # by name: an address keeps nothing alive
            scale_map_kernel(result.element_size())(
                activated.data_ptr(),
                packed_factors.data_ptr(),
                result.data_ptr(),
                batch,
                pixels,
                channels,
            )
        ctx.save_for_backward(x, y, weight, *gate_parameters)
        ctx.chain, ctx.table, ctx.y_table = chain, table, y_table
        ctx.pooled, ctx.factors = pooled, factors
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dresult: Tensor) -> tuple[Tensor | None, ...]:
        x, y, weight, *gate_parameters = ctx.saved_tensors
        chain, table, y_table = ctx.chain, ctx.table, ctx.y_table
        dresult = packed(dresult)
        batch, channels, height, width = x.shape
        pixels = y.shape[2] * y.shape[3]
        code = chain.after.code
        factors = dpooled = None
        dgate: tuple[Tensor | None, ...] = ()
        y_sums = new_sums(channels)
        if chain.gate is None:
            sum_gradients_kernel(FLOAT_BYTES, dresult.element_size())(
                y.data_ptr(),
                y_table.data_ptr(),
                code,
                dresult.data_ptr(),
                y_sums.data_ptr(),
                batch * pixels,
                channels,
            )
        else:
            shares = torch.empty(batch, 5, channels)
            sum_gated_kernel(dresult.element_size())(
                y.data_ptr(),
                y_table.data_ptr(),
                code,
                dresult.data_ptr(),
                shares.data_ptr(),
                batch,
                pixels,
                channels,
            )
            dfactors = shares[:, 0, :, None, None].contiguous()
            dpooled, *dgate_list = torch.autograd.grad(ctx.factors, (ctx.pooled, *gate_parameters), dfactors)
            dgate = tuple(dgate_list)
            dpooled = (dpooled / pixels).contiguous()
            factors = ctx.factors.detach().contiguous()
            combine_shares(
                shares.data_ptr(),
                factors.data_ptr(),
                dpooled.data_ptr(),
                y_sums.data_ptr(),
                batch,
                channels,
            )
        after_dweight, after_dbias = finish_gradients(y_table, y_sums, count=batch * pixels)
        border = chain.kernel_size // 2
        buffers = torch.zeros(3, (height + 2 * border) * (width + 2 * border) * LANES)
        taps = chain.kernel_size**2
        blocks = _weight_blocks(weight, is_turned=True)
        dblocks = torch.zeros_like(blocks)
        sums = new_sums(channels)
        dx = torch.empty_like(x, dtype=torch.float32)
        backward_kernel(chain.kernel_size, chain.stride, x.element_size(), dresult.element_size())(
            x.data_ptr(),
            address(table),
            chain.before.code if chain.before else 0,
            blocks.data_ptr(),
            y.data_ptr(),
            y_table.data_ptr(),
            code,
            address(factors),
            address(dpooled),
            dresult.data_ptr(),
            dx.data_ptr(),
            dblocks.data_ptr(),
            sums.data_ptr(),
            buffers[0].data_ptr(),
            buffers[1].data_ptr(),
            buffers[2].data_ptr(),
            batch,
            height,
            width,
            channels,
        )
        dtaps = torch.empty(taps, channels)
        from_blocks(dblocks.data_ptr(), dtaps.data_ptr(), taps, channels)
        dweight = dtaps.t().reshape(weight.shape)
        norm_dweight = norm_dbias = None
        if table is not None:
            norm_dweight, norm_dbias = finish_gradients(table, sums, count=batch * height * width)
            dz, dx = dx, _target_like(dx, x.dtype)
            # dz is past the activation already: code 0.
            norm_gradient_kernel(x.element_size(), dx.element_size())(
                x.data_ptr(),
                table.data_ptr(),
                0,
                dz.data_ptr(),
                dx.data_ptr(),
                batch * height * width,
                channels,
            )
        return None, dx, norm_dweight, norm_dbias, dweight, after_dweight, after_dbias, *dgate


def _target_like(x: Tensor, kind: torch.dtype) -> Tensor:
    """Give where a map that is made from x alone may go: its own place, unless blocks of channels overlap."""
    return x if x.shape[1] % LANES == 0 and x.dtype == kind else torch.empty_like(x, dtype=kind)


def _weight_blocks(weight: Tensor, *, is_turned: bool) -> Tensor:
    """Lay depthwise weights (channels, 1, k, k) out tap by tap for each block; turned by half a circle if asked."""
    channels = len(weight)
    taps = weight.detach().reshape(channels, -1)
    if is_turned:
        taps = taps.flip(1)
    taps = taps.t().contiguous()
    blocks = torch.empty(-(-channels // LANES), len(taps), LANES)
    to_blocks(taps.data_ptr(), blocks.data_ptr(), len(taps), channels)
    return blocks
