import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from effsearch.space.canonical import network_hash
from effsearch.space.presets import load_preset, preset_names
from effsearch.space.spec import BlockSpec, ModelSpec, StageSpec

DrawSpec = Callable[[int], ModelSpec]


def small(*blocks: BlockSpec, **changes: Any) -> ModelSpec:
    stages = (StageSpec(out_channels=32, stride=1, blocks=blocks),)
    return ModelSpec(**({"stages": stages, "resolution": 32, "num_classes": 10} | changes))


def test_presets_are_known_by_their_hashes() -> None:
    """The ledgers of users are keyed by these: a change of the hash orphans their scores."""
    assert network_hash(load_preset("efficientnet-b0")) == "e3b719e3714f0188"
    assert network_hash(load_preset("mnasnet-a1")) == "7d2a01469f0fac03"


def test_presets_are_different_networks() -> None:
    assert len({network_hash(load_preset(name)) for name in preset_names()}) == len(preset_names())


@pytest.mark.parametrize("seed", range(30))
def test_inserting_identities_changes_nothing(seed: int, draw_spec: DrawSpec) -> None:
    spec = draw_spec(seed)
    identity = BlockSpec(kind="identity", kernel_size=7)
    stages = tuple(
        dataclasses.replace(stage, blocks=(stage.blocks[0], identity, *stage.blocks[1:], identity))
        for stage in spec.stages
    )
    assert network_hash(dataclasses.replace(spec, stages=stages)) == network_hash(spec)


@pytest.mark.parametrize("seed", range(30))
def test_regrouping_blocks_into_stages_changes_nothing(seed: int, draw_spec: DrawSpec) -> None:
    spec = draw_spec(seed)
    stages = []
    for stage in spec.stages:
        stages.append(dataclasses.replace(stage, blocks=stage.blocks[:1]))
        stages += [dataclasses.replace(stage, stride=1, blocks=(block,)) for block in stage.blocks[1:]]
    assert network_hash(dataclasses.replace(spec, stages=tuple(stages))) == network_hash(spec)


@pytest.mark.parametrize("seed", range(20))
def test_what_belongs_to_the_data_or_the_recipe_is_left_out(seed: int, draw_spec: DrawSpec) -> None:
    spec = draw_spec(seed)
    other = dataclasses.replace(
        spec,
        num_classes=spec.num_classes + 1,
        resolution=spec.resolution + 13,
        drop_path_rate=0.05,
        head=dataclasses.replace(spec.head, dropout_rate=0.01),
    )
    assert network_hash(other) == network_hash(spec)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"kind": "mbconv", "expand_ratio": 1}, {"kind": "depthwise_separable"}),
        ({"kind": "depthwise_separable", "expand_ratio": 6}, {"kind": "depthwise_separable"}),
        ({"expand_ratio": 3}, {"expanded_channels": 96}),
        ({"se_activation": "relu", "se_gate": "hard_sigmoid"}, {}),  # there is no squeeze-excite
        ({"se_of": "expanded", "se_divisor": 8}, {}),
        ({"se_ratio": 0.25, "se_of": "expanded"}, {"se_ratio": 0.25}),  # without expansion both are the input
        ({"se_ratio": 0.25, "se_divisor": 8}, {"se_ratio": 0.25}),  # 8 either way
        ({"kind": "conv", "projection_activation": "relu"}, {"kind": "conv"}),
        ({"skip": "pool"}, {"skip": "identity"}),  # nothing strides or widens
        (
            {"kind": "fused_mbconv", "projection_activation": "relu"},
            {"kind": "conv"},
        ),
    ],
)
def test_fields_without_effect_change_nothing(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert network_hash(small(BlockSpec(**one))) == network_hash(small(BlockSpec(**other)))


@pytest.mark.parametrize(
    "change",
    [
        {"kernel_size": 5},
        {"expand_ratio": 3},
        {"se_ratio": 0.5},
        {"se_activation": "relu"},
        {"se_gate": "hard_sigmoid"},
        {"activation": "relu"},
        {"projection_activation": "relu"},
        {"skip": "none"},
        {"kind": "fused_mbconv"},
    ],
)
def test_fields_with_effect_make_another_network(change: dict[str, Any]) -> None:
    block = BlockSpec(expand_ratio=6, se_ratio=0.25)
    assert network_hash(small(dataclasses.replace(block, **change))) != network_hash(small(block))


def test_order_number_stride_and_norm_make_another_network() -> None:
    first, second = BlockSpec(kernel_size=3), BlockSpec(kernel_size=5)
    specs = [
        small(first, second),
        small(second, first),
        small(first, second, second),
        small(first, second, norm_momentum=0.1),
        small(first, second, norm_epsilon=1e-5),
        small(first, second, stages=(StageSpec(out_channels=32, stride=2, blocks=(first, second)),)),
        small(first, second, stages=(StageSpec(out_channels=40, stride=1, blocks=(first, second)),)),
    ]
    assert len({network_hash(spec) for spec in specs}) == len(specs)


def test_a_blocks_end_counts_even_where_no_skip_shows_it() -> None:
    """The hash may part what is equal in the end; it never joins what differs."""
    plain = {"skip": "none", "activation": "none"}
    bottleneck = BlockSpec(kind="bottleneck", expand_ratio=0.25, **plain)
    conv1, conv3 = (BlockSpec(kind="conv", kernel_size=size, **plain) for size in (1, 3))
    row = tuple(
        StageSpec(out_channels=channels, stride=1, blocks=(block,))
        for channels, block in ((8, conv1), (8, conv3), (32, conv1))
    )
    assert network_hash(small(bottleneck)) != network_hash(small(bottleneck, stages=row))
