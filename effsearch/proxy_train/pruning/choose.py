"""How wide may each part of a network stay, so that all of it is inside a budget?

Channels go in chunks, those first whose importance is least for what they save. The network is counted as its spec
says, with every chunk that goes, so what comes out is never over the budget.

Of several bounds one may hold long before another, and what is saved of it is then worth nothing. How much each is
worth is not known beforehand, so several prices are tried, and those are taken that lose the least importance.
"""

import dataclasses
import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from effsearch.space.budget import Budget, show_excess
from effsearch.space.cost import ZERO_COST, Cost, count_cost, layer_cost
from effsearch.space.errors import BudgetError
from effsearch.space.layer import Layer
from effsearch.space.layers import layers
from effsearch.space.narrowing import WidthError, has_width, name_of, narrowed
from effsearch.space.spec import ModelSpec

LEAST_SHARE = 1 / 8  # of its channels that a part keeps, so that no layer closes
NUM_PRICE_STEPS = 8  # between counting what is saved of one bound alone and of another alone
Ranking = Literal["saving", "plain", "even"]


@dataclass(frozen=True, slots=True)
class Part:
    """What can be made narrower by itself, as the choice sees it."""

    name: str
    width: int
    outputs: frozenset[str]  # names of the layers that are so wide
    inputs: frozenset[str]  # and of those that read so many channels
    scores: tuple[float, ...]  # importance of its channels, ascending
    whole: int = 0  # its width before the first of several steps; 0: this one

    def widths_below(self, divisor: int) -> list[int]:
        """Give the widths that it may come down to, the largest first."""
        return widths_below(self.width, divisor, whole=self.whole)


@dataclass(frozen=True, slots=True)
class Choice:
    """What is left of a network."""

    spec: ModelSpec
    widths: dict[str, int]  # by part


@dataclass(frozen=True, slots=True)
class _Chunk:
    part: Part
    width: int  # that is left of the part without it
    rank: float


def choose_widths(
    spec: ModelSpec, parts: Sequence[Part], budget: Budget, *, divisor: int, ranking: Ranking
) -> Choice:
    """Choose how many channels of each part stay.

    Args:
        spec: The network, outside the budget.
        parts: Of it.
        budget: Bounds on its cost at its own resolution and classes.
        divisor: Widths that change become multiples of it.
        ranking: By importance for each unit of cost saved, by importance alone, or the same share of all parts.

    Raises:
        BudgetError: Nothing that may go gets the network into the budget; the smallest one is named.
    """
    prices = prices_of(count_cost(spec), budget) if ranking == "saving" else [{}]
    found = [_choose_at(spec, parts, budget, divisor, ranking, one) for one in prices]
    choice, chunks = min(found, key=lambda one: lost_importance(parts, one[0]))  # the first of equals
    return _give_back(spec, parts, choice, chunks, budget)


def prices_of(whole: Cost, budget: Budget) -> list[dict[str, float]]:
    """Give what a share of each bound's cost may be worth, by its name in the budget; together they are worth 1.

    Args:
        whole: Cost of the network; a bound that it is inside of is worth nothing.
        budget: Of one bound or more, one of which does not hold.
    """
    names = [name for name, limit in budget.limits().items() if getattr(whole, name) > limit]
    steps = NUM_PRICE_STEPS if len(names) < 3 else NUM_PRICE_STEPS // 2
    counts = itertools.product(range(steps + 1), repeat=len(names))
    shares = [some for some in counts if sum(some) == steps]
    shares.sort(key=lambda some: max(some) - min(some))  # of equals, the one that counts all alike
    return [dict(zip(names, (count / steps for count in some), strict=True)) for some in shares]


def lost_importance(parts: Iterable[Part], choice: Choice) -> float:
    """Give the importance of all channels that go."""
    return sum(sum(part.scores[: part.width - choice.widths[part.name]]) for part in parts)


def _choose_at(
    spec: ModelSpec,
    parts: Sequence[Part],
    budget: Budget,
    divisor: int,
    ranking: Ranking,
    prices: Mapping[str, float],
) -> tuple[Choice, list[_Chunk]]:
    """Give the fewest chunks, in their order at these prices, without which the network is inside the budget."""
    chunks = sorted(_chunks(spec, parts, prices, divisor, ranking), key=lambda chunk: chunk.rank)
    smallest = _settle(spec, parts, chunks, divisor)
    if smallest is None or not budget.allows(count_cost(smallest.spec)):
        raise BudgetError(_out_of_reach(spec, smallest, budget, divisor))
    low, high = 0, len(chunks)  # too few, enough
    while high - low > 1:
        middle = (low + high) // 2
        choice = _settle(spec, parts, chunks[:middle], divisor)
        is_enough = choice is not None and budget.allows(count_cost(choice.spec))
        low, high = (low, middle) if is_enough else (middle, high)
    choice = _settle(spec, parts, chunks[:high], divisor)
    assert choice is not None
    return choice, chunks[:high]


