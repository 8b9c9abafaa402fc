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


def test_without_its_floor_a_width_may_fall_by_more_than_a_tenth(b0: ModelSpec) -> None:
    """EfficientNetV2 rounds so: 1.1 x 16 is 17.6, nearest to 16, which is more than a tenth less."""
    floored, plain = (scale_width(b0, 1.1 * 1.02, BuildRules(has_floor=floor)) for floor in (True, False))
    assert (floored.stages[0].out_channels, plain.stages[0].out_channels) == (24, 16)


def test_fixed_ends_are_those_of_efficientnet_lite(b0: ModelSpec) -> None:
    lite = scale_model(b0, Multipliers(depth=1.8, width=1.4), BuildRules(has_fixed_ends=True))
    assert (lite.stem, lite.head) == (b0.stem, b0.head)
    assert [stage.num_blocks for stage in lite.stages] == [1, 4, 4, 6, 6, 8, 1]
    assert [stage.out_channels for stage in lite.stages] == [24, 32, 56, 112, 160, 272, 448]


@pytest.mark.parametrize(
    ("multiplier", "rules", "resolution"),
    [
        (1.15, {}, 258),
        (1.15, {"resolution_multiple": 32}, 256),
        (1.02, {"resolution_multiple": 32}, 224),
        (0.99, {"resolution_multiple": 32}, 224),
        (2.5, {"max_resolution": 480}, 480),
        (1.0, {"max_resolution": 100}, 224),
        (0.5, {"max_resolution": 100}, 112),
        (1.01, {"resolution_multiple": 100}, 224),  # the nearest, 200, is less than the base's
    ],
)
def test_pixels_go_to_multiples_and_stop_at_a_cap(
    b0: ModelSpec, multiplier: float, rules: dict[str, int], resolution: int
) -> None:
    scaled = scale_model(b0, Multipliers(resolution=multiplier), BuildRules(**rules))
    assert scaled.resolution == resolution


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ({"divisor": 0}, "divisor must be a whole number from 1 to 256, got 0"),
        ({"resolution_multiple": 1000}, "resolution_multiple must be a whole number from 1 to 512, got 1000"),
        ({"max_resolution": 0}, "max_resolution must be at least 1, got 0"),
    ],
)
def test_build_rules_out_of_reason_are_refused(rules: dict[str, int], message: str) -> None:
    with pytest.raises(SpecError, match=message):
        BuildRules(**rules)
