import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from effsearch.space.block_layers import block_layers
from effsearch.space.layer import strided_size
from effsearch.space.layers import layers
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec

DrawSpec = Callable[[int], ModelSpec]


def walk(block: BlockSpec, *, ins: int = 16, outs: int = 16, stride: int = 1) -> list[str]:
    """The layers of a block, each as name:in>out, with k and g where they are not 1."""
    rows = []
    for layer in block_layers(block, scope="", in_channels=ins, out_channels=outs, stride=stride, in_size=32):
        text = f"{layer.name}:{layer.in_channels}>{layer.out_channels}"
        text += f" k{layer.kernel_size}" if layer.kernel_size > 1 else ""
        text += " dw" if layer.groups > 1 else ""
        text += f" s{layer.stride}" if layer.stride > 1 else ""
        rows.append(text)
    return rows


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"expand_ratio": 6}, ["expand:16>96", "depthwise:96>96 k3 dw", "project:96>16", "add:16>16"]),
        ({}, ["depthwise:16>16 k3 dw", "project:16>16", "add:16>16"]),
        ({"skip": "none"}, ["depthwise:16>16 k3 dw", "project:16>16"]),
        (
            {"se_ratio": 0.25, "kernel_size": 5},
            ["depthwise:16>16 k5 dw", "squeeze:16>4", "excite:4>16", "project:16>16", "add:16>16"],
        ),
        (
            {"kind": "fused_mbconv", "expand_ratio": 4, "se_ratio": 0.25},
            ["fused:16>64 k3", "squeeze:64>4", "excite:4>64", "project:64>16", "add:16>16"],
        ),
        (
            {"kind": "fused_mbconv", "se_ratio": 0.25},
            ["squeeze:16>4", "excite:4>16", "fused:16>16 k3", "add:16>16"],
        ),
        ({"kind": "conv", "se_ratio": 0.5}, ["conv:16>16 k3", "squeeze:16>8", "excite:8>16", "add:16>16"]),
        (
            {"kind": "bottleneck", "expand_ratio": 0.25},
            ["reduce:16>4", "conv:4>4 k3", "restore:4>16", "add:16>16"],
        ),
        ({"kind": "basic", "skip": "none"}, ["conv1:16>16 k3", "conv2:16>16 k3", "activation:16>16"]),
        ({"kind": "basic", "skip": "none", "activation": "none"}, ["conv1:16>16 k3", "conv2:16>16 k3"]),
        ({"expanded_channels": 40, "expand_ratio": 6}, ["expand:16>40", "depthwise:40>40 k3 dw"]),
        ({"kind": "identity"}, []),
    ],
)
def test_each_kind_is_the_convolutions_its_docstring_says(fields: Any, expected: list[str]) -> None:
    assert walk(BlockSpec(**fields))[: len(expected)] == expected
    if "expanded_channels" not in fields:
        assert len(walk(BlockSpec(**fields))) == len(expected)


def test_a_block_that_changes_its_shape_has_a_shortcut_only_where_it_can() -> None:
    assert walk(BlockSpec(kind="conv"), outs=24, stride=2) == ["conv:16>24 k3 s2"]
    assert walk(BlockSpec(kind="basic"), outs=24, stride=2)[-2:] == ["shortcut:16>24 s2", "add:24>24"]
    assert walk(BlockSpec(kind="conv", skip="pool"), outs=24, stride=2)[-2:] == [
        "shortcut:16>24 s2",
        "add:24>24",
    ]
    assert walk(BlockSpec(kind="conv", skip="pool"), outs=8) == ["conv:16>8 k3"]  # cannot drop channels
    assert walk(BlockSpec(kind="identity"), outs=24, stride=2) == ["project:16>24 s2"]
    assert walk(BlockSpec(kind="identity"), stride=2) == ["project:16>16 s2"]


def test_a_pooled_shortcut_costs_no_convolution() -> None:
    block = BlockSpec(kind="basic", skip="pool")
    kinds = {
        layer.name: (layer.kind, layer.has_norm)
        for layer in block_layers(block, scope="", in_channels=8, out_channels=16, stride=2, in_size=8)
    }
    assert kinds["shortcut"] == ("pool_and_pad", False)


def test_squeeze_excite_is_a_share_of_the_input_or_of_the_gated_width() -> None:
    assert "squeeze:96>4" in walk(BlockSpec(expand_ratio=6, se_ratio=0.25))
    assert "squeeze:96>24" in walk(BlockSpec(expand_ratio=6, se_ratio=0.25, se_of="expanded"))
    assert "squeeze:96>8" in walk(BlockSpec(expand_ratio=6, se_ratio=0.25, se_divisor=8))


