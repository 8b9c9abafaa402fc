import dataclasses
from collections.abc import Callable

import pytest

from effsearch.space.arms import ARM_NAMES, DEFAULT_ARMS, ArmName, base_arm, make_arm
from effsearch.space.coefficients import PAPER_COEFFICIENTS, ScalingCoefficients
from effsearch.space.cost import count_cost
from effsearch.space.errors import SpecError
from effsearch.space.outcome import Fidelity
from effsearch.space.presets import load_preset
from effsearch.space.proxy import fidelity_for, proxy_spec
from effsearch.space.rays import CountModel
from effsearch.space.scaling import BuildRules, scale_width
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec


def count_at(base: ModelSpec, *, resolution: int, num_removed_strides: int) -> CountModel:
    """Counts networks as the proxy trains them."""
    fidelity = Fidelity(
        num_images=1, num_epochs=1, resolution=resolution, num_removed_strides=num_removed_strides
    )

    def count(spec: ModelSpec) -> int:
        own = fidelity_for(spec, fidelity, target_resolution=base.resolution)
        return count_cost(proxy_spec(spec, own, num_classes=10)).multiply_adds

    return count


def count_own(spec: ModelSpec) -> int:
    return count_cost(spec).multiply_adds


def stages_of(spec: ModelSpec) -> list[tuple[int, int]]:
    return [(stage.num_blocks, stage.out_channels) for stage in spec.stages]


@pytest.mark.parametrize("preset", ["efficientnet-b0", "mobilenet-v2", "resnet-50"])
@pytest.mark.parametrize("factor", [2.0, 4.0])
@pytest.mark.parametrize("name", ARM_NAMES)
def test_every_arm_meets_the_cost_within_one_per_cent_as_it_is_trained(
    preset: str, factor: float, name: ArmName
) -> None:
    base = load_preset(preset)
    count = count_at(base, resolution=32, num_removed_strides=2)
    arm = make_arm(base, name, factor=factor, count=count)
    assert count(arm.spec) == arm.multiply_adds
    assert arm.off == arm.multiply_adds / (factor * count(base)) - 1
    assert abs(arm.off) <= 0.01
    assert arm.title == f"{name} x{factor:g}"


@pytest.mark.parametrize("preset", ["efficientnet-b0", "mobilenet-v2", "resnet-50"])
def test_a_single_dimension_leaves_the_others_untouched_but_for_the_correction_it_names(preset: str) -> None:
    base = load_preset(preset)
    count = count_at(base, resolution=32, num_removed_strides=2)
    blocks, channels = zip(*stages_of(base), strict=True)
    for factor in (2.0, 4.0):
        depth, width, resolution = (
            make_arm(base, name, factor=factor, count=count) for name in ("depth", "width", "resolution")
        )
        assert depth.spec.resolution == width.spec.resolution == base.resolution < resolution.spec.resolution
        assert [stage[0] for stage in stages_of(width.spec)] == list(blocks)
        assert [stage[0] for stage in stages_of(resolution.spec)] == list(blocks)
        assert [stage[0] for stage in stages_of(depth.spec)] > list(blocks)
        assert width.width_correction == 1
        for arm in (depth, resolution):
            is_untouched = [stage[1] for stage in stages_of(arm.spec)] == list(channels)
            assert is_untouched == (arm.width_correction == 1) == (arm.multipliers.width == 1)
            assert abs(arm.width_correction - 1) <= 0.15


def test_golden_arms_of_b0_at_16_pixels(b0: ModelSpec) -> None:
    """Two strides off, 29.5 M; depth and resolution need a touch of width in ones, dwr finer channels alone."""
    count = count_at(b0, resolution=16, num_removed_strides=2)
    arms = {name: make_arm(b0, name, factor=4, count=count) for name in DEFAULT_ARMS}
    assert count(b0) == 29_521_792
    assert {name: arm.multiply_adds for name, arm in arms.items()} == {
        "depth": 117_504_836,
        "width": 117_829_216,
        "resolution": 117_090_572,
        "compound": 117_217_792,
        "dwr": 118_724_676,
    }
    assert {name: (arm.divisor, arm.width_correction) for name, arm in arms.items()} == {
        "depth": (1, 1.005),
        "width": (8, 1.0),
        "resolution": (1, 1.005),
        "compound": (8, 1.0),
        "dwr": (2, 1.0),
    }


def test_the_papers_arm_is_compound_with_the_papers_triple(b0: ModelSpec) -> None:
    other = ScalingCoefficients(alpha=1.0, beta=1.4, gamma=1.0)
    arms = [
        make_arm(b0, name, factor=2, count=count_own, coefficients=coefficients)
        for name, coefficients in (("paper", other), ("compound", PAPER_COEFFICIENTS), ("compound", other))
    ]
    assert arms[0].spec == arms[1].spec != arms[2].spec


def test_the_coarsest_multiple_that_meets_the_cost_is_taken() -> None:
    base = load_preset("mobilenet-v2")
    count = count_at(base, resolution=32, num_removed_strides=2)
    arm = make_arm(base, "width", factor=2, count=count)
    assert arm.divisor == 4
    assert any(stage.out_channels % 8 for stage in arm.spec.stages)
    assert all(stage.out_channels % 4 == 0 for stage in arm.spec.stages)
    wide = make_arm(base, "width", factor=2, count=count, tolerance=0.03)
    assert wide.divisor == 8
    assert all(stage.out_channels % 8 == 0 for stage in wide.spec.stages)


