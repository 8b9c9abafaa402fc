import re

import pytest

from effsearch.space.block_layers import block_layers
from effsearch.space.coefficients import PAPER_COEFFICIENTS
from effsearch.space.cost import count_cost
from effsearch.space.errors import SpecError
from effsearch.space.layers import layers
from effsearch.space.presets import load_member, load_preset, parse_family, preset_multipliers, preset_names
from effsearch.space.scaling import Multipliers, scale_model

# Resolution and dropout: the reference code of arXiv:1905.11946 and its lite/, google/automl for arXiv:2104.00298 (at
# the size of the evaluation), arXiv:1807.11626, torchvision for MobileNetV2, V3, ResNet; arXiv:1704.04861 has none.
FAMILY = {
    "efficientnet-b0": (224, 0.2),
    "efficientnet-b1": (240, 0.2),
    "efficientnet-b2": (260, 0.3),
    "efficientnet-b3": (300, 0.3),
    "efficientnet-b4": (380, 0.4),
    "efficientnet-b5": (456, 0.4),
    "efficientnet-b6": (528, 0.5),
    "efficientnet-b7": (600, 0.5),
    "efficientnet-b8": (672, 0.5),
    "efficientnet-l2": (800, 0.5),
    "efficientnet-lite0": (224, 0.2),
    "efficientnet-lite1": (240, 0.2),
    "efficientnet-lite2": (260, 0.3),
    "efficientnet-lite3": (280, 0.3),
    "efficientnet-lite4": (300, 0.3),
    "efficientnetv2-s": (384, 0.2),
    "efficientnetv2-m": (480, 0.3),
    "efficientnetv2-l": (480, 0.4),
    "efficientnetv2-xl": (512, 0.4),
    "efficientnetv2-b0": (224, 0.2),
    "efficientnetv2-b1": (240, 0.2),
    "efficientnetv2-b2": (260, 0.3),
    "efficientnetv2-b3": (300, 0.3),
    "mnasnet-a1": (224, 0.2),
    "mobilenet-v1": (224, 0.0),
    "mobilenet-v2": (224, 0.2),
    "mobilenet-v3-large": (224, 0.2),
    "mobilenet-v3-small": (224, 0.2),
    "resnet-18": (224, 0.0),
    "resnet-50": (224, 0.0),
    "resnet-152": (224, 0.0),
}

# Parameters and multiply-adds of the families that tests/space/test_cost.py does not have. Parameters: the shared
# facts' closed count for Lite, V2-XL and V2-B; torchvision's published meta data for V2-S, M, L, MobileNetV2, V3 and
# ResNet; for MobileNetV1 arXiv:1704.04861's 4.2 M, counted with norms and a classifier with bias. Multiply-adds: our
# own count, which fvcore and torch confirm in tests/proxy_train/test_measure.py.
GOLDEN = {
    "efficientnet-lite0": (4_652_008, 385_187_552),
    "efficientnet-lite1": (5_416_680, 600_185_232),
    "efficientnet-lite2": (6_092_072, 859_736_272),
    "efficientnet-lite3": (8_197_096, 1_383_321_872),
    "efficientnet-lite4": (13_006_568, 2_553_034_336),
    "efficientnetv2-s": (21_458_488, 8_365_617_152),
    "efficientnetv2-m": (54_139_356, 24_582_460_384),
    "efficientnetv2-l": (118_515_272, 56_079_699_008),
    "efficientnetv2-xl": (208_119_808, 93_353_451_520),
    "efficientnetv2-b0": (7_139_704, 718_086_176),
    "efficientnetv2-b1": (8_141_052, 1_196_819_360),
    "efficientnetv2-b2": (10_096_086, 1_697_542_832),
    "efficientnetv2-b3": (14_358_406, 3_011_458_816),
    "mobilenet-v1": (4_231_976, 568_740_352),
    "mobilenet-v2": (3_504_872, 300_774_272),
    "mobilenet-v3-large": (5_483_032, 216_589_760),
    "mobilenet-v3-small": (2_542_856, 56_510_400),
    "resnet-18": (11_689_512, 1_814_073_344),
    "resnet-50": (25_557_032, 4_089_184_256),
    "resnet-152": (60_192_808, 11_513_626_624),
}

SMALL_FAMILY = """\
schema_version: 1
rules: {has_floor: false}
base:
  schema_version: 1
  resolution: 32
  num_classes: 10
  stages: [{out_channels: 10, stride: 1, blocks: [{}]}]
  head: {out_channels: 0, dropout_rate: 0.1}
members:
  small: {}
  wide: {width: 1.1, resolution: 48}
"""


