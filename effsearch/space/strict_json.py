"""What does a JSON text of anybody's say, if it says one thing only?

Python's reader takes NaN, numbers that become infinite, keys that stand twice and lists nested to the end of the
stack. Here each is an error of one line.
"""

import json
import math
from typing import Any  # a JSON value

MOST_DIGITS = 40  # of a whole number; the cost of the largest network that a spec may describe has 27
MOST_SHOWN = 30  # characters of a number that is refused


def parse_json(text: str | bytes) -> Any:
    """Give the value that a text holds, as plain Python values; all floats are finite.

    Raises:
        ValueError: The text is no JSON, repeats a key, or holds a number or a depth out of bounds; one line.
    """
    try:
        return _DECODER.decode(_decoded(text))
    except RecursionError:
        raise ValueError("lists or objects are nested too deeply") from None


def json_fault(error: ValueError) -> str:
    """Say what is wrong with a line that `parse_json` refuses, counted in that line alone."""
    if isinstance(error, json.JSONDecodeError):
        return f"no JSON at character {error.pos + 1} ({error.msg.replace('Expecting', 'expected')})"
    if isinstance(error, UnicodeDecodeError):
        return f"no UTF-8 at byte {error.start + 1}"
    return str(error)


def _decoded(text: str | bytes) -> str:
    """Give text without the mark that some editors put before it."""
    words = text.decode("utf-8") if isinstance(text, bytes) else text
    return words.removeprefix("\ufeff")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise ValueError(f"key {_short(key)!r} stands twice")
            seen.add(key)
    return content


def _whole(digits: str) -> int:
    if (num_digits := len(digits.lstrip("-"))) > MOST_DIGITS:
        raise ValueError(f"a whole number of {num_digits:,} digits is too long; at most {MOST_DIGITS}")
    return int(digits)


def _number(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(f"{_short(text)} is too large for a number")
    return number


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON's")


def _short(text: str) -> str:
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_whole, parse_float=_number, parse_constant=_constant
)
