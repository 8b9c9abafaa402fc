"""The file for timm, built by timm itself with the weights of effsearch's own network under timm's names."""

import dataclasses
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from effsearch.results.export.check import reference_outputs, stirred_network
from effsearch.results.export.features import find_features
from effsearch.results.export.names import rename
from effsearch.results.export.timm_source import timm_names, timm_source
from effsearch.space.errors import SpecError
from effsearch.space.presets import load_preset
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec

from .conftest import PRESETS, DrawPlain, assert_same_network, drawn_networks, names_or_refusal, run_source

pytestmark = pytest.mark.usefixtures("one_thread", "timm")


def same_in_timm(spec: ModelSpec) -> None:
    model = run_source(timm_source(spec, name="net", module="net")).build()
    assert_same_network(model, stirred_network(spec, seed=0), timm_names(spec))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_gives_the_same_outputs_parameters_and_multiply_adds(name: str) -> None:
    same_in_timm(load_preset(name))


@pytest.mark.parametrize("name", ["mnasnet-a1", "mobilenet-v1", "mobilenet-v2", "efficientnet-lite0"])
def test_so_does_a_preset_of_another_family(name: str) -> None:
    same_in_timm(load_preset(name))


@pytest.mark.parametrize("space", ["efficientnetv2", "mbconv"])
def test_so_do_networks_of_the_shipped_spaces(space: str) -> None:
    for spec in drawn_networks(space, 2):
        same_in_timm(spec)


@pytest.mark.slow
@pytest.mark.parametrize("space", ["efficientnetv2", "mbconv"])
def test_so_do_many_networks_of_the_shipped_spaces(space: str) -> None:
    for spec in drawn_networks(space, 25, seed=1):
        same_in_timm(spec)


def test_what_is_not_refused_is_the_same(draw_plain: DrawPlain, random_spec: DrawPlain) -> None:
    num_built = 0
    for seed in range(60):
        draw = draw_plain if seed % 4 else random_spec
        spec = draw(np.random.default_rng(seed))
        names = names_or_refusal(timm_names, spec)
        if isinstance(names, str):
            assert names.startswith("timm cannot express ")
            continue
        same_in_timm(spec)
        num_built += 1
    assert num_built >= 20


def test_known_names_are_timms_own(timm: ModuleType) -> None:
    """Its own B0 takes the weights: same names, same shapes."""
    spec = load_preset("efficientnet-b0")
    with torch.device("meta"):
        theirs = timm.create_model("efficientnet_b0").state_dict()
    ours = rename(stirred_network(spec, seed=0).state_dict(), timm_names(spec))
    assert {name: tensor.shape for name, tensor in ours.items()} == {
        name: tensor.shape for name, tensor in theirs.items()
    }


def test_the_strings_are_timms_own_for_b0() -> None:
    source = timm_source(load_preset("efficientnet-b0"), name="b0", module="b0")
    for string in ("ds_r1_s1_k3_c16_se0.25", "ir_r2_s2_k3_e6_c24_se0.25", "ir_r4_s2_k5_e6_c192_se0.25"):
        assert f'["{string}"],' in source


def test_constants_reach_timms_modules() -> None:
    spec = dataclasses.replace(load_preset("efficientnet-b0"), norm_epsilon=3e-4, norm_momentum=0.07)
    model = run_source(timm_source(spec, name="b0", module="b0")).build(num_classes=5)
    assert {(module.eps, module.momentum) for module in model.modules() if hasattr(module, "eps")} == {
        (3e-4, 0.07)
    }
    assert model.drop_rate == 0.2
    assert model.blocks[6][0].drop_path.drop_prob == pytest.approx(0.2 * 15 / 16)
    assert model.classifier.out_features == 5


def test_a_total_stride_above_32_is_not_turned_into_dilation() -> None:
    stage = StageSpec(out_channels=16, stride=2, blocks=(BlockSpec(expand_ratio=4),))
    same_in_timm(ModelSpec(stages=(stage,) * 6, resolution=65, num_classes=3))


@pytest.mark.parametrize("name", ["efficientnet-b0", "mobilenet-v2"])
def test_feature_maps_are_those_of_effsearch(name: str) -> None:
    spec = load_preset(name)
    features = find_features(spec)
    model = run_source(timm_source(spec, name=name, module="net", features=features)).build().eval().double()
    network = stirred_network(spec, seed=0)
    model.load_state_dict(rename(network.state_dict(), timm_names(spec, features=features)))
    images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        wanted, found = reference_outputs(network, images, features), model(images)
    assert model.feature_info.reduction() == [feature.stride for feature in features]
    assert model.feature_info.channels() == [feature.channels for feature in features]
    for one, other in zip(wanted, found, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-8, atol=1e-8)


def net(*blocks: BlockSpec, stride: int = 1, **fields: Any) -> ModelSpec:
    stage = StageSpec(out_channels=32, stride=stride, blocks=blocks)
    return ModelSpec(**({"stages": (stage,), "resolution": 32, "num_classes": 3} | fields))


GATED = BlockSpec(se_ratio=0.25, expand_ratio=2)
HARD = dataclasses.replace(GATED, se_gate="hard_sigmoid")
ODD = dataclasses.replace(GATED, se_activation="relu")


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        (net(BlockSpec(kind="bottleneck")), r"stage 1, block 1 \(bottleneck\): there is no such kind"),
        (net(GATED, BlockSpec(kind="basic")), r"stage 1, block 2 \(basic\): there is no such kind"),
        (net(BlockSpec(kind="identity"), stride=2), r"block 1 \(identity\): there is no such kind"),
        (net(BlockSpec(kind="conv", se_ratio=0.25)), r"one convolution with squeeze-excite"),
        (net(BlockSpec(skip="pool"), stride=2), r'its shortcut is "pool"'),
        (net(BlockSpec(), stride=3), r"its stride is 3"),
        (net(BlockSpec(expanded_channels=20)), r"its inner width of 20 is no multiple of eight"),
        (net(BlockSpec(activation="gelu")), r"its activation is gelu; a single block may have relu, relu6"),
        (net(BlockSpec(projection_activation="swish")), r"an activation follows the projection"),
        (net(GATED, HARD), r"stage 1, block 2 \(mbconv\): its gate is not that of other blocks"),
        (net(GATED, ODD), r"block 2 \(mbconv\): inside its squeeze-excite the activation"),
        (net(GATED, stem=StemSpec(stride=1)), r"the stem: it must have stride 2"),
        (net(GATED, stem=StemSpec(has_max_pool=True)), r"the stem: it must have stride 2 and no pool"),
        (net(GATED, head=HeadSpec(hidden_features=9)), r"the head: it has a hidden linear layer"),
        (net(GATED, head=HeadSpec(activation="relu")), r"the head: its activation is relu, the stem's swish"),
    ],
)
def test_what_timm_cannot_express_is_refused_by_place_and_reason(spec: ModelSpec, what: str) -> None:
    with pytest.raises(SpecError, match=f"timm cannot express .*{what}"):
        timm_source(spec, name="net", module="net")
