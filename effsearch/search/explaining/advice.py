"""What should a space allow beside what it allows, and what may it leave out?"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from effsearch.search.model.kernel import IntArray
from effsearch.search.model.surrogate import Interval
from effsearch.space.search_space import Label

SURE = 0.95  # the 90 per cent interval of a difference leaves out zero
WIDEN_FROM = 0.9  # probability that the choice at the end is the best one
NEVER = 0.02  # probability of being the best, below which a choice may go
TAKEN_FROM = 0.5  # share of the liked networks: below, a better choice is not worth its cost

AdviceKind = Literal["more", "less", "budget", "drop"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceEffect:
    """What one choice adds to the score, averaged over all others."""

    label: Label
    effect: Interval
    best_probability: float  # that no other choice of the dimension is better
    worse_probability: float  # that the choice with the best mean is better; 0 for that one


@dataclass(frozen=True, slots=True, kw_only=True)
class DimensionReport:
    """How much one dimension matters, as a share of the variance that choices make over the whole space."""

    name: str
    main: Interval
    total: Interval  # with the pairs that it is in
    effects: tuple[ChoiceEffect, ...]  # in the order of the space

    @property
    def best(self) -> ChoiceEffect:
        """The choice with the best mean effect."""
        return max(self.effects, key=lambda one: one.effect.mean)

    @property
    def certainty(self) -> float:
        """Probability that the best choice is better than the worst."""
        return min(self.effects, key=lambda one: one.effect.mean).worse_probability

    @property
    def is_sure(self) -> bool:
        """Whether it is sure that the choice matters, and which way."""
        return self.certainty >= SURE


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One change to a space that the scores speak for."""

    kind: AdviceKind  # allow more or less than the choice; pay for it with a larger budget; leave choices out
    dimension: str
    choices: tuple[Label, ...]  # one, but for those to leave out
    probability: float  # that they hold the best choice of the dimension, all else equal
    num_taking: int  # of the networks that the model likes best inside the budget
    num_liked: int
    budget_index: int  # the budget inside which it is taken most


def give_advice(dimensions: Sequence[DimensionReport], liked: Sequence[IntArray]) -> tuple[Advice, ...]:
    """Give what to change, what to widen first and the surest first.

    Args:
        dimensions: Of the space, in its order.
        liked: For each budget the points that the model likes best inside it, (num_liked, num_dimensions).
    """
    found = []
    for index, dimension in enumerate(dimensions):
        takers = [points[:, index] for points in liked]
        found += [_advise_end(dimension, takers), _advise_drop(dimension, takers)]
    order: Sequence[AdviceKind] = ("more", "less", "budget", "drop")
    given = [advice for advice in found if advice is not None]
    return tuple(sorted(given, key=lambda one: (order.index(one.kind), -one.probability)))


def _advise_end(dimension: DimensionReport, takers: Sequence[IntArray]) -> Advice | None:
    """Give what follows where the best choice of an ordered dimension lies at its end.

    Args:
        dimension: One of the space.
        takers: For each budget the choices that the liked networks take.
    """
    labels = [one.label for one in dimension.effects]
    best = dimension.best
    if not dimension.is_sure or best.best_probability < WIDEN_FROM or len(labels) < 2:
        return None
    numbers = [label for label in labels if not isinstance(label, str)]
    if len(numbers) < len(labels) or isinstance(best.label, str):
        return None
    taking = [int((taken == labels.index(best.label)).sum()) for taken in takers]
    shares = [number / len(taken) for number, taken in zip(taking, takers, strict=True)]
    at = max(range(len(shares)), key=shares.__getitem__)
    is_taken = shares[at] >= TAKEN_FROM
    kind: AdviceKind
    if best.label == max(numbers):
        kind = "more" if is_taken else "budget"
    elif best.label == min(numbers) and not _is_floor(best.label) and is_taken:
        kind = "less"
    else:
        return None
    return Advice(
        kind=kind,
        dimension=dimension.name,
        choices=(best.label,),
        probability=best.best_probability,
        num_taking=taking[at],
        num_liked=len(takers[at]),
        budget_index=at,
    )


def _advise_drop(dimension: DimensionReport, takers: Sequence[IntArray]) -> Advice | None:
    """Give the choices that are surely worse than the best one, and that no liked network takes either."""
    poor = [
        (one.label, one.best_probability)
        for choice, one in enumerate(dimension.effects)
        if one.worse_probability >= SURE
        and one.best_probability <= NEVER
        and not any((taken == choice).any() for taken in takers)
    ]
    if not poor:
        return None
    return Advice(
        kind="drop",
        dimension=dimension.name,
        choices=tuple(label for label, _ in poor),
        probability=sum(probability for _, probability in poor),
        num_taking=0,
        num_liked=sum(map(len, takers)),
        budget_index=len(takers) - 1,
    )


def _is_floor(label: int | float) -> bool:
    """Nothing lies below: counts and kernels end at one, shares at zero."""
    return label <= 0 or (isinstance(label, int) and label <= 1)
