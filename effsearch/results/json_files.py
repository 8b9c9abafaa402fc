"""How are JSON files of a run written and read?"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any  # a JSON value

from effsearch.results.atomic import write_text_atomic
from effsearch.results.bounded_files import MIB, read_bounded
from effsearch.space.errors import RunError
from effsearch.space.strict_json import parse_json

MOST_BYTES = 64 * MIB


def to_json_text(value: object) -> str:
    """One line of strict JSON (no NaN, no Infinity)."""
    return json.dumps(value, allow_nan=False)


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Write a mapping as indented JSON, atomically.

    Raises:
        RunError: The file cannot be written.
    """
    write_text_atomic(path, json.dumps(content, allow_nan=False, indent=2) + "\n")


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        RunError: The file cannot be read, is too large, or holds something else.
    """
    try:
        content = parse_json(read_bounded(path, most_bytes=MOST_BYTES))
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from error
    except ValueError as error:
        raise RunError(f"{path} is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise RunError(f"{path} must hold a JSON object, got {type(content).__name__}")
    return content
