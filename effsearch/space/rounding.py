"""How do real multipliers become whole channels, blocks and pixels?

Each rule is a function with a name, because a bare `ceil(25 * 1.6**2)` yields 65 where 64 is meant.
"""

import math

DIVISORS = (8, 4, 2, 1)  # of channels, coarse to fine


def round_channels(channels: float, *, divisor: int = 8, has_floor: bool = True) -> int:
    """Give the multiple of `divisor` nearest to `channels`, halves up.

    Args:
        channels: Wanted width, positive.
        divisor: The result is a multiple of it, and at least it.
        has_floor: Whether it goes up where the nearest one is below 90 per cent of what is wanted.

    Source:
        `round_filters` of EfficientNet's reference code (arXiv:1905.11946); EfficientNetV2's has no floor
        (arXiv:2104.00298).
    """
    rounded = max(divisor, int(channels + divisor / 2) // divisor * divisor)
    if has_floor and rounded < 0.9 * channels:
        rounded += divisor
    return rounded


def ceil_depth(multiplier: float, *, num_blocks: int) -> int:
    """Give the least whole number of blocks that is `multiplier` times `num_blocks`, and at least one.

    The product is first rounded to nine decimals, so that a multiplier which is exact on paper is exact here.
    """
    return max(1, math.ceil(round(multiplier * num_blocks, 9)))


def round_resolution(multiplier: float, *, resolution: int, multiple: int = 1) -> int:
    """Give `resolution` times `multiplier` to the nearest `multiple` of pixels, halves up, and at least one of it.

    A multiplier of exactly 1 leaves the resolution as it is, whatever the multiple.
    """
    if multiplier == 1:
        return resolution
    return max(1, math.floor(round(multiplier * resolution / multiple, 9) + 0.5)) * multiple


def expanded_width(ratio: float, *, channels: int) -> int:
    """Give the inner width of a block: exact for a whole product, else the nearest multiple of eight."""
    product = round(ratio * channels, 9)
    if product == int(product):
        return max(1, int(product))
    return round_channels(product)


def squeezed_width(ratio: float, *, channels: int, divisor: int) -> int:
    """Give the inner width of a squeeze-excite: truncated for divisor 1, else a rounded multiple.

    Source:
        EfficientNet truncates (arXiv:1905.11946, reference code); MobileNetV3 rounds to eights.
    """
    product = round(ratio * channels, 9)
    return max(1, int(product)) if divisor == 1 else round_channels(product, divisor=divisor)
