import dataclasses

import numpy as np
import pytest

from effsearch.space.canonical import network_hash
from effsearch.space.errors import SpecError
from effsearch.space.presets import load_preset
from effsearch.space.screening import sample_points
from effsearch.space.search_space import SearchSpace
from effsearch.space.shipped_spaces import load_shipped_space, shipped_space_names
from effsearch.space.space_text import space_from_yaml
from effsearch.space.spec import BlockSpec, ModelSpec

# Points of each space: the product of its choices.
SIZES = {
    "efficientnetv2": (3 * 2 * 3) ** 6 * (2 * 2) * (3 * 3) ** 5,
    "mbconv": 2 * (2 * 2 * 2 * 2) * (3 * 3 * 2 * 2 * 2) ** 5 * (3 * 2 * 2 * 2 * 2),
    "mnasnet": 2
    * 2
    * 2
    * 3**4
    * 3**5
    * 3
    * 2
    * (4 * 2 * 2 * 3) ** 7,  # x.75 of 16 and of 24 is the width itself
    "nas-bench-macro": 3**8,
}


def test_the_shipped_spaces_are_those_promised() -> None:
    assert shipped_space_names() == sorted(SIZES)


@pytest.mark.parametrize("name", SIZES)
def test_a_spaces_size_is_the_product_of_its_choices(name: str) -> None:
    space = load_shipped_space(name)
    assert space.name == name
    assert space.size == SIZES[name]


def test_an_unknown_shipped_space_names_the_known() -> None:
    with pytest.raises(
        SpecError,
        match=r"no search space 'mbcnv': did you mean mbconv\? Or give a file or one of efficientnetv2, ",
    ):
        load_shipped_space("mbcnv")


@pytest.mark.parametrize("name", ["efficientnet-b0", "mnasnet-a1"])
def test_the_default_space_holds_the_known_networks(name: str) -> None:
    space, spec = load_shipped_space("mbconv"), load_preset(name)
    point = space.find_point(spec)
    assert point is not None
    found = space.spec_at(point, resolution=224, num_classes=1000)
    assert network_hash(found) == network_hash(spec)


def test_the_v2_space_holds_v2_b0() -> None:
    space, spec = load_shipped_space("efficientnetv2"), load_preset("efficientnetv2-b0")
    point = space.find_point(spec)
    assert point is not None
    found = space.spec_at(point, resolution=224, num_classes=1000)
    assert network_hash(found) == network_hash(spec)
    kinds = [space.labels_at(point)[f"stage{number}.any_of"] for number in range(1, 7)]
    assert kinds == ["fused", "fused", "fused", "mbconv-se", "mbconv-se", "mbconv-se"]


def test_the_v2_space_ties_squeeze_excite_to_the_kind() -> None:
    """Section 3.2 of arXiv:2104.00298: Fused-MBConv goes without it."""
    space = load_shipped_space("efficientnetv2")
    for row in sample_points(space, 50, rng=np.random.default_rng(4)):
        for stage in space.spec_at(row, resolution=32, num_classes=10).stages:
            (block,) = set(stage.blocks)
            assert (block.kind, block.se_ratio) in {("mbconv", 0.0), ("mbconv", 0.25), ("fused_mbconv", 0.0)}
            assert (block.kernel_size in (3, 5), block.expand_ratio in (1, 4, 6)) == (True, True)


@pytest.mark.parametrize(
    ("preset", "space"),
    [
        ("efficientnetv2-b1", "efficientnetv2"),  # its last stage has nine blocks
        ("efficientnet-b2", "mbconv"),  # 1408 channels in its head; B1 is inside
        ("efficientnet-b0", "mnasnet"),
        ("mnasnet-a1", "mnasnet"),
        ("efficientnet-b0", "nas-bench-macro"),
    ],
)
def test_a_space_that_does_not_hold_a_network_gives_no_point(preset: str, space: str) -> None:
    assert load_shipped_space(space).find_point(load_preset(preset)) is None


