import math

import pytest

from effsearch.space.rounding import (
    ceil_depth,
    expanded_width,
    round_channels,
    round_resolution,
    squeezed_width,
)


def test_depth_that_is_whole_on_paper_is_whole_here() -> None:
    assert math.ceil(25 * 1.6**2) == 65  # the trap
    assert ceil_depth(1.6**2, num_blocks=25) == 64
    assert ceil_depth(1.1, num_blocks=10) == 11
    assert ceil_depth(1.1 * 1.1, num_blocks=100) == 121


@pytest.mark.parametrize(
    ("multiplier", "num_blocks", "depth"),
    [(1.0, 3, 3), (1.1, 3, 4), (1.0001, 3, 4), (1.8, 4, 8), (3.1, 4, 13), (0.5, 3, 2), (0.01, 3, 1)],
)
def test_depth_rounds_up_and_never_to_nothing(multiplier: float, num_blocks: int, depth: int) -> None:
    assert ceil_depth(multiplier, num_blocks=num_blocks) == depth


@pytest.mark.parametrize(
    ("channels", "rounded"),
    [(100.0, 104), (99.9, 96), (36.0, 40), (32 * 1.1, 32), (40 * 1.4, 56), (1.0, 8), (8.0, 8)],
)
def test_channels_go_to_the_nearest_multiple_of_eight_halves_up(channels: float, rounded: int) -> None:
    assert round_channels(channels) == rounded


def test_channels_never_fall_below_nine_tenths() -> None:
    assert round_channels(10.0) == 16  # nearest is 8, which is a fifth less
    assert round_channels(11.9) == 16
    for tenths in range(10, 5000):
        assert round_channels(tenths / 10) >= 0.9 * tenths / 10


def test_channels_grow_with_what_is_asked() -> None:
    rounded = [round_channels(tenths / 10) for tenths in range(1, 3000)]
    assert rounded == sorted(rounded)


def test_channels_round_to_other_divisors_too() -> None:
    assert round_channels(37.0, divisor=1) == 37
    assert round_channels(37.0, divisor=16) == 48  # 32 would be below nine tenths


def test_resolution_goes_to_the_nearest_pixel_halves_up() -> None:
    assert round_resolution(1.15, resolution=224) == 258  # 257.6
    assert round_resolution(1.15, resolution=10) == 12  # 11.5, which bare round() sends to 12 and
    assert round_resolution(1.05, resolution=10) == 11  # 10.5, which it sends to 10
    assert round_resolution(0.01, resolution=3) == 1


def test_expanded_width_is_exact_where_the_product_is_whole() -> None:
    assert expanded_width(6.0, channels=20) == 120
    assert expanded_width(0.25, channels=64) == 16
    assert expanded_width(4.5, channels=24) == 108  # MobileNetV3-Large's 4.5 is no multiple of eight
    assert expanded_width(2.3, channels=80) == 184
    assert expanded_width(1.1, channels=10) == 11  # 11.000000000000002 in floats


def test_expanded_width_goes_to_eights_where_the_product_is_not_whole() -> None:
    assert expanded_width(2.3, channels=24) == 56  # 55.2
    assert expanded_width(0.02, channels=10) == 8


def test_squeezed_width_is_truncated_for_divisor_one() -> None:
    assert squeezed_width(0.25, channels=18, divisor=1) == 4
    assert squeezed_width(0.25, channels=3, divisor=1) == 1
    assert squeezed_width(1 / 3, channels=24, divisor=1) == 8  # 7.999... is 8


def test_squeezed_width_is_rounded_for_other_divisors() -> None:
    assert squeezed_width(0.25, channels=72, divisor=8) == 24  # 18, whose nearest 16 is too small
    assert squeezed_width(0.25, channels=4, divisor=8) == 8