def test_the_presets_are_those_promised() -> None:
    assert preset_names() == list(FAMILY)


@pytest.mark.parametrize("name", FAMILY)
def test_presets_have_their_published_resolution_and_dropout(name: str) -> None:
    spec = load_preset(name)
    assert (spec.resolution, spec.head.dropout_rate) == FAMILY[name]
    assert spec.num_classes == 1000


@pytest.mark.parametrize("name", GOLDEN)
def test_presets_have_their_published_parameters_and_our_multiply_adds(name: str) -> None:
    cost = count_cost(load_preset(name))
    assert (cost.parameters, cost.multiply_adds) == GOLDEN[name]


def test_presets_norm_as_their_reference_code_does() -> None:
    """EfficientNet's decay is .99, EfficientNetV2's .9; torchvision's ResNet takes torch's own values."""
    norms = {
        name: (spec.norm_momentum, spec.norm_epsilon, spec.drop_path_rate)
        for name in ("efficientnet-b4", "efficientnetv2-m", "resnet-50")
        for spec in [load_preset(name)]
    }
    assert norms == {
        "efficientnet-b4": (0.01, 1e-3, 0.2),
        "efficientnetv2-m": (0.1, 1e-3, 0.2),
        "resnet-50": (0.1, 1e-5, 0.0),
    }


def test_lite_keeps_stem_head_and_the_repeats_of_its_ends() -> None:
    lite0, lite4 = load_preset("efficientnet-lite0"), load_preset("efficientnet-lite4")
    assert lite4.stem == lite0.stem
    assert lite4.head.out_channels == lite0.head.out_channels == 1280
    assert [stage.num_blocks for stage in lite4.stages] == [1, 4, 4, 6, 6, 8, 1]
    assert {layer.activation for layer in layers(lite4)} == {"relu6", "none"}


def test_v2_has_no_floor_under_its_widths() -> None:
    """B3's first stage: 16 * 1.2 = 19.2 goes to 16, which the floor of nine tenths would lift to 24."""
    assert [stage.out_channels for stage in load_preset("efficientnetv2-b3").stages] == [
        16, 40, 56, 112, 136, 232,
    ]  # fmt: skip


def test_v2_has_squeeze_excite_only_where_the_depthwise_convolution_is() -> None:
    for stage in load_preset("efficientnetv2-l").stages:
        assert {(block.kind, block.se_ratio) for block in stage.blocks} in (
            {("fused_mbconv", 0.0)},
            {("mbconv", 0.25)},
        )


def test_mobilenet_v3_gates_and_activates_as_published() -> None:
    """Table 1 of arXiv:1905.02244: HS where it says HS, SE with ReLU inside and a hard sigmoid, in eights."""
    spec = load_preset("mobilenet-v3-large")
    blocks = [block for stage in spec.stages for block in stage.blocks]
    assert [block.activation for block in blocks] == ["relu"] * 6 + ["hard_swish"] * 9
    assert [bool(block.se_ratio) for block in blocks] == [
        False, False, False, True, True, True, False, False, False, False, True, True, True, True, True,
    ]  # fmt: skip
    gates = {layer.activation for layer in layers(spec) if layer.branch == "gate"}
    assert gates == {"relu", "hard_sigmoid"}
    squeezed = [layer.out_channels for layer in layers(spec) if layer.name == "squeeze"]
    assert squeezed == [24, 32, 32, 120, 168, 168, 240, 240]
    assert (spec.stem.activation, spec.head.activation) == ("hard_swish", "hard_swish")


def test_mobilenet_v1_activates_after_both_of_its_convolutions() -> None:
    convolutions = [layer for layer in layers(load_preset("mobilenet-v1")) if layer.kind == "conv"]
    assert len(convolutions) == 27  # 28 layers with the classifier, arXiv:1704.04861
    assert {layer.activation for layer in convolutions} == {"relu"}
    assert not [layer for layer in layers(load_preset("mobilenet-v1")) if layer.kind == "add"]


def test_a_bottleneck_strides_in_its_middle() -> None:
    stage = load_preset("resnet-50").stages[1]
    walk = block_layers(
        stage.blocks[0], scope="", in_channels=256, out_channels=512, stride=stage.stride, in_size=56
    )
    assert [(layer.name, layer.stride) for layer in walk if layer.kind == "conv"] == [
        ("reduce", 1),
        ("conv", 2),
        ("restore", 1),
        ("shortcut", 2),
    ]


