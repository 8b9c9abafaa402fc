"""What are the loops of a depthwise convolution with the norms and activations around it?

Image by image and block of channels by block, the map is laid into a small bordered buffer, and on the way there
normalised and activated: the activated map is never written out. Arguments as in `norm_kernels`.
"""

from functools import cache
from typing import Any

from numba import float32

from effsearch.proxy_train.kernels.activations import activate, activation_gradient
from effsearch.proxy_train.kernels.compiling import inlined, kernel
from effsearch.proxy_train.kernels.lanes import (
    FLOAT_BYTES,
    LANE_BYTES,
    Value,
    add,
    fma,
    load,
    load_as,
    splat,
    store,
    sub,
)
from effsearch.proxy_train.kernels.norm_kernels import add_sums, block_start, load_or, num_blocks
from effsearch.proxy_train.kernels.taps import convolve, sum_weights


@kernel()
def to_blocks(rows: int, blocks: int, num_rows: int, channels: int) -> None:
    """Lay (num_rows, channels) out block of channels by block: (blocks, num_rows, LANES)."""
    for block in range(num_blocks(channels)):
        start = block_start(block, channels)
        for row in range(num_rows):
            value = load(rows + row * channels * FLOAT_BYTES + start)
            store(blocks + (block * num_rows + row) * LANE_BYTES, value)


@kernel()
def from_blocks(blocks: int, rows: int, num_rows: int, channels: int) -> None:
    """Undo `to_blocks`."""
    for block in range(num_blocks(channels)):
        start = block_start(block, channels)
        for row in range(num_rows):
            value = load(blocks + (block * num_rows + row) * LANE_BYTES)
            store(rows + row * channels * FLOAT_BYTES + start, value)


@inlined
def _fill(
    x_bytes: int,
    x: int,
    offset: int,
    source_pixel: int,
    table: int,
    code: int,
    start: int,
    target: int,
    target_row: int,
    target_column: int,
    rows: int,
    columns: int,
) -> None:
    if table == 0:
        for row in range(rows):
            for column in range(columns):
                value = load_as(x_bytes, x, offset + (row * columns + column) * source_pixel)
                store(target + row * target_row + column * target_column, value)
    else:
        scale = load(table + start)
        shift = load(table + source_pixel + start)
        for row in range(rows):
            for column in range(columns):
                value = load_as(x_bytes, x, offset + (row * columns + column) * source_pixel)
                z = fma(value, scale, shift)
                store(target + row * target_row + column * target_column, activate(z, code))


@inlined
def _fill_gradient(
    dz_bytes: int,
    y: int,
    offset: int,
    pixel: int,
    table: int,
    code: int,
    start: int,
    factor: Value,
    extra: Value,
    dz: int,
    target: int,
    target_row: int,
    target_column: int,
    rows: int,
    columns: int,
) -> None:
    scale = load(table + start)
    shift = load(table + pixel + start)
    mean = load(table + 2 * pixel + start)
    b = load(table + 4 * pixel + start)
    c = load(table + 5 * pixel + start)
    for row in range(rows):
        for column in range(columns):
            at = offset + (row * columns + column) * pixel
            value = load(y + at)
            given = fma(load_as(dz_bytes, dz, at), factor, extra)
            given = activation_gradient(fma(value, scale, shift), given, code)
            gradient = fma(scale, given, fma(b, sub(value, mean), c))
            store(target + row * target_row + column * target_column, gradient)


@cache
def forward_kernel(kernel_size: int, stride: int, x_bytes: int = FLOAT_BYTES) -> Any:
    """Give the kernel that puts the convolution of activation(norm(x)) at y, and sums y as `sum_map` does.

    Its `about` is filled with y's first pixel.
    """
    border = kernel_size // 2
    taps = kernel_size * kernel_size

    @kernel(kind=f"{kernel_size}_{stride}_{x_bytes}")
    def forward(
        x: int,
        table: int,
        code: int,
        weights: int,
        y: int,
        about: int,
        sums: int,
        buffer: int,
        batch: int,
        height: int,
        width: int,
        channels: int,
    ) -> None:
        out_height = (height - 1) // stride + 1
        out_width = (width - 1) // stride + 1
        pixel = channels * FLOAT_BYTES
        buffer_row = (width + 2 * border) * LANE_BYTES
        inner = buffer + border * (buffer_row + LANE_BYTES)
        for image in range(batch):
            for block in range(num_blocks(channels)):
                start = block_start(block, channels)
                source = image * height * width * pixel + start
                target = y + image * out_height * out_width * pixel + start
                _fill(
                    x_bytes,
                    x,
                    source,
                    pixel,
                    table,
                    code,
                    start,
                    inner,
                    buffer_row,
                    LANE_BYTES,
                    height,
                    width,
                )
                convolve(
                    kernel_size,
                    stride,
                    buffer,
                    weights + block * taps * LANE_BYTES,
                    target,
                    out_height,
                    out_width,
                    buffer_row,
                    out_width * pixel,
                    pixel,
                )
                if image == 0:
                    store(about + start, load(target))
                centre = load(about + start)
                total = splat(float32(0.0))
                squares = splat(float32(0.0))
                for at in range(out_height * out_width):
                    value = sub(load(target + at * pixel), centre)
                    total = add(total, value)
                    squares = fma(value, value, squares)
                add_sums(sums, block, total, squares)

    return forward


