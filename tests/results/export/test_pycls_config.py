"""The configuration for pycls: read back as pycls reads it, into the network that it came from."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import yaml

from effsearch.proxy_train.build import build_on_meta
from effsearch.results.export.names import inverse, rename
from effsearch.results.export.pycls_config import pycls_config, pycls_names
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.errors import SpecError
from effsearch.space.presets import load_preset
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec

from .conftest import DrawPlain, names_or_refusal


def read_back(text: str) -> ModelSpec:
    """The network that pycls makes of a configuration: MBConv, widths truncated, one share of squeeze-excite."""
    config = yaml.safe_load(text)
    net = config["EN"]
    activation = {"silu": "swish"}.get(config["MODEL"]["ACTIVATION_FUN"], config["MODEL"]["ACTIVATION_FUN"])
    stages, width = [], net["STEM_W"]
    lists = [net[key] for key in ("STRIDES", "DEPTHS", "WIDTHS", "EXP_RATIOS", "KERNELS")]
    for stride, depth, out_channels, ratio, kernel_size in zip(*lists, strict=True):
        blocks = []
        for _ in range(depth):
            blocks.append(
                BlockSpec(
                    kernel_size=kernel_size,
                    expanded_channels=int(width * ratio),
                    se_ratio=int(width * net["SE_R"]) / width,
                    activation=activation,
                    se_activation=activation,
                )
            )
            width = out_channels
        stages.append(StageSpec(out_channels=out_channels, stride=stride, blocks=tuple(blocks)))
    return ModelSpec(
        stem=StemSpec(out_channels=net["STEM_W"], activation=activation),
        stages=tuple(stages),
        head=HeadSpec(out_channels=net["HEAD_W"], activation=activation, dropout_rate=net["DROPOUT_RATIO"]),
        resolution=config["TRAIN"]["IM_SIZE"],
        num_classes=config["MODEL"]["NUM_CLASSES"],
        norm_momentum=config["BN"]["MOM"],
        norm_epsilon=config["BN"]["EPS"],
    )


def same_when_read_back(spec: ModelSpec) -> None:
    again = read_back(pycls_config(spec, name="net"))
    assert network_hash(again) == network_hash(spec)
    assert count_cost(again) == count_cost(spec)
    state = build_on_meta(spec).state_dict()
    mapped = rename(state, pycls_names(spec))
    assert list(rename(mapped, inverse(pycls_names(spec)))) == list(state)


@pytest.mark.parametrize("number", range(8))
def test_efficientnets_are_the_same_network_when_read_back(number: int) -> None:
    same_when_read_back(load_preset(f"efficientnet-b{number}"))


def test_what_is_not_refused_is_the_same(draw_plain: DrawPlain, random_spec: DrawPlain) -> None:
    num_written = 0
    for seed in range(300):
        draw = draw_plain if seed % 4 else random_spec
        spec = draw(np.random.default_rng(seed))
        names = names_or_refusal(pycls_names, spec)
        if isinstance(names, str):
            assert names.startswith("pycls cannot express ")
            continue
        same_when_read_back(spec)
        num_written += 1
    assert num_written >= 15


def test_b0_has_the_lists_that_pycls_publishes() -> None:
    net = yaml.safe_load(pycls_config(load_preset("efficientnet-b0"), name="b0"))["EN"]
    assert net["STRIDES"] == [1, 2, 2, 2, 1, 2, 1]
    assert net["DEPTHS"] == [1, 2, 2, 3, 3, 4, 1]
    assert net["WIDTHS"] == [16, 24, 40, 80, 112, 192, 320]
    assert net["EXP_RATIOS"] == [1, 6, 6, 6, 6, 6, 6]
    assert net["KERNELS"] == [3, 3, 5, 3, 5, 5, 3]


def net(*blocks: BlockSpec, stride: int = 1, **fields: Any) -> ModelSpec:
    stage = StageSpec(out_channels=32, stride=stride, blocks=blocks)
    return ModelSpec(**({"stages": (stage,), "resolution": 32, "num_classes": 3} | fields))


GATED = BlockSpec(se_ratio=0.25, expand_ratio=2)


@pytest.mark.parametrize(
    ("spec", "what"),
    [
        (
            net(GATED, BlockSpec(kind="fused_mbconv")),
            r"stage 1, block 2 \(fused_mbconv\): pycls has MBConv alone",
        ),
        (net(BlockSpec()), r"block 1 \(mbconv\): an MBConv without squeeze-excite"),
        (net(dataclasses.replace(GATED, skip="none")), r"no skip; pycls adds the input wherever"),
        (net(dataclasses.replace(GATED, skip="pool"), stride=2), r'its shortcut is "pool"'),
        (
            net(GATED, dataclasses.replace(GATED, se_ratio=0.5)),
            r"block 2 .* has width 16, and pycls has one share",
        ),
        (net(dataclasses.replace(GATED, activation="relu")), r"an activation other than the stem's swish"),
        (net(dataclasses.replace(GATED, se_gate="hard_sigmoid")), r"its gate is hard_sigmoid"),
        (
            net(dataclasses.replace(GATED, projection_activation="swish")),
            r"an activation follows the projection",
        ),
        (net(GATED, stem=StemSpec(activation="relu6")), r"the stem: its activation is relu6, none of relu"),
        (net(GATED, stem=StemSpec(stride=1)), r"the stem: it must be a 3x3 convolution of stride 2"),
        (net(GATED, head=HeadSpec(out_channels=0)), r"the head: it must be a 1x1 convolution"),
        (net(GATED, head=HeadSpec(hidden_features=9)), r"the head: it has a hidden linear layer"),
    ],
)
def test_what_pycls_cannot_express_is_refused_by_place_and_reason(spec: ModelSpec, what: str) -> None:
    with pytest.raises(SpecError, match=f"pycls cannot express .*{what}"):
        pycls_config(spec, name="net")