@pytest.mark.parametrize("name", FAMILY)
def test_every_preset_may_be_scaled(name: str) -> None:
    base = load_preset(name)
    scaled = scale_model(base, PAPER_COEFFICIENTS.multipliers(1.0))
    growth = count_cost(scaled).multiply_adds / count_cost(base).multiply_adds
    assert 1.5 < growth < 3.3  # 1.92 by the formula, before channels and repeats are whole
    assert [stage.out_channels % 8 for stage in scaled.stages] == [0] * len(base.stages)


def test_what_a_preset_multiplies_its_base_by_is_known() -> None:
    assert preset_multipliers("efficientnet-b2") == Multipliers(depth=1.2, width=1.1, resolution=260 / 224)
    assert preset_multipliers("efficientnetv2-l") == Multipliers()
    assert preset_multipliers("resnet-18") == Multipliers()


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(SpecError, match="no preset named 'eficientnet-b3': did you mean efficientnet-b3"):
        load_preset("eficientnet-b3")
    with pytest.raises(SpecError, match="no preset named 'zzz': see effsearch presets"):
        load_preset("zzz")


def test_a_member_has_what_it_names_and_the_rest_of_its_base() -> None:
    family = parse_family(SMALL_FAMILY, source="mine")
    small, wide = load_member(family, "small"), load_member(family, "wide")
    assert (small.resolution, small.stages[0].out_channels, small.head.dropout_rate) == (32, 10, 0.1)
    assert (wide.resolution, wide.head.dropout_rate) == (48, 0.1)
    assert wide.stages[0].out_channels == 8  # 11 without the floor


def test_a_member_may_bring_a_base_of_its_own() -> None:
    own = "  own: {base: {schema_version: 1, resolution: 64, num_classes: 10, stages: []}, depth: 2}\n"
    stage = "{out_channels: 24, stride: 2, blocks: [{}]}"
    family = parse_family(SMALL_FAMILY + own.replace("[]", f"[{stage}]"), source="mine")
    spec = load_member(family, "own")
    assert (spec.resolution, spec.stages[0].out_channels, spec.stages[0].num_blocks) == (64, 24, 2)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("has_floor", "has_flor", "2: rules.has_flor: unknown key 'has_flor'; did you mean 'has_floor'"),
        ("has_floor: false", "has_floor: 1", "2: rules.has_floor: must be true or false, got 1"),
        ("has_floor: false", "divisor: 0", "2: rules.divisor: divisor must be a whole number"),
        ("rules: {has_floor: false}", "rules: []", "2: rules: must be a mapping, got a list"),
        ("width: 1.1", "widht: 1.1", "11: members.wide.widht: unknown key 'widht'; did you mean 'width'"),
        ("width: 1.1", "width: big", "11: members.wide.width: must be a number, got 'big'"),
        ("width: 1.1", "width: 0.0", "11: members.wide.width: width multiplier must be from 0.01"),
        ("resolution: 48", "resolution: 0", "11: members.wide.resolution: resolution must be a whole"),
        ("resolution: 48", "dropout_rate: 2", "11: members.wide.dropout_rate: dropout_rate must be a"),
        ("out_channels: 10", "out_channels: 0", "7: base.stages[1].out_channels: out_channels must be"),
        ("base:", "basis:", "4: basis: unknown key 'basis'; did you mean 'base'"),
        (
            "schema_version: 1\nrules",
            "schema_version: 2\nrules",
            "1: schema_version: schema_version must be 1",
        ),
        (
            "  small: {}\n  wide: {width: 1.1, resolution: 48}\n",
            "  []\n",
            "10: members: must be a mapping of",
        ),
    ],
)
def test_a_family_that_does_not_hold_is_refused_with_its_line(old: str, new: str, message: str) -> None:
    assert old in SMALL_FAMILY
    with pytest.raises(SpecError, match=re.escape(f"mine, line {message}")):
        load_member(parse_family(SMALL_FAMILY.replace(old, new, 1), source="mine"), "wide")


def test_a_member_without_any_base_is_refused() -> None:
    with pytest.raises(
        SpecError, match=r"mine, line 2: members\.lone: base is missing, here and in the family"
    ):
        parse_family("schema_version: 1\nmembers: {lone: {width: 2.0}}\n", source="mine")
