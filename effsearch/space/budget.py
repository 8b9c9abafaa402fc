"""What may a network cost at the most?"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

from effsearch.space.cost import Cost
from effsearch.space.errors import BudgetError
from effsearch.space.latency_table import LatencyTable

_SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
_UNITS = {
    "flops": "multiply_adds",
    "macs": "multiply_adds",
    "madds": "multiply_adds",
    "params": "parameters",
    "activations": "activations",
}
BOUNDS = ("multiply_adds", "parameters", "activations", "latency_nanoseconds")
_AMOUNT_OF = {"latency_nanoseconds": "of predicted latency"}
_NANOSECONDS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9}
_DURATION = re.compile(rf"\s*(\d+(?:\.\d*)?|\.\d+)\s*({'|'.join(_NANOSECONDS)})\s*", re.ASCII | re.IGNORECASE)
_AMOUNT = re.compile(
    rf"\s*(\d+(?:\.\d*)?|\.\d+)\s*([kmgbt]?)[-\s]*({'|'.join(_UNITS)})?\s*", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Upper bounds, each inclusive; None is no bound."""

    multiply_adds: int | None = None
    parameters: int | None = None
    activations: int | None = None
    latency_nanoseconds: int | None = None  # of the table's prediction
    latency_table: LatencyTable | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.limits():
            raise BudgetError("a budget needs at least one bound, such as 400M-FLOPs")
        for name, limit in self.limits().items():
            if limit < 1:
                raise BudgetError(f"a budget must be above zero, got {limit} {name}")

    def limits(self) -> dict[str, int]:
        """Give the bounds there are, by the name of the `Cost` field."""
        return {name: limit for name in BOUNDS if (limit := getattr(self, name)) is not None}

    def allows(self, cost: Cost) -> bool:
        """Tell whether a cost is inside every bound; under a bound on latency the cost has to have one."""
        return all(getattr(cost, name) <= limit for name, limit in self.limits().items())

    def only(self, name: str) -> "Budget":
        """Give the budget of one bound alone."""
        others = {other: None for other in self.limits() if other != name}
        return self.with_limits(others)

    def times(self, factor: float) -> "Budget":
        """Give the budget with every bound so many times as wide."""
        return self.with_limits({name: int(factor * limit) for name, limit in self.limits().items()})

    def with_limits(self, limits: Mapping[str, int | None]) -> "Budget":
        """Give the budget with other bounds, by the name of the `Cost` field; None takes one away."""
        wanted: Any = dict(limits)  # mypy takes the values to be for any field
        return replace(self, **wanted)

    def __str__(self) -> str:
        units = {"multiply_adds": "-FLOPs", "parameters": "-params", "activations": "-activations"}
        return ", ".join(
            f"{short_amount(name, limit).replace(' ', '')}{units.get(name, '')}"
            for name, limit in self.limits().items()
        )


def parse_budget(
    text: str | None, *, max_params: str | None = None, max_activations: str | None = None
) -> Budget:
    """Read budgets such as 400M-FLOPs, 400M-MACs, 0.4G-FLOPs or 5.3M-params, together with further bounds.

    FLOPs and MACs are both multiply-adds, as in the paper. k, M, G (or B) and T are powers of a thousand.

    Raises:
        BudgetError: A text cannot be read, or two bound the same thing.
    """
    limits: dict[str, int] = {}
    texts = ((text, None), (max_params, "params"), (max_activations, "activations"))
    for amount, default_unit in texts:
        if amount is None:
            continue
        name, limit = _parse_amount(amount, default_unit)
        if name in limits:
            raise BudgetError(f"two budgets for {name}: give one of them")
        limits[name] = limit
    return Budget(
        multiply_adds=limits.get("multiply_adds"),
        parameters=limits.get("parameters"),
        activations=limits.get("activations"),
    )


