"""How is a range of multiply-adds put on an axis that people can read?"""

import math
from collections.abc import Sequence

import numpy as np

MILLION = 10**6
GIGA = 10**9

# Mantissas of ticks, from sparse to dense.
_SPARSE = ((1.0,), (1.0, 3.0))
_DENSE = ((1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0))
_DOUBLING_FROM = 100 * MILLION  # as budgets go: 50 M, 100 M, 200 M, 400 M
_MIN_TICKS = 4
_MAX_TICKS = 8


def format_multiply_adds(count: float) -> str:
    """Three digits and a unit: 385,814,752 gives "386 M", 1,030,000,000 gives "1.03 G"."""
    # 999.6 M would round to the four digits of "1000 M".
    unit, letter = (GIGA, "G") if count >= 999.5 * MILLION else (MILLION, "M")
    value = count / unit
    decimals = 0 if value >= 99.95 else 1 if value >= 9.995 else 2 if value >= 0.9995 else 3
    text = f"{value:.{decimals}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"{text} {letter}"


def padded_log_range(values: Sequence[float], *, padding: float = 0.07) -> tuple[float, float]:
    """Axis limits around positive values: a share of their logarithmic span on both sides."""
    low, high = min(values), max(values)
    factor = max((high / low) ** padding, 1.2)
    return low / factor, high * factor


def log_ticks(low: float, high: float) -> list[float]:
    """Four to eight round numbers in a range, evenly spread on a logarithmic axis where that can be.

    A narrow range, which holds too few of the round numbers of a logarithmic scale, gets evenly spaced ones.
    """
    decades = _ticks_with((1.0,), low, high)
    if len(decades) > _MAX_TICKS:
        return decades[:: math.ceil(len(decades) / _MAX_TICKS)]
    candidates = [_ticks_with(mantissas, low, high) for mantissas in _SPARSE]
    candidates.append(_doubling_ticks(low, high))
    candidates += [_ticks_with(mantissas, low, high) for mantissas in _DENSE]
    for ticks in candidates:
        if _MIN_TICKS <= len(ticks) <= _MAX_TICKS:
            return ticks
    return _even_ticks(low, high)


def _doubling_ticks(low: float, high: float) -> list[float]:
    first = math.ceil(math.log2(low / _DOUBLING_FROM))
    last = math.floor(math.log2(high / _DOUBLING_FROM))
    return [_DOUBLING_FROM * 2.0**exponent for exponent in range(first, last + 1)]


def _ticks_with(mantissas: tuple[float, ...], low: float, high: float) -> list[float]:
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks = [mantissa * 10.0**exponent for exponent in exponents for mantissa in mantissas]
    return [tick for tick in ticks if low <= tick <= high]


def _even_ticks(low: float, high: float) -> list[float]:
    step = 10.0 ** math.floor(math.log10(high - low))
    for divisor in (1, 2, 4, 5, 10):
        first, last = math.ceil(low / step * divisor), math.floor(high / step * divisor)
        if last - first + 1 >= _MIN_TICKS:
            return [float(tick) for tick in np.arange(first, last + 1) * step / divisor]
    raise AssertionError(f"no ticks between {low} and {high}")
