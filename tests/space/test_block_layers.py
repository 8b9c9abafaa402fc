from typing import Any

import pytest

from effsearch.space.block_layers import block_layers
from effsearch.space.spec import BlockSpec


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