def test_squeeze_excite_has_bias_and_gate_and_no_norm() -> None:
    block = BlockSpec(se_ratio=0.25, se_activation="relu", se_gate="hard_sigmoid")
    gate = [
        (layer.activation, layer.has_bias, layer.has_norm, layer.out_size)
        for layer in block_layers(block, scope="", in_channels=16, out_channels=16, stride=1, in_size=8)
        if layer.branch == "gate"
    ]
    assert gate == [("relu", True, False, 1), ("hard_sigmoid", True, False, 1)]


def test_projections_are_linear_unless_said() -> None:
    def activations(**fields: Any) -> list[str]:
        block = BlockSpec(activation="relu", **fields)
        found = block_layers(block, scope="", in_channels=8, out_channels=16, stride=1, in_size=8)
        return [layer.activation for layer in found]

    assert activations(expand_ratio=6) == ["relu", "relu", "none"]
    assert activations(projection_activation="relu6") == ["relu", "relu6"]
    assert activations(kind="bottleneck") == ["relu", "relu", "none", "none", "relu"]  # after the add


def test_the_head_has_only_the_layers_asked_for() -> None:
    stages = (StageSpec(out_channels=8, stride=1, blocks=(BlockSpec(),)),)

    def names(head: HeadSpec) -> list[str]:
        spec = ModelSpec(stages=stages, head=head, resolution=8, num_classes=3)
        return [
            f"{layer.name}:{layer.in_channels}>{layer.out_channels}"
            for layer in layers(spec)
            if layer.scope == "head"
        ]

    assert names(HeadSpec(out_channels=0)) == ["pool:8>8", "classifier:8>3"]
    assert names(HeadSpec(out_channels=32)) == ["conv:8>32", "pool:32>32", "classifier:32>3"]
    assert names(HeadSpec(out_channels=0, hidden_features=5)) == ["pool:8>8", "hidden:8>5", "classifier:5>3"]


@pytest.mark.parametrize("seed", range(60))
def test_every_layer_takes_what_the_one_before_it_gives(seed: int, draw_spec: DrawSpec) -> None:
    spec = draw_spec(seed)
    channels, size = 3, spec.resolution
    names = set()
    for layer in layers(spec):
        assert (layer.scope, layer.name) not in names
        names.add((layer.scope, layer.name))
        if layer.branch == "main":
            assert (layer.in_channels, layer.in_size) == (channels, size)
            channels, size = layer.out_channels, layer.out_size
        elif layer.branch == "shortcut":
            assert (layer.out_channels, layer.out_size) == (channels, size)
        elif layer.name == "squeeze":
            assert layer.in_channels == channels
    assert (channels, size) == (spec.num_classes, 1)


@pytest.mark.parametrize("seed", range(20))
def test_plain_identities_have_no_layers(seed: int, draw_spec: DrawSpec) -> None:
    spec = draw_spec(seed)
    padded = dataclasses.replace(
        spec,
        stages=tuple(
            dataclasses.replace(stage, blocks=(*stage.blocks, BlockSpec(kind="identity")))
            for stage in spec.stages
        ),
    )
    assert list(layers(padded)) == list(layers(spec))


def test_stochastic_depth_grows_linearly_from_none(b0: ModelSpec) -> None:
    rates = {layer.scope: layer.drop_rate for layer in layers(b0) if layer.kind == "add"}
    assert rates["stages.1.1"] == pytest.approx(0.2 * 2 / 16)  # the third of sixteen blocks
    assert rates["stages.5.3"] == pytest.approx(0.2 * 14 / 16)
    assert list(rates.values()) == sorted(rates.values())


def test_the_stem_pools_where_asked() -> None:
    stages = (StageSpec(out_channels=8, stride=1, blocks=(BlockSpec(),)),)
    stem = StemSpec(kernel_size=7, has_max_pool=True)
    found = list(layers(ModelSpec(stem=stem, stages=stages, resolution=65, num_classes=2)))
    assert [(layer.kind, layer.out_size) for layer in found[:2]] == [("conv", 33), ("max_pool", 17)]


def test_strides_round_sizes_up() -> None:
    assert [strided_size(size, 2) for size in (1, 2, 3, 7, 224)] == [1, 1, 2, 4, 112]
