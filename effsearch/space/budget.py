"""What may a network cost at the most?"""

import re
from dataclasses import dataclass
from fractions import Fraction

from effsearch.space.cost import Cost
from effsearch.space.errors import BudgetError

_SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "b": 10**9, "t": 10**12}
_UNITS = {
    "flops": "multiply_adds",
    "macs": "multiply_adds",
    "madds": "multiply_adds",
    "params": "parameters",
    "activations": "activations",
}
_AMOUNT = re.compile(
    rf"\s*(\d+(?:\.\d*)?|\.\d+)\s*([kmgbt]?)[-\s]*({'|'.join(_UNITS)})?\s*", re.ASCII | re.IGNORECASE
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Upper bounds, each inclusive; None is no bound."""

    multiply_adds: int | None = None
    parameters: int | None = None
    activations: int | None = None

    def __post_init__(self) -> None:
        if not self.limits():
            raise BudgetError("a budget needs at least one bound, such as 400M-FLOPs")
        for name, limit in self.limits().items():
            if limit < 1:
                raise BudgetError(f"a budget must be above zero, got {limit} {name}")

    def limits(self) -> dict[str, int]:
        """Give the bounds there are, by the name of the `Cost` field."""
        names = ("multiply_adds", "parameters", "activations")
        return {name: limit for name in names if (limit := getattr(self, name)) is not None}

    def allows(self, cost: Cost) -> bool:
        """Tell whether a cost is inside every bound."""
        return all(getattr(cost, name) <= limit for name, limit in self.limits().items())

    def __str__(self) -> str:
        units = {"multiply_adds": "FLOPs", "parameters": "params", "activations": "activations"}
        return ", ".join(f"{short_count(limit)}-{units[name]}" for name, limit in self.limits().items())


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
    return Budget(**limits)


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


def short_count(count: float) -> str:
    """Write a count with three to four digits and a suffix: 385814752 as 385.8M."""
    for size, suffix in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if count >= size:
            return f"{float(f'{count / size:.4g}'):g}{suffix}"
    return f"{count:g}"


def show_excess(cost: Cost, budget: Budget) -> str:
    """Say which bounds a cost breaks: 115.5M multiply-adds (allowed 1k)."""
    return " and ".join(
        f"{short_count(getattr(cost, name))} {name.replace('_', '-')} (allowed {short_count(limit)})"
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