def parse_budgets(
    text: str | None, *, max_params: str | None = None, max_activations: str | None = None
) -> tuple[Budget, ...]:
    """Read one budget or several, such as 200M,400M,800M-FLOPs; further bounds hold for each.

    A unit that is left out is the last one's.

    Returns:
        Ascending.

    Raises:
        BudgetError: A text cannot be read, or two budgets are the same or bound different things.
    """
    if text is None or "," not in text:
        return (parse_budget(text, max_params=max_params, max_activations=max_activations),)
    parts = text.split(",")
    parse_budget(parts[-1], max_params=max_params, max_activations=max_activations)  # its unit is the others'
    last = _AMOUNT.fullmatch(parts[-1])
    unit = last[3] if last and last[3] else ""
    found = []
    for part in parts:
        match = _AMOUNT.fullmatch(part)
        whole = f"{part.strip()}-{unit}" if match and not match[3] and unit else part
        found.append(parse_budget(whole, max_params=max_params, max_activations=max_activations))
    names = {tuple(budget.limits()) for budget in found}
    if len(names) > 1 or len(set(found)) < len(found):
        raise BudgetError(f"--budget {text} must be several bounds of one thing, such as 200M,400M-FLOPs")
    return tuple(sorted(found, key=lambda budget: next(iter(budget.limits().values()))))


def parse_latency(text: str) -> int:
    """Read a bound on latency, such as 5ms, 800 us or .02S.

    Returns:
        Nanoseconds.

    Raises:
        BudgetError: The text cannot be read, or is below a nanosecond.
    """
    match = _DURATION.fullmatch(text)
    if not match:
        raise BudgetError(f"cannot read the latency {text!r}: write it like 5ms, 800us or 0.02s")
    nanoseconds = int(Fraction(match[1]) * _NANOSECONDS[match[2].lower()])
    if nanoseconds < 1:
        raise BudgetError(f"a bound on latency must be above zero, got {text!r}")
    return nanoseconds


def with_latency(budgets: Sequence[Budget], limit: int, table: LatencyTable) -> tuple[Budget, ...]:
    """Give budgets that bound the prediction of a table, too; one of that bound alone where there are none.

    Args:
        budgets: What else is bound.
        limit: Nanoseconds that a prediction may come to.
        table: What predicts.
    """
    if not budgets:
        return (Budget(latency_nanoseconds=limit, latency_table=table),)
    return tuple(replace(budget, latency_nanoseconds=limit, latency_table=table) for budget in budgets)


def short_amount(name: str, amount: float) -> str:
    """Write what a bound counts: a count as `short_count`, a latency as `short_time`."""
    return short_time(amount) if name == "latency_nanoseconds" else short_count(amount)


def short_time(nanoseconds: float) -> str:
    """Write a time with three to four digits: 4712345 as 4.712 ms."""
    for size, unit in ((10**9, "s"), (10**6, "ms"), (10**3, "us")):
        if abs(nanoseconds) >= size:
            return f"{float(f'{nanoseconds / size:.4g}'):g} {unit}"
    return f"{nanoseconds:g} ns"


def short_count(count: float) -> str:
    """Write a count with three to four digits and a suffix: 385814752 as 385.8M."""
    for size, suffix in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{float(f'{count / size:.4g}'):g}{suffix}"
    return f"{count:g}"


def show_excess(cost: Cost, budget: Budget) -> str:
    """Say which bounds a cost breaks: 115.5M multiply-adds (allowed 1k)."""
    return " and ".join(
        f"{short_amount(name, getattr(cost, name))} {_AMOUNT_OF.get(name, name.replace('_', '-'))} "
        f"(allowed {short_amount(name, limit)})"
        for name, limit in budget.limits().items()
        if getattr(cost, name) > limit
    )


def _parse_amount(text: str, default_unit: str | None) -> tuple[str, int]:
    match = _AMOUNT.fullmatch(text)
    unit = (match[3] or default_unit or "").lower() if match else ""
    if not match or not unit:
        example = "5.3M" if default_unit else "400M-FLOPs, 0.4G-MACs or 5.3M-params"
        raise BudgetError(f"cannot read the budget {text!r}: write it like {example}")
    if default_unit and unit != default_unit:
        raise BudgetError(f"{text!r} does not bound {default_unit}: write it like 5.3M")
    limit = Fraction(match[1]) * _SUFFIXES[match[2].lower()]
    return _UNITS[unit], int(limit)
