"""What are the loops over a map that a batch norm and an activation come to, and how often is the map read?

Every argument is an int64: addresses of maps (batch, pixels, channels), then sizes; 0 is the address of what is not
there. Maps are float32, but for those that a kernel is told the bytes of a value of: two are bfloat16's, four
float32's. A norm's table is float32 (6, channels): scale, shift, mean and 1 / deviation of the forward pass,
z = scale * x + shift; then b and c of the gradient, dx = scale * dz + b * (x - mean) + c.
"""

from functools import cache
from typing import Any

from numba import float32

from effsearch.proxy_train.kernels.activations import activate, activation_gradient
from effsearch.proxy_train.kernels.compiling import inlined, kernel
from effsearch.proxy_train.kernels.lanes import (
    FLOAT_BYTES,
    LANES,
    Value,
    add,
    add_to_doubles,
    fma,
    load,
    load_as,
    mul,
    splat,
    store,
    store_as,
    sub,
)

CHUNK_BYTES = 1 << 18  # of a map, worked on block by block: it has to stay in the second cache
SUM_BYTES = 2 * LANES * 8  # of the two float64 sums that each block of channels has


@inlined
def block_start(block: int, channels: int) -> int:
    """Give the byte in a pixel at which a block of channels starts; the last one overlaps the one before."""
    return min(block * LANES, channels - LANES) * FLOAT_BYTES


@inlined
def num_blocks(channels: int) -> int:
    """Give how many blocks cover the channels."""
    return (channels + LANES - 1) // LANES


@inlined
def add_sums(sums: int, block: int, total: Value, products: Value) -> None:
    """Add to both float64 sums of a block."""
    add_to_doubles(sums + block * SUM_BYTES, total)
    add_to_doubles(sums + block * SUM_BYTES + LANES * 8, products)


@inlined
def load_or(address: int, offset: int, value: float) -> Value:
    """Give what lies at an address, or `value` everywhere where nothing does."""
    if address != 0:
        return load(address + offset)
    return splat(float32(value))


