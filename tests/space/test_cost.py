import dataclasses
from collections.abc import Callable

import pytest

from effsearch.space.cost import ZERO_COST, Cost, count_cost, layer_cost, layers_cost, part_costs
from effsearch.space.layers import layers
from effsearch.space.presets import load_preset
from effsearch.space.scaling import scale_depth, scale_width
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec

DrawSpec = Callable[[int], ModelSpec]

# Parameters of B0 to B7: arXiv:1905.11946's reference code. Multiply-adds, and B8, L2 and MnasNet-A1: the closed
# count of shared facts, which reproduces the published parameters exactly and the paper's .39 .70 1.0 1.8 4.2 9.9
# 19 37 billion to their digits.
GOLDEN = {
    "efficientnet-b0": (5_288_548, 385_814_752),
    "efficientnet-b1": (7_794_184, 686_802_832),
    "efficientnet-b2": (9_109_994, 993_561_872),
    "efficientnet-b3": (12_233_232, 1_827_141_392),
    "efficientnet-b4": (19_341_616, 4_393_771_024),
    "efficientnet-b5": (30_389_784, 10_266_384_752),
    "efficientnet-b6": (43_040_704, 19_067_593_536),
    "efficientnet-b7": (66_347_960, 37_745_884_192),
    "efficientnet-b8": (87_413_142, 62_597_461_568),
    "efficientnet-l2": (480_309_308, 475_703_653_280),
    "mnasnet-a1": (3_887_038, 311_579_072),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_known_networks_cost_what_they_are_known_to_cost(name: str) -> None:
    cost = count_cost(load_preset(name))
    assert (cost.parameters, cost.multiply_adds) == GOLDEN[name]


def test_b0_with_ten_classes_loses_the_classifiers_share(b0: ModelSpec) -> None:
    cost = count_cost(dataclasses.replace(b0, num_classes=10))
    assert (cost.multiply_adds, cost.parameters) == (384_547_552, 4_020_358)


def test_activations_are_the_outputs_of_convolutions() -> None:
    stage = StageSpec(out_channels=8, stride=1, blocks=(BlockSpec(kind="conv", kernel_size=3),))
    spec = ModelSpec(
        stem=StemSpec(out_channels=8, stride=2),
        stages=(stage,),
        head=HeadSpec(out_channels=16),
        resolution=8,
        num_classes=5,
    )
    assert count_cost(spec) == Cost(
        multiply_adds=16 * (27 * 8 + 72 * 8 + 8 * 16) + 16 * 5,
        parameters=(27 * 8 + 16) + (72 * 8 + 16) + (8 * 16 + 32) + (16 * 5 + 5),
        activations=16 * (8 + 8 + 16),
    )


def test_depthwise_convolutions_and_gates_count_their_own_weights() -> None:
    stage = StageSpec(out_channels=8, stride=1, blocks=(BlockSpec(kernel_size=5, se_ratio=0.25),))
    spec = ModelSpec(stem=StemSpec(out_channels=8), stages=(stage,), resolution=4, num_classes=1)
    by_name = {layer.name: layer_cost(layer) for layer in layers(spec) if layer.scope == "stages.0.0"}
    assert by_name["depthwise"] == Cost(multiply_adds=25 * 8 * 4, parameters=25 * 8 + 16, activations=32)
    assert by_name["squeeze"] == Cost(multiply_adds=16, parameters=16 + 2, activations=2)
    assert by_name["excite"] == Cost(multiply_adds=16, parameters=16 + 8, activations=8)
    assert by_name["add"] == ZERO_COST


@pytest.mark.parametrize("seed", range(60))
def test_part_costs_sum_to_the_whole(seed: int, draw_spec: DrawSpec) -> None:
    spec = draw_spec(seed)
    parts = part_costs(spec)
    assert list(parts) == ["stem", *(f"stage{n + 1}" for n in range(len(spec.stages))), "head"]
    assert sum(parts.values(), ZERO_COST) == count_cost(spec) == layers_cost(layers(spec))


@pytest.mark.parametrize("seed", range(40))
def test_cost_grows_with_depth(seed: int, draw_spec: DrawSpec) -> None:
    spec = draw_spec(seed)
    costs = [count_cost(scale_depth(spec, multiplier)) for multiplier in (0.4, 1.0, 1.5, 3.0)]
    for measure in ("multiply_adds", "parameters", "activations"):
        counts = [getattr(cost, measure) for cost in costs]
        assert counts == sorted(counts)
    if any(block.kind != "identity" for stage in spec.stages for block in stage.blocks):
        assert costs[3].multiply_adds > costs[1].multiply_adds


@pytest.mark.parametrize("seed", range(40))
def test_cost_grows_with_width_and_resolution(seed: int, draw_spec: DrawSpec) -> None:
    spec = draw_spec(seed)
    cost, wider = count_cost(spec), count_cost(scale_width(spec, 2.0))
    for measure in ("multiply_adds", "parameters", "activations"):
        assert getattr(wider, measure) > getattr(cost, measure)
    larger = count_cost(dataclasses.replace(spec, resolution=2 * spec.resolution + 8))
    assert larger.multiply_adds > cost.multiply_adds
    assert larger.parameters == cost.parameters


def test_counts_stay_whole_numbers(b0: ModelSpec) -> None:
    counts = dataclasses.asdict(count_cost(b0))
    assert counts.pop("latency_nanoseconds") is None
    assert {type(value) for value in counts.values()} == {int}
