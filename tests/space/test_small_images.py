import dataclasses
from collections.abc import Callable

import pytest

from effsearch.space.cost import count_cost
from effsearch.space.layers import layers
from effsearch.space.small_images import count_removable_strides, front_strides, remove_strides
from effsearch.space.spec import ModelSpec, StemSpec


# Multiply-adds in millions, with ten classes: the design's page, section "Small images".
@pytest.mark.parametrize(
    ("resolution", "num_removed", "multiply_adds"),
    [
        (32, 0, 8_474_848),
        (32, 1, 31_979_392),
        (32, 2, 116_167_168),
        (32, 3, 407_354_368),
        (64, 0, 31_979_392),
        (64, 1, 125_997_568),
    ],
)
def test_b0_on_small_images_costs_what_the_design_says(
    b0: ModelSpec, resolution: int, num_removed: int, multiply_adds: int
) -> None:
    small = dataclasses.replace(b0, resolution=resolution, num_classes=10)
    assert count_cost(remove_strides(small, num_removed)).multiply_adds == multiply_adds


def test_strides_come_off_the_front_stem_first(b0: ModelSpec) -> None:
    def strides(spec: ModelSpec) -> list[int]:
        return [spec.stem.stride, *(stage.stride for stage in spec.stages)]

    assert strides(b0) == [2, 1, 2, 2, 2, 1, 2, 1]
    assert strides(remove_strides(b0, 1)) == [1, 1, 2, 2, 2, 1, 2, 1]
    assert strides(remove_strides(b0, 3)) == [1, 1, 1, 1, 2, 1, 2, 1]
    assert strides(remove_strides(b0, 99)) == [1] * 8
    assert remove_strides(b0, 0) == b0
    assert front_strides(b0) == [2] * 5


def test_the_stems_pool_comes_off_after_its_stride(b0: ModelSpec) -> None:
    pooled = dataclasses.replace(b0, stem=StemSpec(has_max_pool=True))
    assert front_strides(pooled) == [2] * 6
    assert remove_strides(pooled, 1).stem == StemSpec(stride=1, has_max_pool=True)
    assert remove_strides(pooled, 2).stem == StemSpec(stride=1)


@pytest.mark.parametrize(
    ("resolution", "min_map", "num_removed"),
    [(224, 7, 0), (32, 1, 0), (32, 2, 1), (32, 4, 2), (64, 4, 1), (48, 4, 2), (16, 16, 5), (4, 8, 5)],
)
def test_just_as_many_strides_go_as_the_last_map_needs(
    b0: ModelSpec, resolution: int, min_map: int, num_removed: int
) -> None:
    assert count_removable_strides(b0, resolution=resolution, min_map=min_map) == num_removed


@pytest.mark.parametrize("seed", range(30))
def test_the_last_map_is_wide_enough_with_them_and_not_with_one_fewer(
    seed: int, draw_spec: Callable[[int], ModelSpec]
) -> None:
    spec = dataclasses.replace(draw_spec(seed), resolution=32)

    def last_map(num_removed: int) -> int:
        pools = [layer for layer in layers(remove_strides(spec, num_removed)) if layer.kind == "global_pool"]
        return pools[0].in_size

    num_removed = count_removable_strides(spec, resolution=32, min_map=4)
    assert last_map(num_removed) >= 4
    assert num_removed == 0 or last_map(num_removed - 1) < 4
