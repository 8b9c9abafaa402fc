"""To what multiples may channels be rounded, so that a search still sees differences in width?

At equal cost beta runs from 1 to 1.41, on a grid in steps of .05. A divisor of a twentieth of a block's width lets
each of these steps change it. B0 narrowed to a quarter, at 32 px, reaches 3 networks with multiples of eight and 14
with multiples of one; narrowed to a half, 6 and 19.
"""

import statistics

from effsearch.space.rounding import DIVISORS
from effsearch.space.spec import ModelSpec

STEP = 0.05  # of beta, that should change at least every second block


def choose_divisor(base: ModelSpec) -> int:
    """Give the coarsest of 8, 4, 2 and 1 that is at most a twentieth of the median block's output channels."""
    widths = [
        stage.out_channels for stage in base.stages for block in stage.blocks if block.kind != "identity"
    ]
    median = statistics.median(widths) if widths else 0
    return next((divisor for divisor in DIVISORS if divisor <= STEP * median), DIVISORS[-1])
