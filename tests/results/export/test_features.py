"""Which maps a backbone gives."""

from typing import Any

import pytest

from effsearch.results.export.features import STEM, backbone_cost, find_features
from effsearch.space.cost import count_cost, part_costs
from effsearch.space.errors import SpecError
from effsearch.space.presets import load_preset
from effsearch.space.spec import BlockSpec, ModelSpec, StageSpec, StemSpec


def net(*strides: int, **fields: Any) -> ModelSpec:
    stages = tuple(
        StageSpec(out_channels=8 * (index + 1), stride=stride, blocks=(BlockSpec(),))
        for index, stride in enumerate(strides)
    )
    return ModelSpec(**({"stages": stages, "resolution": 64, "num_classes": 3} | fields))


def test_b0_gives_the_last_map_at_each_stride() -> None:
    features = find_features(load_preset("efficientnet-b0"))
    assert [(one.name, one.stride, one.channels, one.stage) for one in features] == [
        ("0", 4, 24, 1),
        ("1", 8, 40, 2),
        ("2", 16, 112, 4),
        ("3", 32, 320, 6),
    ]


def test_a_stem_of_stride_four_gives_the_first_map() -> None:
    features = find_features(net(2, stem=StemSpec(out_channels=24, has_max_pool=True)))
    assert [(one.stride, one.channels, one.stage) for one in features] == [(4, 24, STEM), (8, 8, 0)]


def test_strides_that_are_not_there_are_left_out_and_those_beyond_32_too() -> None:
    assert [one.stride for one in find_features(net(4, 2, 4))] == [8, 16]
    assert [one.name for one in find_features(net(4, 2, 4))] == ["0", "1"]


def test_a_network_without_such_maps_is_refused() -> None:
    with pytest.raises(
        SpecError, match="no feature maps: the network has strides 1, 2, and none of 4, 8, 16, 32"
    ):
        find_features(net(2, stem=StemSpec(stride=1)))


def test_a_backbone_is_counted_without_its_head() -> None:
    whole = load_preset("efficientnet-b0")
    head = part_costs(whole)["head"]
    cost = backbone_cost(whole, last_stage=6)
    assert cost + head == count_cost(whole)
    parts = part_costs(whole)
    first_two = parts["stem"] + parts["stage1"] + parts["stage2"]
    assert backbone_cost(whole, last_stage=1) == first_two
