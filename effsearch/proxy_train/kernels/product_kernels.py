"""How is the gradient of a pointwise convolution's weights summed?

It is the product of two tall matrices, one transposed: sums[i, j] = sum over pixels of a[pixel, i] * b[pixel, j].
Both are laid into panels some pixels at a time, and a tile of sums stays in registers while a panel's pixels pass.
"""

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils

from effsearch.proxy_train.kernels.compiling import intrinsic, kernel
from effsearch.proxy_train.kernels.lanes import (
    FLOAT_BYTES,
    FLOATS,
    LANE_BYTES,
    LANES,
    Builder,
    Value,
    constant,
    emit_fma,
    emit_load,
    emit_size,
    emit_splat,
    emit_store,
    load,
    store,
)

TILE_ROWS = 8 if LANES == 16 else 4  # of the sums: channels of a
TILE_VECTORS = 3  # channels of b; rows times vectors fill three quarters of the registers
TILE_COLUMNS = TILE_VECTORS * LANES
PANEL_PIXELS = 256
_TILE_BYTES = TILE_ROWS * TILE_COLUMNS * FLOAT_BYTES


@intrinsic
def _add_tile(typing_context: Any, a: Any, b: Any, sums: Any, pixels: Any) -> Any:
    """Add the products of two panels' pixels to a tile."""

    def emit(_: Any, builder: Builder, __: Any, args: Any) -> Value:
        a, b, sums, pixels = args
        slots = []
        for _index in range(TILE_ROWS * TILE_VECTORS):
            slot = cgutils.alloca_once(builder, FLOATS)
            builder.store(constant(0.0), slot)
            slots.append(slot)

        with cgutils.for_range(builder, pixels) as pixel:
            of_a = builder.add(a, builder.mul(pixel.index, emit_size(TILE_ROWS * FLOAT_BYTES)))
            of_b = builder.add(b, builder.mul(pixel.index, emit_size(TILE_COLUMNS * FLOAT_BYTES)))
            columns = [
                emit_load(builder, builder.add(of_b, emit_size(column * LANE_BYTES)))
                for column in range(TILE_VECTORS)
            ]
            for row in range(TILE_ROWS):
                at = builder.add(of_a, emit_size(row * FLOAT_BYTES))
                scalar = builder.load(builder.inttoptr(at, ir.FloatType().as_pointer()), align=FLOAT_BYTES)
                factor = emit_splat(builder, scalar)
                for column, values in enumerate(columns):
                    slot = slots[row * TILE_VECTORS + column]
                    builder.store(emit_fma(builder, values, factor, builder.load(slot)), slot)
        for index, slot in enumerate(slots):
            at = builder.add(sums, emit_size(index * LANE_BYTES))
            emit_store(builder, at, builder.fadd(emit_load(builder, at), builder.load(slot)))
        return cgutils.get_null_value(ir.IntType(32))

    return types.int32(types.int64, types.int64, types.int64, types.int64), emit


@intrinsic
def _copy_row(typing_context: Any, source: Any, target: Any) -> Any:
    """Copy TILE_ROWS floats."""

    def emit(_: Any, builder: Builder, __: Any, args: Any) -> Value:
        kind = ir.VectorType(ir.FloatType(), TILE_ROWS).as_pointer()
        value = builder.load(builder.inttoptr(args[0], kind), align=FLOAT_BYTES)
        builder.store(value, builder.inttoptr(args[1], kind), align=FLOAT_BYTES)
        return cgutils.get_null_value(ir.IntType(32))

    return types.int32(types.int64, types.int64), emit


@kernel()
def sum_products(
    a: int,
    b: int,
    tiles: int,
    sums: int,
    a_panel: int,
    b_panel: int,
    pixels: int,
    a_channels: int,
    b_channels: int,
) -> None:
    """Put the sums, (a_channels, b_channels), at `sums`.

    Every argument is an int64: addresses, then sizes. `tiles` is room of zeros for ceil(a_channels / TILE_ROWS) *
    ceil(b_channels / TILE_COLUMNS) tiles; the panels' room is PANEL_PIXELS for each of a's tiles, and for one of b's.
    """
    num_rows = (a_channels + TILE_ROWS - 1) // TILE_ROWS
    num_columns = (b_channels + TILE_COLUMNS - 1) // TILE_COLUMNS
    a_pixel = a_channels * FLOAT_BYTES
    b_pixel = b_channels * FLOAT_BYTES
    a_panel_bytes = PANEL_PIXELS * TILE_ROWS * FLOAT_BYTES
    for first in range(0, pixels, PANEL_PIXELS):
        count = min(PANEL_PIXELS, pixels - first)
        for row in range(num_rows):
            source = a + first * a_pixel + min(row * TILE_ROWS, a_channels - TILE_ROWS) * FLOAT_BYTES
            for pixel in range(count):
                to = a_panel + row * a_panel_bytes + pixel * TILE_ROWS * FLOAT_BYTES
                _copy_row(source + pixel * a_pixel, to)
        for column in range(num_columns):
            source = b + first * b_pixel + min(column * TILE_COLUMNS, b_channels - TILE_COLUMNS) * FLOAT_BYTES
            for pixel in range(count):
                to = b_panel + pixel * TILE_COLUMNS * FLOAT_BYTES
                for vector in range(TILE_VECTORS):
                    store(to + vector * LANE_BYTES, load(source + pixel * b_pixel + vector * LANE_BYTES))
            for row in range(num_rows):
                tile = tiles + (column * num_rows + row) * _TILE_BYTES
                _add_tile(a_panel + row * a_panel_bytes, b_panel, tile, count)
    for column in range(num_columns):
        start = min(column * TILE_COLUMNS, b_channels - TILE_COLUMNS) * FLOAT_BYTES
        for row in range(num_rows):
            tile = tiles + (column * num_rows + row) * _TILE_BYTES
            for inner in range(TILE_ROWS):
                to = sums + (min(row * TILE_ROWS, a_channels - TILE_ROWS) + inner) * b_pixel + start
                for vector in range(TILE_VECTORS):
                    store(to + vector * LANE_BYTES, load(tile + (inner * TILE_VECTORS + vector) * LANE_BYTES))