def test_a_correction_is_the_smallest_that_will_do(b0: ModelSpec) -> None:
    count = count_at(b0, resolution=16, num_removed_strides=2)
    arm = make_arm(b0, "depth", factor=4, count=count)
    target = 4 * count(b0)
    plain = dataclasses.replace(
        b0,
        stages=tuple(
            dataclasses.replace(
                stage, blocks=stage.blocks + stage.blocks[-1:] * (grown.num_blocks - stage.num_blocks)
            )
            for stage, grown in zip(b0.stages, arm.spec.stages, strict=True)
        ),
    )
    rules = BuildRules(divisor=arm.divisor)
    assert arm.width_correction > 1
    assert count(plain) < 0.99 * target
    assert count(scale_width(plain, arm.width_correction - 0.001, rules)) < 0.99 * target
    assert scale_width(plain, arm.width_correction, rules) == arm.spec


@pytest.mark.parametrize(
    ("preset", "resolution", "name", "divisor", "correction"),
    [
        ("efficientnet-b0", 16, "depth", 1, 0.992),  # 0.979 in eights, 0.982 in fours, 0.991 in twos
        ("mobilenet-v2", 32, "depth", 1, 0.984),  # 0.962, 0.979, 0.981
        ("resnet-50", 16, "depth", 8, 0.984),  # 0.981, 0.983, 0.977
        ("resnet-50", 16, "resolution", 8, 0.992),  # 0.992 in fours too, 0.989, 0.988
        ("resnet-50", 32, "resolution", 8, 1.008),  # in all
    ],
)
def test_the_multiple_with_the_correction_nearest_one_is_taken_and_the_coarsest_of_equals(
    preset: str, resolution: int, name: ArmName, divisor: int, correction: float
) -> None:
    base = load_preset(preset)
    count = count_at(base, resolution=resolution, num_removed_strides=2)
    arm = make_arm(base, name, factor=2, count=count)
    assert (arm.divisor, arm.width_correction) == (divisor, correction)


def test_a_large_network_may_grow_to_almost_as_many_blocks_as_there_may_be() -> None:
    """B7 has 55 blocks; the ray goes on beyond the 1024 that a network may have."""
    arm = make_arm(load_preset("efficientnet-b7"), "depth", factor=16, count=count_own)
    assert sum(stage.num_blocks for stage in arm.spec.stages) == 869
    assert abs(arm.off) <= 0.01


def test_the_cost_over_the_bases_is_the_factor_as_built(b0: ModelSpec) -> None:
    arm = make_arm(b0, "width", factor=4, count=count_own)
    assert arm.relative_cost == pytest.approx(arm.multiply_adds / 385_814_752, rel=1e-12)
    assert base_arm(b0, count_own).relative_cost == 1


def test_a_compound_without_width_or_pixels_is_depth_alone(b0: ModelSpec) -> None:
    only_deep = ScalingCoefficients(alpha=2.0, beta=1.0, gamma=1.0)
    compound = make_arm(b0, "compound", factor=4, count=count_own, coefficients=only_deep)
    depth = make_arm(b0, "depth", factor=4, count=count_own)
    assert (compound.spec, compound.width_correction) == (depth.spec, depth.width_correction)


def test_random_bases_meet_the_cost_or_are_refused(draw_spec: Callable[[int], ModelSpec]) -> None:
    num_met = 0
    for seed in range(12):
        base = draw_spec(seed)
        for name in DEFAULT_ARMS:
            try:
                arm = make_arm(base, name, factor=4, count=count_own)
            except SpecError:
                continue
            num_met += 1
            assert abs(arm.off) <= 0.01
            assert count_own(arm.spec) == arm.multiply_adds
    assert num_met >= 30


def test_the_base_is_an_arm_of_factor_one(b0: ModelSpec) -> None:
    arm = base_arm(b0, count_own)
    assert (arm.spec, arm.multiply_adds, arm.factor, arm.off) == (b0, 385_814_752, 1, 0)
    assert arm.title == "base"


def test_costs_that_no_network_of_an_arm_has_are_refused() -> None:
    nothing_to_repeat = StageSpec(out_channels=16, stride=1, blocks=(BlockSpec(kind="identity"),))
    base = ModelSpec(stages=(nothing_to_repeat,), head=HeadSpec(out_channels=0), resolution=8, num_classes=2)
    message = (
        r"the depth arm meets 4 x the base's cost only to 75\.0%, and 1\.0% is wanted: take another --factor"
    )
    with pytest.raises(SpecError, match=message):
        make_arm(base, "depth", factor=4, count=count_own)


@pytest.mark.parametrize("factor", [1.0, 0.5, 33, float("nan")])
def test_factors_out_of_range_are_refused(b0: ModelSpec, factor: float) -> None:
    with pytest.raises(SpecError, match=r"--factor must be from 1\.05 to 32, got"):
        make_arm(b0, "depth", factor=factor, count=count_own)


@pytest.mark.parametrize("tolerance", [0.0, 0.6])
def test_tolerances_out_of_range_are_refused(b0: ModelSpec, tolerance: float) -> None:
    with pytest.raises(SpecError, match=r"--tolerance must be above 0 and at most 0\.5, got"):
        make_arm(b0, "depth", factor=4, count=count_own, tolerance=tolerance)
