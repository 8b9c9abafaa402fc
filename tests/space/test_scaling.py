import dataclasses
from collections.abc import Callable

import pytest

from effsearch.space.errors import SpecError
from effsearch.space.layers import layers
from effsearch.space.presets import load_preset
from effsearch.space.scaling import BuildRules, Multipliers, scale_depth, scale_model, scale_width
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec

DrawSpec = Callable[[int], ModelSpec]


def test_published_multipliers_rebuild_the_family(b0: ModelSpec) -> None:
    """B3 of arXiv:1905.11946: width 1.2, depth 1.4, resolution 300."""
    built = scale_model(b0, Multipliers(depth=1.4, width=1.2, resolution=300 / 224))
    b3 = load_preset("efficientnet-b3")
    assert list(layers(built)) != list(layers(b0))
    assert dataclasses.replace(built, head=b3.head) == b3


@pytest.mark.parametrize("seed", range(20))
def test_a_multiplier_of_exactly_one_leaves_its_dimension_untouched(seed: int, draw_spec: DrawSpec) -> None:
    odd = dataclasses.replace(
        draw_spec(seed).stages[0], out_channels=37
    )  # a width that rounding would not leave alone
    spec = dataclasses.replace(draw_spec(seed), stages=(odd, *draw_spec(seed).stages[1:]))
    assert scale_model(spec, Multipliers()) == spec
    deeper = scale_model(spec, Multipliers(depth=2.0))
    assert [stage.out_channels for stage in deeper.stages] == [stage.out_channels for stage in spec.stages]
    assert deeper.resolution == spec.resolution
    wider = scale_model(spec, Multipliers(width=2.0))
    assert [stage.num_blocks for stage in wider.stages] == [stage.num_blocks for stage in spec.stages]


def test_depth_repeats_the_last_working_block_and_keeps_identities() -> None:
    first, last, identity = BlockSpec(), BlockSpec(kernel_size=5), BlockSpec(kind="identity")
    stage = StageSpec(out_channels=16, stride=2, blocks=(first, identity, last, identity))
    spec = ModelSpec(stages=(stage,), resolution=32, num_classes=10)
    assert scale_depth(spec, 1.6).stages[0].blocks == (first, identity, last, identity, last, last)
    assert scale_depth(spec, 0.5).stages[0].blocks == (first, identity, identity)


def test_a_stage_of_identities_stays_as_it_is() -> None:
    stage = StageSpec(out_channels=16, stride=2, blocks=(BlockSpec(kind="identity"),) * 2)
    spec = ModelSpec(stages=(stage,), resolution=32, num_classes=10)
    assert scale_depth(spec, 3.0) == spec


@pytest.mark.parametrize("seed", range(20))
def test_scaling_depth_never_removes_the_last_working_block(seed: int, draw_spec: DrawSpec) -> None:
    spec = draw_spec(seed)
    for before, after in zip(spec.stages, scale_depth(spec, 0.01).stages, strict=True):
        working = [block for block in before.blocks if block.kind != "identity"]
        assert [block for block in after.blocks if block.kind != "identity"] == working[:1]


def test_width_scales_stem_head_and_widths_given_outright() -> None:
    stage = StageSpec(out_channels=16, stride=1, blocks=(BlockSpec(expanded_channels=40), BlockSpec()))
    spec = ModelSpec(
        stages=(stage,), head=HeadSpec(out_channels=0, hidden_features=100), resolution=32, num_classes=10
    )
    wide = scale_width(spec, 1.5)
    assert wide.stem.out_channels == 48
    assert wide.stages[0].out_channels == 24
    assert [block.expanded_channels for block in wide.stages[0].blocks] == [64, 0]  # 60 rounds up
    assert (wide.head.out_channels, wide.head.hidden_features) == (0, 152)


def test_width_may_round_to_another_divisor(b0: ModelSpec) -> None:
    assert scale_width(b0, 1.1).stages[1].out_channels == 24  # 26.4
    assert scale_width(b0, 1.1, BuildRules(divisor=4)).stages[1].out_channels == 28


@pytest.mark.parametrize("multiplier", [0.0, -1.0, 101.0, float("nan"), float("inf")])
def test_multipliers_out_of_reason_are_refused(multiplier: float) -> None:
    with pytest.raises(SpecError, match=f"width multiplier must be from 0.01 to 100, got {multiplier}"):
        Multipliers(width=multiplier)


def test_nominal_cost_is_depth_times_width_and_resolution_squared() -> None:
    assert Multipliers(depth=1.2, width=1.1, resolution=1.15).nominal_cost == pytest.approx(1.9202694)
