"""What do very many candidates of a space cost?

The count is the same closed one as `cost.count_cost`, read off the same layer walk; but each distinct block (fields,
widths, stride, size) is walked once, and the candidates look it up with numpy.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from effsearch.space.block_layers import block_layers
from effsearch.space.budget import Budget, show_excess
from effsearch.space.cost import Cost, layers_cost
from effsearch.space.errors import BudgetError
from effsearch.space.latency_table import LatencyTable
from effsearch.space.layer import Layer
from effsearch.space.layers import head_layers, stem_layers
from effsearch.space.search_space import SearchSpace, Slot
from effsearch.space.spec import BlockSpec

IntArray = NDArray[np.int64]

UPPER_SHARE = 0.8  # of a budget: drawing only above it cuts random search's regret by 20 to 40 per cent
BATCH = 20_000  # candidates drawn at a time
NUM_COUNTED = 4  # columns of a cost: multiply-adds, parameters, activations, nanoseconds
MAX_DRAWS = 2_000_000  # before a budget counts as unreachable


@dataclass(frozen=True, slots=True)
class Costs:
    """Costs of many networks, int64 arrays of one entry for each."""

    multiply_adds: IntArray
    parameters: IntArray
    activations: IntArray
    latency_nanoseconds: IntArray | None = None  # as a table predicts it

    def at(self, index: int) -> Cost:
        """Give the cost of one network."""
        return Cost(
            multiply_adds=int(self.multiply_adds[index]),
            parameters=int(self.parameters[index]),
            activations=int(self.activations[index]),
            latency_nanoseconds=None
            if self.latency_nanoseconds is None
            else int(self.latency_nanoseconds[index]),
        )

    def inside(self, budget: Budget) -> NDArray[np.bool_]:
        """Tell for each network whether it is inside every bound."""
        allowed = np.ones(len(self.multiply_adds), dtype=bool)
        for name, limit in budget.limits().items():
            allowed &= getattr(self, name) <= limit
        return allowed

    def shares(self, budget: Budget) -> NDArray[np.float64]:
        """Give for each network the largest share of a bound that it uses."""
        shares = [getattr(self, name) / limit for name, limit in budget.limits().items()]
        return np.asarray(np.max(np.stack(shares), axis=0), dtype=np.float64)


def sample_points(space: SearchSpace, num_points: int, *, rng: np.random.Generator) -> IntArray:
    """Draw points uniformly, with repeats.

    Returns:
        (num_points, num_dimensions) choice indices.
    """
    columns = [rng.integers(len(dimension.labels), size=num_points) for dimension in space.dimensions]
    return np.stack(columns, axis=1) if columns else np.zeros((num_points, 0), dtype=np.int64)


def all_points(space: SearchSpace) -> IntArray:
    """Enumerate a space; for small ones.

    Returns:
        (size, num_dimensions) choice indices, the last dimension varying fastest.
    """
    if not space.dimensions:
        return np.zeros((1, 0), dtype=np.int64)
    radices = tuple(len(dimension.labels) for dimension in space.dimensions)
    return np.stack(np.unravel_index(np.arange(space.size), radices), axis=1).astype(np.int64)


def screen(
    space: SearchSpace,
    points: IntArray,
    *,
    resolution: int,
    num_classes: int,
    table: LatencyTable | None = None,
) -> Costs:
    """Count the cost of many points at once, exactly as `count_cost` would one by one.

    Args:
        space: Space that the points are of.
        points: (num_points, num_dimensions) choice indices.
        resolution: Pixels to count at.
        num_classes: Classes to count with.
        table: What blocks take; without one there are no latencies.

    Raises:
        UsageError: The table lacks a block.
    """
    totals = np.zeros((len(points), NUM_COUNTED), dtype=np.int64)
    stem = _choose(space.stem, points)
    sizes = np.empty(len(points), dtype=np.int64)
    channels = np.empty(len(points), dtype=np.int64)

    def stem_walk(choice: int) -> list[Layer]:
        return list(stem_layers(space.stem.values[choice], in_size=resolution))

    totals += _looked_up(lambda choice: _cost_of(stem_walk(choice), table), stem)
    for choice in np.unique(stem):
        sizes[stem == choice] = stem_walk(int(choice))[-1].out_size
        channels[stem == choice] = space.stem.values[choice].out_channels
    for stage in space.stages:
        out_channels = _values(stage.out_channels, points)
        strides = _values(stage.stride, points)
        num_repeats = _values(stage.num_blocks, points) - 1
        for index, slot in enumerate(stage.blocks):
            block = _choose(slot, points)
            stride = strides if index == 0 else np.ones_like(strides)

            def block_cost(
                choice: int, ins: int, outs: int, stride: int, size: int, slot: Slot = slot
            ) -> Cost:
                return _block_cost(slot.values[choice], ins, outs, stride, size, table)

            totals += _looked_up(block_cost, block, channels, out_channels, stride, sizes)
            sizes = -(-sizes // stride)
            channels = out_channels
            if num_repeats.any():
                ones = np.ones_like(strides)
                repeated = _looked_up(block_cost, block, channels, channels, ones, sizes)
                totals += repeated * num_repeats[:, None]

    def head_cost(choice: int, ins: int, size: int) -> Cost:
        head = space.head.values[choice]
        return _cost_of(
            list(head_layers(head, in_channels=ins, num_classes=num_classes, in_size=size)), table
        )

    totals += _looked_up(head_cost, _choose(space.head, points), channels, sizes)
    return Costs(*totals.T[: NUM_COUNTED if table is not None else NUM_COUNTED - 1])


def draw_inside(
    space: SearchSpace,
    budget: Budget,
    num_points: int,
    *,
    resolution: int,
    num_classes: int,
    rng: np.random.Generator,
    least_share: float = 0.0,
) -> IntArray:
    """Draw points uniformly among those inside a budget.

    Args:
        space: Space to draw from.
        budget: Bounds at `resolution` and `num_classes`.
        num_points: Points wanted.
        resolution: Pixels to count at.
        num_classes: Classes to count with.
        rng: Source of the draws.
        least_share: Leave out what uses less than this share of its tightest bound; where the space has nothing
            there, the whole budget is drawn from.

    Returns:
        (num_points, num_dimensions) choice indices.

    Raises:
        BudgetError: Nothing fits; what the cheapest candidate needs is named.
    """
    found: list[IntArray] = []
    fallback: list[IntArray] = []
    num_drawn = 0
    while sum(map(len, found)) < num_points:
        points = sample_points(space, BATCH, rng=rng)
        costs = screen(
            space, points, resolution=resolution, num_classes=num_classes, table=budget.latency_table
        )
        inside = costs.inside(budget)
        if not num_drawn and not inside.any():
            _require_reachable(space, budget, resolution=resolution, num_classes=num_classes)
        found.append(points[inside & (costs.shares(budget) >= least_share)])
        fallback.append(points[inside][:num_points])
        num_drawn += BATCH
        num_fallback = sum(map(len, fallback))
        if num_drawn >= MAX_DRAWS // 10 and sum(map(len, found)) == 0 and num_fallback >= num_points:
            found = fallback
        if num_drawn >= MAX_DRAWS:
            found = found if sum(map(len, found)) else fallback
            if not sum(map(len, found)):
                lean = cheapest_point(space, resolution=resolution, num_classes=num_classes)
                _require_inside(space, lean, budget, resolution=resolution, num_classes=num_classes)
                found = [lean[None]]
            found = [np.resize(np.concatenate(found), (num_points, len(space.dimensions)))]
    return np.concatenate(found)[:num_points]


def cheapest_point(
    space: SearchSpace,
    *,
    resolution: int,
    num_classes: int,
    measure: str = "multiply_adds",
    table: LatencyTable | None = None,
) -> IntArray:
    """Find a point that no other choice in a single dimension makes cheaper.

    All of these are compared at once; then each dimension takes its best if that is cheapest together, else only the
    best of all changes.

    Returns:
        (num_dimensions,) choice indices; the least of `measure`, then of the parameters.
    """

    def order(points: IntArray) -> IntArray:
        costs = screen(space, points, resolution=resolution, num_classes=num_classes, table=table)
        return np.lexsort((costs.parameters, getattr(costs, measure)))

    numbers = [len(dimension.labels) for dimension in space.dimensions]
    dimensions = np.repeat(np.arange(len(numbers)), numbers)
    labels = np.concatenate([np.arange(number) for number in [0, *numbers]])
    point = np.zeros(len(numbers), dtype=np.int64)
    while len(numbers):
        rivals = np.repeat(point[None], len(labels), axis=0)
        rivals[np.arange(len(labels)), dimensions] = labels
        best_first = order(rivals)
        together = point.copy()
        together[dimensions[best_first[::-1]]] = labels[best_first[::-1]]  # the best of each is written last
        options = np.stack([point, together, rivals[best_first[0]]])
        best = int(order(options)[0])
        if best == 0:
            break
        point = options[best]
    return point


def _require_reachable(space: SearchSpace, budget: Budget, *, resolution: int, num_classes: int) -> None:
    """Refuse a budget of which one bound alone is out of reach, before two million points are drawn in vain."""
    for measure in budget.limits():
        lean = cheapest_point(
            space,
            resolution=resolution,
            num_classes=num_classes,
            measure=measure,
            table=budget.latency_table,
        )
        _require_inside(space, lean, budget.only(measure), resolution=resolution, num_classes=num_classes)


def _require_inside(
    space: SearchSpace, lean: IntArray, budget: Budget, *, resolution: int, num_classes: int
) -> None:
    cost = screen(
        space, lean[None], resolution=resolution, num_classes=num_classes, table=budget.latency_table
    ).at(0)
    if not budget.allows(cost):
        bound = "--max-latency" if set(budget.limits()) == {"latency_nanoseconds"} else "the budget"
        raise BudgetError(
            f"no candidate of {space.name} fits: the cheapest needs {show_excess(cost, budget)}; raise {bound}, "
            "lower --resolution or give a smaller --space"
        )


def _choose(slot: Slot, points: IntArray) -> IntArray:
    index = np.zeros(len(points), dtype=np.int64)
    for dimension, radix in zip(slot.dimensions, slot.radices, strict=True):
        index = index * radix + points[:, dimension]
    return index


def _values(slot: Slot, points: IntArray) -> IntArray:
    return np.asarray(slot.values, dtype=np.int64)[_choose(slot, points)]


@lru_cache(maxsize=100_000)  # a search asks for the same few thousand blocks at every proposal
def _block_cost(
    block: BlockSpec, ins: int, outs: int, stride: int, size: int, table: LatencyTable | None
) -> Cost:
    walked = block_layers(block, scope="", in_channels=ins, out_channels=outs, stride=stride, in_size=size)
    return _cost_of(walked, table)


def _cost_of(block: Sequence[Layer], table: LatencyTable | None) -> Cost:
    cost = layers_cost(block)
    return cost if table is None else replace(cost, latency_nanoseconds=table.of_block(block))


def _looked_up(cost_of: Callable[..., Cost], *columns: IntArray) -> IntArray:
    """Cost of each row of the columns, each distinct row counted once: (num_rows, NUM_COUNTED)."""
    keys = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        keys = keys * (int(column.max(initial=0)) + 1) + column
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    table = []
    for row in first:
        cost = cost_of(*(int(column[row]) for column in columns))
        latency = cost.latency_nanoseconds or 0
        table.append((cost.multiply_adds, cost.parameters, cost.activations, latency))
    return np.asarray(table, dtype=np.int64).reshape(-1, NUM_COUNTED)[inverse]


def count_blocks(space: SearchSpace, points: IntArray) -> IntArray:
    """Count the blocks of many networks, identities left out.

    Args:
        space: Space that the points are of.
        points: (num_points, num_dimensions) choice indices.

    Returns:
        (num_points,).
    """
    totals = np.zeros(len(points), dtype=np.int64)
    for stage in space.stages:
        in_row = np.zeros(len(points), dtype=np.int64)
        for slot in stage.blocks:
            works = np.array([block.kind != "identity" for block in slot.values], dtype=np.int64)
            in_row += works[_choose(slot, points)]
        totals += in_row * _values(stage.num_blocks, points)
    return totals