@cache
def sum_map_kernel(x_bytes: int) -> Any:
    """Give the kernel that sums (x - about) and its square over all pixels, for each channel."""

    @kernel(kind=f"{x_bytes}")
    def sum_map(x: int, about: int, sums: int, pixels: int, channels: int) -> None:
        pixel = channels * FLOAT_BYTES
        chunk = max(2, CHUNK_BYTES // pixel)
        for first in range(0, pixels, chunk):
            last = min(pixels, first + chunk)
            for block in range(num_blocks(channels)):
                start = block_start(block, channels)
                centre = load(about + start)
                total = splat(float32(0.0))
                squares = splat(float32(0.0))
                other_total = splat(float32(0.0))
                other_squares = splat(float32(0.0))
                at = first * pixel + start
                for _ in range((last - first) // 2):
                    one = sub(load_as(x_bytes, x, at), centre)
                    other = sub(load_as(x_bytes, x, at + pixel), centre)
                    total = add(total, one)
                    squares = fma(one, one, squares)
                    other_total = add(other_total, other)
                    other_squares = fma(other, other, other_squares)
                    at += 2 * pixel
                if (last - first) % 2:
                    one = sub(load_as(x_bytes, x, at), centre)
                    total = add(total, one)
                    squares = fma(one, one, squares)
                add_sums(sums, block, add(total, other_total), add(squares, other_squares))

    return sum_map


@cache
def norm_activate_kernel(x_bytes: int, y_bytes: int) -> Any:
    """Give the kernel that puts activation(norm(x)) + shortcut at y."""

    @kernel(kind=f"{x_bytes}_{y_bytes}")
    def norm_activate(
        x: int, table: int, code: int, shortcut: int, y: int, pixels: int, channels: int
    ) -> None:
        pixel = channels * FLOAT_BYTES
        chunk = max(1, CHUNK_BYTES // pixel)
        for first in range(0, pixels, chunk):
            last = min(pixels, first + chunk)
            for block in range(num_blocks(channels)):
                start = block_start(block, channels)
                scale = load(table + start)
                shift = load(table + pixel + start)
                for at in range(first, last):
                    value = activate(fma(load_as(x_bytes, x, at * pixel + start), scale, shift), code)
                    if shortcut != 0:
                        value = add(value, load(shortcut + at * pixel + start))
                    store_as(y_bytes, y, at * pixel + start, value)

    return norm_activate


@kernel()
def pool_activated(
    x: int, table: int, code: int, y: int, pooled: int, batch: int, pixels: int, channels: int
) -> None:
    """Put activation(norm(x)) at y, and its sums over each image's pixels at `pooled`, (batch, channels)."""
    pixel = channels * FLOAT_BYTES
    for image in range(batch):
        for block in range(num_blocks(channels)):
            start = block_start(block, channels)
            scale = load(table + start)
            shift = load(table + pixel + start)
            total = splat(float32(0.0))
            for at in range(image * pixels, (image + 1) * pixels):
                value = activate(fma(load(x + at * pixel + start), scale, shift), code)
                store(y + at * pixel + start, value)
                total = add(total, value)
            store(pooled + image * pixel + start, total)


@cache
def scale_map_kernel(y_bytes: int) -> Any:
    """Give the kernel that puts x times its image's and channel's factor at y.

    That may be x itself where blocks of channels do not overlap and values are as long.
    """

    @kernel(kind=f"{y_bytes}")
    def scale_map(x: int, factors: int, y: int, batch: int, pixels: int, channels: int) -> None:
        pixel = channels * FLOAT_BYTES
        for image in range(batch):
            for block in range(num_blocks(channels)):
                start = block_start(block, channels)
                factor = load(factors + image * pixel + start)
                for at in range(image * pixels, (image + 1) * pixels):
                    value = mul(load(x + at * pixel + start), factor)
                    store_as(y_bytes, y, at * pixel + start, value)

    return scale_map


@cache
def sum_gated_kernel(dy_bytes: int) -> Any:
    """Give the kernel that sums what a gated map's gradients consist of, before the gate's own are known.

    Puts (batch, 5, channels) at `shares`: the sums over each image's pixels of activation * dy, slope * dy, slope,
    and the latter two times (x - mean), where the slope is the activation's.
    """

    @kernel(kind=f"{dy_bytes}")
    def sum_gated(
        x: int, table: int, code: int, dy: int, shares: int, batch: int, pixels: int, channels: int
    ) -> None:
        pixel = channels * FLOAT_BYTES
        one = splat(float32(1.0))
        for image in range(batch):
            for block in range(num_blocks(channels)):
                start = block_start(block, channels)
                scale = load(table + start)
                shift = load(table + pixel + start)
                mean = load(table + 2 * pixel + start)
                by_factor = splat(float32(0.0))
                given = splat(float32(0.0))
                slopes = splat(float32(0.0))
                given_products = splat(float32(0.0))
                slope_products = splat(float32(0.0))
                for at in range(image * pixels, (image + 1) * pixels):
                    value = load(x + at * pixel + start)
                    z = fma(value, scale, shift)
                    gradient = load_as(dy_bytes, dy, at * pixel + start)
                    by_factor = fma(activate(z, code), gradient, by_factor)
                    slope = activation_gradient(z, one, code)
                    slopes = add(slopes, slope)
                    slope_products = fma(slope, sub(value, mean), slope_products)
                    slope = mul(slope, gradient)
                    given = add(given, slope)
                    given_products = fma(slope, sub(value, mean), given_products)
                to = shares + image * 5 * pixel + start
                store(to, by_factor)
                store(to + pixel, given)
                store(to + 2 * pixel, slopes)
                store(to + 3 * pixel, given_products)
                store(to + 4 * pixel, slope_products)

    return sum_gated


@kernel()
def combine_shares(shares: int, factors: int, pooled: int, sums: int, batch: int, channels: int) -> None:
    """Put together what `sum_gradients` would sum for a gradient dy * factors + pooled, from `sum_gated`'s shares."""
    pixel = channels * FLOAT_BYTES
    for image in range(batch):
        for block in range(num_blocks(channels)):
            start = block_start(block, channels)
            factor = load(factors + image * pixel + start)
            extra = load(pooled + image * pixel + start)
            of = shares + image * 5 * pixel + start
            total = fma(load(of + pixel), factor, mul(load(of + 2 * pixel), extra))
            products = fma(load(of + 3 * pixel), factor, mul(load(of + 4 * pixel), extra))
            add_sums(sums, block, total, products)


@cache
def sum_gradients_kernel(x_bytes: int, dy_bytes: int) -> Any:
    """Give the kernel that sums dz, the gradient by norm(x), and dz * (x - mean), for each channel."""

    @kernel(kind=f"{x_bytes}_{dy_bytes}")
    def sum_gradients(x: int, table: int, code: int, dy: int, sums: int, pixels: int, channels: int) -> None:
        pixel = channels * FLOAT_BYTES
        chunk = max(1, CHUNK_BYTES // pixel)
        for first in range(0, pixels, chunk):
            last = min(pixels, first + chunk)
            for block in range(num_blocks(channels)):
                start = block_start(block, channels)
                scale = load(table + start)
                shift = load(table + pixel + start)
                mean = load(table + 2 * pixel + start)
                total = splat(float32(0.0))
                products = splat(float32(0.0))
                for at in range(first, last):
                    value = load_as(x_bytes, x, at * pixel + start)
                    dz = activation_gradient(
                        fma(value, scale, shift), load_as(dy_bytes, dy, at * pixel + start), code
                    )
                    total = add(total, dz)
                    products = fma(dz, sub(value, mean), products)
                add_sums(sums, block, total, products)

    return sum_gradients


@cache
def norm_gradient_kernel(x_bytes: int, dx_bytes: int) -> Any:
    """Give the kernel that puts the gradient by x at dx."""

    @kernel(kind=f"{x_bytes}_{dx_bytes}")
    def norm_gradient(x: int, table: int, code: int, dy: int, dx: int, pixels: int, channels: int) -> None:
        pixel = channels * FLOAT_BYTES
        chunk = max(1, CHUNK_BYTES // pixel)
        for first in range(0, pixels, chunk):
            last = min(pixels, first + chunk)
            for block in range(num_blocks(channels)):
                start = block_start(block, channels)
                scale = load(table + start)
                shift = load(table + pixel + start)
                mean = load(table + 2 * pixel + start)
                b = load(table + 4 * pixel + start)
                c = load(table + 5 * pixel + start)
                for at in range(first, last):
                    value = load_as(x_bytes, x, at * pixel + start)
                    dz = activation_gradient(fma(value, scale, shift), load(dy + at * pixel + start), code)
                    store_as(dx_bytes, dx, at * pixel + start, fma(scale, dz, fma(b, sub(value, mean), c)))

    return norm_gradient
