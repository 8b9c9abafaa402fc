"""How is said what a bound on latency allowed, and what a network was predicted to take and took?

By the terminal and by the page of a run; what the record lacks is said to be unknown.
"""

from collections.abc import Mapping
from typing import Any  # a JSON value

from effsearch.results.report.json_values import number_or_none
from effsearch.space.budget import short_time


def bound_words(record: Mapping[str, Any]) -> str:
    """Say what was allowed, and on what; `record` is a result's `latency`."""
    return (
        f"latency on {record.get('conditions')}: {time_words(record.get('limit_nanoseconds'))} allowed, predictions "
        f"held to {time_words(record.get('held_to_nanoseconds'))}"
    )


def network_words(row: Mapping[str, Any]) -> str:
    """Say what was predicted and measured of one network of a result."""
    measured = row.get("measured_nanoseconds")
    seen = "not measured here" if measured is None else f"{time_words(measured)} measured whole"
    return f"{row.get('name')}: {time_words(row.get('predicted_nanoseconds'))} predicted, {seen}"


def time_words(nanoseconds: object) -> str:
    """Write a time that may be missing."""
    number = number_or_none(nanoseconds)
    return "an unknown time" if number is None else short_time(number)
