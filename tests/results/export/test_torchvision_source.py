"""The file for torchvision, built by torchvision itself with the weights of effsearch's own network."""

import dataclasses
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from effsearch.results.export.check import stirred_network
from effsearch.results.export.names import rename
from effsearch.results.export.torchvision_source import torchvision_names, torchvision_source
from effsearch.space.errors import SpecError
from effsearch.space.presets import load_preset
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec

from .conftest import PRESETS, DrawPlain, assert_same_network, drawn_networks, names_or_refusal, run_source

pytestmark = pytest.mark.usefixtures("one_thread", "torchvision")


def same_in_torchvision(spec: ModelSpec) -> None:
    model = run_source(torchvision_source(spec, name="net", module="net")).build()
    assert_same_network(model, stirred_network(spec, seed=0), torchvision_names(spec))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_gives_the_same_outputs_parameters_and_multiply_adds(name: str) -> None:
    same_in_torchvision(load_preset(name))


@pytest.mark.parametrize(
    ("ours", "theirs"), [("efficientnet-b0", "efficientnet_b0"), ("efficientnetv2-s", "efficientnet_v2_s")]
)
def test_known_names_are_torchvisions_own(torchvision: ModuleType, ours: str, theirs: str) -> None:
    spec = load_preset(ours)
    with torch.device("meta"):
        known = torchvision.models.get_model(theirs).state_dict()
    found = rename(stirred_network(spec, seed=0).state_dict(), torchvision_names(spec))
    assert {name: tensor.shape for name, tensor in found.items()} == {
        name: tensor.shape for name, tensor in known.items()
    }


@pytest.mark.slow
def test_what_is_not_refused_of_a_shipped_space_is_the_same() -> None:
    """One network of eight there has squeeze-excite where torchvision wants it."""
    num_built = 0
    for spec in drawn_networks("efficientnetv2", 2_000, seed=1):
        if isinstance(names_or_refusal(torchvision_names, spec), str):
            continue
        same_in_torchvision(spec)
        num_built += 1
    assert num_built >= 5


def test_what_is_not_refused_is_the_same(draw_plain: DrawPlain, random_spec: DrawPlain) -> None:
    num_built = 0
    for seed in range(80):
        draw = draw_plain if seed % 4 else random_spec
        spec = draw(np.random.default_rng(seed))
        names = names_or_refusal(torchvision_names, spec)
        if isinstance(names, str):
            assert names.startswith("torchvision cannot express ")
            continue
        same_in_torchvision(spec)
        num_built += 1
    assert num_built >= 8


def test_unlike_blocks_of_a_stage_become_rows_of_their_own() -> None:
    gated = BlockSpec(se_ratio=0.25, expand_ratio=4)
    blocks = (
        gated,
        gated,
        dataclasses.replace(gated, kernel_size=5),
        BlockSpec(kind="fused_mbconv", expand_ratio=4),
    )
    spec = net(*blocks, stride=2)
    source = torchvision_source(spec, name="net", module="net")
    assert source.count("MBConvConfig(") == 3
    assert "stride=1, input_channels=32, out_channels=32, num_layers=1" in source
    same_in_torchvision(spec)


def net(*blocks: BlockSpec, stride: int = 1, **fields: Any) -> ModelSpec:
    stage = StageSpec(out_channels=32, stride=stride, blocks=blocks)
    return ModelSpec(**({"stages": (stage,), "resolution": 32, "num_classes": 3} | fields))


GATED = BlockSpec(se_ratio=0.25, expand_ratio=2)
NARROW = StageSpec(out_channels=20, stride=1, blocks=(GATED,))


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        (net(GATED, BlockSpec()), r"stage 1, block 2 \(mbconv\): an MBConv without squeeze-excite"),
        (
            net(dataclasses.replace(GATED, se_ratio=0.5)),
            r"squeeze-excite has width 16, not a quarter of the input, 8",
        ),
        (net(dataclasses.replace(GATED, se_gate="hard_sigmoid")), r"has not swish and sigmoid"),
        (net(dataclasses.replace(GATED, skip="none")), r"block 1 \(mbconv\): no skip; torchvision adds"),
        (net(BlockSpec(skip="pool"), stride=2), r'its shortcut is "pool"'),
        (net(BlockSpec(kind="fused_mbconv", se_ratio=0.25)), r"a Fused-MBConv with squeeze-excite"),
        (net(BlockSpec(kind="basic")), r"block 1 \(basic\): there is no such kind of block"),
        (net(dataclasses.replace(GATED, activation="relu")), r"its activation is relu, and not swish"),
        (
            net(dataclasses.replace(GATED, projection_activation="swish")),
            r"an activation follows the projection",
        ),
        (
            net(dataclasses.replace(GATED, expanded_channels=60)),
            r"its inner width of 60 is no multiple of eight",
        ),
        (net(GATED, stages=(NARROW,)), r"its channels are no multiples of eight"),
        (net(GATED, stride=3), r"its stride is 3"),
        (net(GATED, stem=StemSpec(kernel_size=5)), r"the stem: it must be a 3x3 convolution of stride 2"),
        (net(GATED, head=HeadSpec(out_channels=0)), r"the head: it must be a 1x1 convolution with swish"),
        (net(GATED, head=HeadSpec(hidden_features=9)), r"the head: it has a hidden linear layer"),
    ],
)
def test_what_torchvision_cannot_express_is_refused_by_place_and_reason(spec: ModelSpec, what: str) -> None:
    with pytest.raises(SpecError, match=f"torchvision cannot express .*{what}"):
        torchvision_source(spec, name="net", module="net")