def _chunks(
    spec: ModelSpec, parts: Iterable[Part], prices: Mapping[str, float], divisor: int, ranking: Ranking
) -> list[_Chunk]:
    walk = [layer for layer in layers(spec) if has_width(layer)]
    whole = count_cost(spec)
    found = []
    for part in parts:
        steps = part.widths_below(divisor)
        above = part.width
        for width in steps:
            gone = part.scores[part.width - above : part.width - width]
            mean = sum(gone) / len(gone)
            if ranking == "saving":
                saved = _saving(walk, part, above - width, whole, prices) / (above - width)
                mean = mean / saved if saved > 0 else float("inf")
            elif ranking == "even":
                mean = (part.width - width) / part.width
            found.append(_Chunk(part, width, mean))
            above = width
    return found


def widths_below(width: int, divisor: int, *, whole: int = 0) -> list[int]:
    """Give the widths that a part may come down to, the largest first.

    Args:
        width: Of the part as it is.
        divisor: Of the widths.
        whole: Its width before anything went, a share of which stays however many steps there are; 0: the same.
    """
    least = max(divisor, -(-int((whole or width) * LEAST_SHARE) // divisor) * divisor)
    return list(range((width - 1) // divisor * divisor, least - 1, -divisor))


def _saving(
    walk: Sequence[Layer], part: Part, num_channels: int, whole: Cost, prices: Mapping[str, float]
) -> float:
    """Give what so many channels of a part cost by themselves, at the price of each whole cost."""
    before, left = ZERO_COST, ZERO_COST
    for layer in walk:
        name = name_of(layer)
        is_output, is_input = name in part.outputs, name in part.inputs
        if not (is_output or is_input):
            continue
        before += layer_cost(layer)
        is_depthwise = layer.groups > 1
        left += layer_cost(
            dataclasses.replace(
                layer,
                out_channels=layer.out_channels - num_channels * is_output,
                in_channels=layer.in_channels - num_channels * (is_input or is_depthwise),
                groups=layer.groups - num_channels if is_depthwise else 1,
            )
        )
    share = 0.0
    for name, price in prices.items():
        share += price * (getattr(before, name) - getattr(left, name)) / getattr(whole, name)
    return share


def _settle(spec: ModelSpec, parts: Sequence[Part], chunks: Sequence[_Chunk], divisor: int) -> Choice | None:
    """Give what is left without some chunks; widths that no spec can say move by a chunk. None where that fails."""
    widths = {part.name: part.width for part in parts}
    for chunk in chunks:
        widths[chunk.part.name] = min(widths[chunk.part.name], chunk.width)
    moved: set[str] = set()
    for _ in range(len(parts) + 1):  # each part moves once
        try:
            return Choice(narrowed(spec, layer_widths(parts, widths)), widths)
        except WidthError as error:
            part = next((one for one in parts if error.layer in one.outputs), None)
            if part is None or part.name in moved:
                return None
            moved.add(part.name)
            smaller = [width for width in part.widths_below(divisor) if width < widths[part.name]]
            larger = [
                width for width in (part.width, *part.widths_below(divisor)) if width > widths[part.name]
            ]
            if not (smaller or larger):
                return None
            widths[part.name] = smaller[0] if smaller else larger[-1]
    return None


def layer_widths(parts: Iterable[Part], widths: Mapping[str, int]) -> dict[str, int]:
    """Give the widths of layers from those of parts."""
    return {layer: widths[part.name] for part in parts for layer in part.outputs}


def _give_back(
    spec: ModelSpec, parts: Sequence[Part], choice: Choice, chunks: Sequence[_Chunk], budget: Budget
) -> Choice:
    """Give parts their last chunk back where it still fits, the most important first."""
    above = {}
    for part in parts:
        mine = [part.width, *(chunk.width for chunk in chunks if chunk.part is part)]
        above[part.name] = sorted(mine)
    for chunk in reversed(chunks):
        name = chunk.part.name
        larger = [width for width in above[name] if width > choice.widths[name]]
        if not larger or chunk.width != choice.widths[name]:
            continue
        widths = choice.widths | {name: larger[0]}
        try:
            tried = narrowed(spec, layer_widths(parts, widths))
        except WidthError:
            continue
        if budget.allows(count_cost(tried)):
            choice = Choice(tried, widths)
    return choice


def _out_of_reach(spec: ModelSpec, smallest: Choice | None, budget: Budget, divisor: int) -> str:
    reached = count_cost(spec if smallest is None else smallest.spec)
    return (
        f"no pruning in multiples of {divisor} channels meets the budget: the smallest network has "
        f"{show_excess(reached, budget)}; raise the budget"
        + (", or give a smaller --divisor" if divisor > 1 else "")
    )
