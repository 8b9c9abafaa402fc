"""What does a row of a JSON report hold, if it holds?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any  # a JSON value

from effsearch.space.errors import RunError


def number_of(row: Mapping[str, Any], key: str, path: Path) -> float:
    """Give a number of a row.

    Raises:
        RunError: It is none.
    """
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RunError(f"{path}: {key} must be a number, got {value!r}")
    return float(value)


def int_of(row: Mapping[str, Any], key: str, path: Path) -> int:
    """Give a whole number of a row, at least 1.

    Raises:
        RunError: It is none.
    """
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise RunError(f"{path}: {key} must be a whole number of at least 1, got {value!r}")
    return value
