import math

import pytest

from effsearch.results.plots.scales import format_multiply_adds, log_ticks, padded_log_range


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (385_814_752, "386 M"),
        (50_000_000, "50 M"),
        (1_030_000_000, "1.03 G"),
        (1_000_000_000, "1 G"),
        (999_600_000, "1 G"),
        (999_400_000, "999 M"),
        (37_000_000_000, "37 G"),
        (8_520_000, "8.52 M"),
        (99_960_000, "100 M"),
        (9_996_000, "10 M"),
        (12_340, "0.012 M"),
    ],
)
def test_multiply_adds_are_three_digits_and_a_unit(count: int, text: str) -> None:
    assert format_multiply_adds(count) == text


@pytest.mark.parametrize(
    ("low", "high", "texts"),
    [
        (40e6, 450e6, ["50 M", "100 M", "200 M", "400 M"]),
        (300e6, 50e9, ["300 M", "1 G", "3 G", "10 G", "30 G"]),
        (350e6, 420e6, ["350 M", "360 M", "370 M", "380 M", "390 M", "400 M", "410 M", "420 M"]),
    ],
)
def test_ticks_are_round_numbers(low: float, high: float, texts: list[str]) -> None:
    found = [format_multiply_adds(tick) for tick in log_ticks(low, high)]
    assert found == texts


@pytest.mark.parametrize("low", [1.0, 7.7e6, 99e6, 385e6, 4.2e9])
@pytest.mark.parametrize("ratio", [1.05, 1.44, 2, 3, 8, 30, 1000, 1e6, 1e11])
def test_there_are_four_to_ten_ticks_rising_inside_any_range(low: float, ratio: float) -> None:
    ticks = log_ticks(low, low * ratio)
    assert 4 <= len(ticks) <= 10
    assert all(low <= tick <= low * ratio for tick in ticks)
    assert ticks == sorted(set(ticks))
    assert len({format_multiply_adds(tick) for tick in ticks}) == len(ticks) or low < 1e6


def test_a_padded_range_holds_its_values_and_a_single_one_gets_room() -> None:
    low, high = padded_log_range([1e6, 1e9])
    assert low < 1e6 < 1e9 < high
    low, high = padded_log_range([100.0])
    assert (low, high) == (pytest.approx(100 / 1.2), pytest.approx(120))
    assert math.isclose(low * high, 100.0**2)