@cache
def backward_kernel(
    kernel_size: int, stride: int, x_bytes: int = FLOAT_BYTES, dy_bytes: int = FLOAT_BYTES
) -> Any:
    """Give the kernel of the gradients by x's norm and by the weights.

    From the gradient by activation(norm(y)) * gate, whose pooled sums' gradient is `pooled`, it makes the one by y;
    from that the weights', and with the weights turned round the one by activation(norm(x)), hence dz, which is
    put at dx and summed as in `sum_gradients`. Where x has no norm (table 0), dx is the gradient by x.
    """
    border = kernel_size // 2
    taps = kernel_size * kernel_size

    @kernel(kind=f"{kernel_size}_{stride}_{x_bytes}_{dy_bytes}")
    def backward(
        x: int,
        table: int,
        code: int,
        weights: int,
        y: int,
        y_table: int,
        y_code: int,
        gate: int,
        pooled: int,
        dy: int,
        dx: int,
        dweights: int,
        sums: int,
        buffer: int,
        dy_buffer: int,
        dx_buffer: int,
        batch: int,
        height: int,
        width: int,
        channels: int,
    ) -> None:
        out_height = (height - 1) // stride + 1
        out_width = (width - 1) // stride + 1
        pixel = channels * FLOAT_BYTES
        buffer_row = (width + 2 * border) * LANE_BYTES
        inner = border * (buffer_row + LANE_BYTES)
        for image in range(batch):
            for block in range(num_blocks(channels)):
                start = block_start(block, channels)
                source = image * height * width * pixel + start
                target = dx + source
                from_y = image * out_height * out_width * pixel + start
                _fill(
                    x_bytes,
                    x,
                    source,
                    pixel,
                    table,
                    code,
                    start,
                    buffer + inner,
                    buffer_row,
                    LANE_BYTES,
                    height,
                    width,
                )
                _fill_gradient(
                    dy_bytes,
                    y,
                    from_y,
                    pixel,
                    y_table,
                    y_code,
                    start,
                    load_or(gate, image * pixel + start, 1.0),
                    load_or(pooled, image * pixel + start, 0.0),
                    dy,
                    dy_buffer + inner,
                    stride * buffer_row,
                    stride * LANE_BYTES,
                    out_height,
                    out_width,
                )
                own_weights = block * taps * LANE_BYTES
                sum_weights(
                    kernel_size,
                    stride,
                    buffer,
                    dy_buffer,
                    dweights + own_weights,
                    out_height,
                    out_width,
                    buffer_row,
                )
                if table == 0:
                    convolve(
                        kernel_size,
                        1,
                        dy_buffer,
                        weights + own_weights,
                        target,
                        height,
                        width,
                        buffer_row,
                        width * pixel,
                        pixel,
                    )
                    continue
                convolve(
                    kernel_size,
                    1,
                    dy_buffer,
                    weights + own_weights,
                    dx_buffer,
                    height,
                    width,
                    buffer_row,
                    width * LANE_BYTES,
                    LANE_BYTES,
                )
                scale = load(table + start)
                shift = load(table + pixel + start)
                mean = load(table + 2 * pixel + start)
                total = splat(float32(0.0))
                products = splat(float32(0.0))
                for at in range(height * width):
                    value = load_as(x_bytes, x, source + at * pixel)
                    given = load(dx_buffer + at * LANE_BYTES)
                    dz = activation_gradient(fma(value, scale, shift), given, code)
                    store(target + at * pixel, dz)
                    total = add(total, dz)
                    products = fma(dz, sub(value, mean), products)
                add_sums(sums, block, total, products)

    return backward