def test_small_differences_are_no_point(b0: ModelSpec) -> None:
    space = load_shipped_space("mbconv")

    def with_first(**changes: object) -> ModelSpec:
        stages = list(b0.stages)
        stages[1] = dataclasses.replace(stages[1], **changes)  # type: ignore[arg-type] # any field
        return dataclasses.replace(b0, stages=tuple(stages))

    block = b0.stages[1].blocks[0]
    assert space.find_point(with_first()) is not None
    assert space.find_point(with_first(out_channels=40)) is None
    assert space.find_point(with_first(stride=1)) is None
    assert space.find_point(with_first(blocks=(block,) * 4)) is None
    assert space.find_point(with_first(blocks=(block, dataclasses.replace(block, kernel_size=5)))) is None
    assert space.find_point(with_first(blocks=(dataclasses.replace(block, activation="relu"),) * 2)) is None
    assert space.find_point(dataclasses.replace(b0, norm_epsilon=1e-5)) is None
    assert space.find_point(dataclasses.replace(b0, stages=b0.stages[:-1])) is None


def test_fields_without_effect_do_not_hide_a_point(b0: ModelSpec) -> None:
    """Stage one expands by 1, so a depthwise-separable block says the same; so does an inserted identity."""
    first = b0.stages[0]
    same = (dataclasses.replace(first.blocks[0], kind="depthwise_separable"), BlockSpec(kind="identity"))
    spec = dataclasses.replace(b0, stages=(dataclasses.replace(first, blocks=same), *b0.stages[1:]))
    assert load_shipped_space("mbconv").find_point(spec) is not None


@pytest.mark.parametrize("name", SIZES)
def test_every_drawn_network_is_found_again(name: str) -> None:
    space = load_shipped_space(name)
    for row in sample_points(space, 15, rng=np.random.default_rng(1)):
        spec = space.spec_at(row, resolution=64, num_classes=10)
        point = space.find_point(spec)
        assert point is not None
        assert network_hash(space.spec_at(point, resolution=64, num_classes=10)) == network_hash(spec)


@pytest.mark.parametrize("name", SIZES)
def test_labels_and_points_are_two_names_of_one_thing(name: str) -> None:
    space = load_shipped_space(name)
    assert len({dimension.name for dimension in space.dimensions}) == len(space.dimensions)
    for row in sample_points(space, 15, rng=np.random.default_rng(2)):
        point = tuple(int(index) for index in row)
        assert space.point_of(space.labels_at(point)) == point


def test_labels_that_name_no_point_are_refused() -> None:
    space = load_shipped_space("mbconv")
    labels = space.labels_at((0,) * len(space.dimensions))
    with pytest.raises(SpecError, match=r"stage2.repeats must be one of 1, 2, 3, got 4"):
        space.point_of(labels | {"stage2.repeats": 4})
    with pytest.raises(SpecError, match="activation must be one of swish, relu, got None"):
        space.point_of({})


def test_a_head_without_layers_is_found_whatever_its_activation() -> None:
    space = space_from_yaml(
        "schema_version: 1\nname: s\nhead: {out_channels: 0, activation: relu}\n"
        "stages: [{channels: [8, 16], repeats: 1}]\n"
    )
    spec = space.spec_at((1,), resolution=8, num_classes=2)
    other = dataclasses.replace(spec, head=dataclasses.replace(spec.head, activation="gelu"))
    assert space.find_point(other) == (1,)
    assert isinstance(space, SearchSpace)


def test_choices_that_are_numbers_lie_on_a_line_and_words_do_not() -> None:
    space = space_from_yaml(
        "schema_version: 1\nname: s\nstages: [{channels: [8, 16, 40], repeats: 1, se_ratio: [0, 0.25], "
        "activation: [relu, swish]}]\n"
    )
    positions = dict(zip((one.name for one in space.dimensions), space.positions(), strict=True))
    assert {name: None if line is None else line.tolist() for name, line in positions.items()} == {
        "stage1.channels": [8.0, 16.0, 40.0],
        "stage1.se_ratio": [0.0, 0.25],
        "stage1.activation": None,
    }


@pytest.mark.parametrize("name", SIZES)
def test_every_dimension_has_a_position_for_each_choice_or_none(name: str) -> None:
    space = load_shipped_space(name)
    for dimension, line in zip(space.dimensions, space.positions(), strict=True):
        has_words = any(isinstance(label, str) for label in dimension.labels)
        assert (line is None) == has_words
        assert line is None or line.tolist() == list(dimension.labels)
