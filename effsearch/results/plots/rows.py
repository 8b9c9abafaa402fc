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
    value = _row(row, path).get(key)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RunError(f"{path}: {key} must be a number, got {value!r:.60}")
    return float(value)


def int_of(row: Mapping[str, Any], key: str, path: Path) -> int:
    """Give a whole number of a row, at least 1.

    Raises:
        RunError: It is none.
    """
    value = _row(row, path).get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise RunError(f"{path}: {key} must be a whole number of at least 1, got {value!r:.60}")
    return value


def rows_in(content: Mapping[str, Any], key: str, path: Path) -> list[Mapping[str, Any]]:
    """Give the objects of a list under a key, none where there is none.

    Raises:
        RunError: It is no list of objects.
    """
    rows = content.get(key) or []
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise RunError(f"{path}: {key} must be a list of objects, got {rows!r:.60}")
    return rows


def _row(row: object, path: Path) -> Mapping[str, Any]:
    if not isinstance(row, Mapping):
        raise RunError(f"{path}: there must be an object where there is {row!r:.60}")
    return row
