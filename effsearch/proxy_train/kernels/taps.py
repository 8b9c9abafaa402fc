"""What are the inner loops of a depthwise convolution, for one block of channels?

The map lies in a small buffer with its border of zeros, one vector a pixel; so no loop asks where an edge is. Sums
stay in registers: of a convolution those of eight pixels, of its weights' gradient one for each weight.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from effsearch.proxy_train.kernels.compiling import literal_intrinsic
from effsearch.proxy_train.kernels.lanes import (
    FLOATS,
    LANE_BYTES,
    LANES,
    Builder,
    Value,
    constant,
    emit_fma,
    emit_load,
    emit_offset,
    emit_size,
    emit_store,
)

TILES = (8, 4, 1)  # pixels of a row that are summed side by side
_MAX_SUMS = 25 if LANES == 16 else 10  # of a weight gradient: registers, less those that hold other things


@literal_intrinsic
def convolve(
    typing_context: Any,
    kernel_size: Any,
    stride: Any,
    source: Any,
    weights: Any,
    target: Any,
    rows: Any,
    columns: Any,
    source_row: Any,
    target_row: Any,
    target_column: Any,
) -> Any:
    """Convolve one block of channels.

    Kernel size and stride are known when a kernel is compiled. Then come the addresses of source (bordered buffer),
    weights (tap by tap) and target; rows and columns of the target; bytes from one row of the source to the next, of
    the target, and from one pixel of the target to the next.
    """
    signature = types.int32(kernel_size, stride, *[types.int64] * 8)
    kernel_size, stride = kernel_size.literal_value, stride.literal_value

    def emit(_: Any, builder: Builder, __: Any, args: Any) -> Value:
        source, weights, target, rows, columns, source_row, target_row, target_column = args[2:]
        with cgutils.for_range(builder, rows) as row:
            from_row = builder.add(source, builder.mul(builder.mul(row.index, source_row), emit_size(stride)))
            to_row = builder.add(target, builder.mul(row.index, target_row))
            start: Value = emit_size(0)
            for tile in TILES:
                left = builder.sub(columns, start)
                num_tiles = builder.udiv(left, emit_size(tile))
                with cgutils.for_range(builder, num_tiles) as step:
                    column = builder.add(start, builder.mul(step.index, emit_size(tile)))
                    origin = builder.add(from_row, builder.mul(column, emit_size(stride * LANE_BYTES)))
                    sums = [constant(0.0)] * tile
                    for tap_row in range(kernel_size):
                        line = emit_offset(builder, origin, source_row, tap_row)
                        for tap in range(kernel_size):
                            at = (tap_row * kernel_size + tap) * LANE_BYTES
                            weight = emit_load(builder, builder.add(weights, emit_size(at)))
                            for pixel in range(tile):
                                x = emit_load(
                                    builder, builder.add(line, emit_size((pixel * stride + tap) * LANE_BYTES))
                                )
                                sums[pixel] = emit_fma(builder, x, weight, sums[pixel])
                    to = builder.add(to_row, builder.mul(column, target_column))
                    for pixel, total in enumerate(sums):
                        emit_store(builder, emit_offset(builder, to, target_column, pixel), total)
                start = builder.add(start, builder.mul(num_tiles, emit_size(tile)))
        return cgutils.get_null_value(ir.IntType(32))

    return signature, emit


@literal_intrinsic
def sum_weights(
    typing_context: Any,
    kernel_size: Any,
    stride: Any,
    source: Any,
    gradient: Any,
    sums_at: Any,
    rows: Any,
    columns: Any,
    buffer_row: Any,
) -> Any:
    """Add one map's share to the gradient of one block's weights.

    Kernel size and stride are known when a kernel is compiled. Then come the addresses of source and of the gradient
    by the target (both bordered buffers of the source's size, the latter's pixels `stride` apart), and of the
    weights' gradient; rows and columns of the target; bytes from one row of the buffers to the next.
    """
    signature = types.int32(kernel_size, stride, *[types.int64] * 6)
    kernel_size, stride = kernel_size.literal_value, stride.literal_value
    rows_at_once = max(1, _MAX_SUMS // kernel_size)
    border = kernel_size // 2

    def emit(_: Any, builder: Builder, __: Any, args: Any) -> Value:
        source, gradient, sums_at, rows, columns, buffer_row = args[2:]
        first = builder.add(
            emit_offset(builder, gradient, buffer_row, border), emit_size(border * LANE_BYTES)
        )
        for tap_start in range(0, kernel_size, rows_at_once):
            tap_rows = range(tap_start, min(kernel_size, tap_start + rows_at_once))
            sums = {}
            for tap_row in tap_rows:
                for tap in range(kernel_size):
                    at = builder.add(sums_at, emit_size((tap_row * kernel_size + tap) * LANE_BYTES))
                    slot = cgutils.alloca_once(builder, FLOATS)
                    builder.store(emit_load(builder, at), slot)
                    sums[tap_row, tap] = (slot, at)
            with cgutils.for_range(builder, rows) as row:
                down = builder.mul(builder.mul(row.index, buffer_row), emit_size(stride))
                with cgutils.for_range(builder, columns) as column:
                    right = builder.mul(column.index, emit_size(stride * LANE_BYTES))
                    place = builder.add(down, right)
                    slope = emit_load(builder, builder.add(first, place))
                    origin = builder.add(source, place)
                    for tap_row in tap_rows:
                        line = emit_offset(builder, origin, buffer_row, tap_row)
                        for tap in range(kernel_size):
                            x = emit_load(builder, builder.add(line, emit_size(tap * LANE_BYTES)))
                            slot, _at = sums[tap_row, tap]
                            builder.store(emit_fma(builder, x, slope, builder.load(slot)), slot)
            for slot, at in sums.values():
                emit_store(builder, at, builder.load(slot))
        return cgutils.get_null_value(ir.IntType(32))

    return signature, emit
