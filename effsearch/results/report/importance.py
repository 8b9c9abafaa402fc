"""What does a run's `importance.csv` say of its choices, and what advice goes with it?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from effsearch.results.report.contents import IMPORTANCE_FILE, RunContents
from effsearch.results.report.json_values import list_of
from effsearch.space.errors import RunError

_ADVICE = {
    "drop": "never taken by the networks that the model likes best: may be dropped",
    "more": "the largest choice is taken by them: allow more",
    "less": "the smallest choice is taken by them: allow less",
    "budget": "the budget holds the largest choice back, not the space",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number with its 90 per cent interval."""

    mean: float
    low: float
    high: float

    @property
    def is_sure(self) -> bool:
        """Whether it is not zero."""
        return self.low > 0 or self.high < 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One value of a dimension."""

    label: str
    effect: Estimate  # on the score, against the mean over the choices
    best_probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """What one dimension of the space decides."""

    name: str
    alone: Estimate  # share of the variance
    total: Estimate  # with the pairs that it is in
    choices: tuple[Choice, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Importance:
    """What was learned about a space."""

    dimensions: tuple[Dimension, ...]  # the most important first
    pairs: tuple[tuple[str, str, Estimate], ...]
    words: tuple[str, ...]  # of the search itself, else of the table
    largest_share: float  # upper end of all intervals, for the drawing's scale
    largest_effect: float


def make_importance(contents: RunContents) -> Importance | None:
    """Give what the choices of a search did; None where nobody has computed it."""
    if not contents.importance:
        return None
    return contents.unread.attempt(lambda: _read(contents), None)


def _read(contents: RunContents) -> Importance:
    rows = contents.importance
    try:
        alone = {row["name"]: _estimate(row) for row in rows if row["what"] == "share"}
        total = {row["name"]: _estimate(row) for row in rows if row["what"] == "share_with_pairs"}
        choices: dict[str, list[Choice]] = {}
        for row in rows:
            if row["what"] == "effect":
                probability = float(row["best_probability"])
                choice = Choice(label=row["choice"], effect=_estimate(row), best_probability=probability)
                choices.setdefault(row["name"], []).append(choice)
        pairs = [(row["name"], row["other"], _estimate(row)) for row in rows if row["what"] == "pair_share"]
        dimensions = [
            Dimension(
                name=name, alone=share, total=total.get(name, share), choices=tuple(choices.get(name, ()))
            )
            for name, share in alone.items()
        ]
    except (KeyError, ValueError) as error:
        raise RunError(
            f"{contents.run / IMPORTANCE_FILE} is no table of importances ({error}); write it anew with effsearch "
            "explain"
        ) from error
    effects = [choice.effect for one in dimensions for choice in one.choices]
    words = [str(line) for line in list_of(contents.result.get("explanation"))] or _advice(rows)
    return Importance(
        dimensions=tuple(sorted(dimensions, key=lambda one: one.total.mean, reverse=True)),
        pairs=tuple(pairs),
        words=tuple(words),
        largest_share=max((one.total.high for one in dimensions), default=0.0) or 1.0,
        largest_effect=max((max(abs(one.low), abs(one.high)) for one in effects), default=0.0) or 1.0,
    )


def _estimate(row: Mapping[str, str]) -> Estimate:
    return Estimate(mean=float(row["value"]), low=float(row["low"]), high=float(row["high"]))


def _advice(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Say the advice of the table, a line for each dimension that it is about."""
    grouped: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    for row in rows:
        kind = row["what"].removeprefix("advice: ")
        if kind != row["what"]:
            grouped.setdefault((kind, row["name"]), []).append(row)
    return [
        f"{name}: {' and '.join(row['choice'] for row in some)} best with probability "
        f"{some[0]['best_probability']}; {_ADVICE.get(kind, kind)}"
        for (kind, name), some in grouped.items()
    ]
