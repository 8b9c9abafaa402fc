"""How are numbers written on the page?

What a file holds where a number is expected may be anything; it is then written as it came, never as a wrong number.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Any  # a JSON value

from effsearch.results.certificate import interval_words
from effsearch.space.budget import short_count, short_time

NOTHING = "-"


def percent(value: object, digits: int = 1) -> str:
    """Write a share as 65.3%."""
    return f"{float(value):.{digits}%}" if isinstance(value, int | float) else _as_it_came(value)


def points(value: object) -> str:
    """Write a difference of shares in points, with its sign: +1.3."""
    if not isinstance(value, int | float):
        return _as_it_came(value)
    return f"{round(100 * value, 1) + 0.0:+.1f}"


def count(value: object) -> str:
    """Write a count with four digits and a suffix: 59.34M."""
    return short_count(value) if isinstance(value, int | float) else _as_it_came(value)


def decimals(value: object) -> str:
    """Write a factor with three decimals."""
    return f"{value:.3f}" if isinstance(value, int | float) else _as_it_came(value)


def how_many(value: object) -> str:
    """Write the length of a list."""
    return str(len(value)) if isinstance(value, list) else NOTHING


def sentence(text: str) -> str:
    """Begin a text with a capital letter, the rest as it is."""
    return text[:1].upper() + text[1:]


def duration(value: object) -> str:
    """Write seconds as people say them: 12 s, 4 min 5 s, 2 h 5 min."""
    if not isinstance(value, int | float):
        return _as_it_came(value)
    if 0 < value < 9.95:
        return f"{value:.1f} s"
    seconds = round(value)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60} min"


def moment(value: object) -> str:
    """Write an ISO 8601 time to the second, in UTC."""
    try:
        time = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
        return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError):
        return str(value)


def fidelity_words(fidelity: Mapping[str, Any]) -> str:
    """Say how much training a score was bought with: 10,000 images x 6 epochs at 32 px."""
    try:
        images, epochs, resolution = (fidelity[name] for name in ("num_images", "num_epochs", "resolution"))
        text = f"{images:,} images x {epochs:g} epochs at {resolution:g} px"
        width = fidelity.get("width", 1.0)
        return text if width == 1 else f"{text}, width x {width:g}"
    except (KeyError, TypeError, ValueError):
        return ", ".join(f"{name} {value}" for name, value in fidelity.items()) or NOTHING


def fidelity_short(fidelity: Mapping[str, Any]) -> str:
    """Say the same for a narrow column: 10,000 x 6, 32 px."""
    return fidelity_words(fidelity).replace(" images", "").replace(" epochs at ", ", ")


def last_part(value: object) -> str:
    """Give the last part of a path, and of what is none all."""
    text = str(value)
    return PurePath(text).name or text


def budget_words(limits: object) -> str:
    """Write a budget as 60M FLOPs, 5M params."""
    if not isinstance(limits, Mapping):
        return _as_it_came(limits)
    names = {"multiply_adds": "FLOPs", "parameters": "params"}
    known = [
        f"{short_time(value)} of predicted latency"
        if name == "latency_nanoseconds" and isinstance(value, int | float)
        else f"{count(value)} {names.get(str(name), str(name))}"
        for name, value in limits.items()
        if value is not None
    ]
    return ", ".join(known) or NOTHING


def asked_words(settings: Mapping[str, Any]) -> str:
    """Write the budgets that a search was asked for, with all their digits; "" where there are none.

    Under a bound on latency the budgets that are stored have what predictions are held to, which nobody asked for.
    """
    text, budgets = settings.get("budget"), settings.get("budgets")
    if not isinstance(budgets, list) or not all(isinstance(one, Mapping) for one in budgets):
        return text.replace("; ", " and ") if isinstance(text, str) else ""
    latency = settings.get("max_latency_nanoseconds")
    units = {"multiply_adds": "-FLOPs", "parameters": "-params", "activations": "-activations"}
    found = []
    for limits in budgets:
        words = [
            f"{_all_digits(limits[name], _COUNTS)}{unit}" for name, unit in units.items() if limits.get(name)
        ]
        if limits.get("latency_nanoseconds"):
            asked = latency if isinstance(latency, int) else limits["latency_nanoseconds"]
            words.append(_all_digits(asked, _TIMES))
        found.append(", ".join(words))
    return " and ".join(filter(None, found))


_COUNTS = ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k"), (1, ""))
_TIMES = ((10**9, " s"), (10**6, " ms"), (10**3, " us"), (1, " ns"))


def _all_digits(number: object, sizes: Sequence[tuple[int, str]]) -> str:
    """Write a whole number by the largest size that it holds: 385814752 as 385.814752M."""
    if type(number) is not int or number < 1:
        return _as_it_came(number)
    size, suffix = next(one for one in sizes if number >= one[0])
    whole, rest = divmod(number, size)
    digits = f"{rest:0{len(str(size)) - 1}d}".rstrip("0") if size > 1 else ""
    return f"{whole}{'.' * bool(digits)}{digits}{suffix}"


FILTERS = {
    "percent": percent,
    "points": points,
    "count": count,
    "decimals": decimals,
    "duration": duration,
    "sentence": sentence,
    "moment": moment,
    "fidelity": fidelity_words,
    "how_many": how_many,
    "last_part": last_part,
    "budget": budget_words,
    "interval": interval_words,
}


def _as_it_came(value: object) -> str:
    return NOTHING if value is None else str(value)
