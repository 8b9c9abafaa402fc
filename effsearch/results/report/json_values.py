"""What does a JSON value hold, where it may hold anything? What is of another type counts as missing."""

import math
from collections.abc import Mapping
from typing import Any  # a JSON value


def number_or_none(value: object) -> float | None:
    """Give a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def whole_or_none(value: object) -> int | None:
    """Give a whole number."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def list_of(value: object) -> list[Any]:
    """Give a list, an empty one of anything else."""
    return value if isinstance(value, list) else []


def mapping_of(value: object) -> Mapping[str, Any]:
    """Give an object, an empty one of anything else."""
    return value if isinstance(value, dict) else {}


def rows_of(record: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """Give the objects of a list under a key."""
    return [row for row in list_of(record.get(key)) if isinstance(row, dict)]
