"""What does one forward pass of a network cost?

The count is closed and in integers, read off the layer walk; nothing is built. `proxy_train.measure` counts the
same networks with fvcore and torch, and the tests hold the three together.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from effsearch.space.latency_table import LatencyTable, part_latencies, part_of
from effsearch.space.layer import Layer
from effsearch.space.layers import layers
from effsearch.space.spec import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a network or a part of one costs for one image."""

    multiply_adds: int
    parameters: int
    activations: int  # output elements of the convolutions; they predict running time where FLOPs do not
    latency_nanoseconds: int | None = (
        None  # of one pass, as a table predicts it; None where there is no table
    )

    def __add__(self, other: "Cost") -> "Cost":
        mine, others = self.latency_nanoseconds, other.latency_nanoseconds
        return Cost(
            multiply_adds=self.multiply_adds + other.multiply_adds,
            parameters=self.parameters + other.parameters,
            activations=self.activations + other.activations,
            latency_nanoseconds=None if mine is None or others is None else mine + others,
        )


ZERO_COST = Cost(multiply_adds=0, parameters=0, activations=0)


def count_cost(spec: ModelSpec, table: LatencyTable | None = None) -> Cost:
    """Count the multiply-adds, parameters and activations of one forward pass, and read its latency off a table.

    Convolutions and linear layers count one per multiply-add; bias adds, normalisation, activations,
    pooling and the squeeze-excite rescale count zero. Norms have two parameters per channel.

    Args:
        spec: Model to measure at its own resolution and classes, batch of one.
        table: What its blocks take; without one there is no latency.

    Returns:
        Exact integers; `Cost` values add, so parts may be summed.

    Raises:
        UsageError: The table lacks a block.

    Source:
        The paper's FLOPs: B0 of arXiv:1905.11946 comes to 385,814,752 at 224 pixels.
    """
    cost = layers_cost(layers(spec))
    return cost if table is None else replace(cost, latency_nanoseconds=table.predict(spec))


def layers_cost(some_layers: Iterable[Layer]) -> Cost:
    """Count the cost of any layers together."""
    return sum((layer_cost(layer) for layer in some_layers), ZERO_COST)


def part_costs(spec: ModelSpec, table: LatencyTable | None = None) -> dict[str, Cost]:
    """Count each part by itself: "stem", "stage1", "stage2", ..., "head", in order."""
    costs = {"stem": ZERO_COST}
    costs |= {f"stage{number}": ZERO_COST for number in range(1, len(spec.stages) + 1)}
    costs["head"] = ZERO_COST
    for layer in layers(spec):
        costs[part_of(layer.scope)] += layer_cost(layer)
    if table is None:
        return costs
    latencies = part_latencies(spec, table)
    return {part: replace(cost, latency_nanoseconds=latencies[part]) for part, cost in costs.items()}


def layer_cost(layer: Layer) -> Cost:
    """Count one layer."""
    if layer.kind not in ("conv", "linear"):
        return ZERO_COST
    weights = layer.out_channels * (layer.in_channels // layer.groups) * layer.kernel_size**2
    num_positions = layer.out_size**2
    return Cost(
        multiply_adds=weights * num_positions,
        parameters=weights + layer.out_channels * (layer.has_bias + 2 * layer.has_norm),
        activations=layer.out_channels * num_positions if layer.kind == "conv" else 0,
    )
