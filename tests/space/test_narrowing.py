"""Specs of networks that have lost channels."""

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from effsearch.space.layers import layers
from effsearch.space.narrowing import WidthError, has_width, name_of, narrowed, renamed_blocks, widths_of
from effsearch.space.presets import load_preset, preset_names
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec
from effsearch.space.text import from_json, to_json


def network(*stages: StageSpec, stem: int = 16) -> ModelSpec:
    return ModelSpec(
        stem=StemSpec(out_channels=stem),
        stages=stages,
        head=HeadSpec(out_channels=64),
        resolution=32,
        num_classes=10,
    )


def stage(*blocks: BlockSpec, out: int, stride: int = 1) -> StageSpec:
    return StageSpec(out_channels=out, stride=stride, blocks=blocks)


@pytest.mark.parametrize("name", preset_names())
def test_widths_as_they_are_give_the_spec_as_it_is(name: str) -> None:
    spec = load_preset(name)
    assert widths_of(narrowed(spec, {})) == widths_of(spec)
    assert widths_of(narrowed(spec, widths_of(spec))) == widths_of(spec)


def test_widths_as_they_are_keep_ratios_and_stages() -> None:
    spec = load_preset("efficientnet-b0")
    assert narrowed(spec, {}) == spec


def test_an_expanded_width_is_given_outright() -> None:
    spec = network(stage(BlockSpec(expand_ratio=6), BlockSpec(expand_ratio=6), out=24))
    changed = narrowed(spec, {"stages.0.1.expand": 56, "stages.0.1.depthwise": 56})
    assert changed.stages[0].blocks == (
        BlockSpec(expand_ratio=6),
        BlockSpec(expand_ratio=6, expanded_channels=56),
    )
    assert from_json(to_json(changed)) == changed


def test_a_squeezed_width_becomes_its_share() -> None:
    spec = network(stage(BlockSpec(expand_ratio=4, se_ratio=0.25, se_of="expanded", se_divisor=8), out=24))
    changed = narrowed(spec, {"stages.0.0.squeeze": 7})
    assert widths_of(changed)["stages.0.0.squeeze"] == 7
    assert widths_of(changed)["stages.0.0.excite"] == 64


@pytest.mark.parametrize("width", range(1, 49))
@pytest.mark.parametrize("inputs", [3, 7, 16])  # a gate of 12, 28 and 64 channels
def test_every_squeezed_width_has_a_share_that_says_it(width: int, inputs: int) -> None:
    spec = network(stage(BlockSpec(expand_ratio=4, se_ratio=0.25), out=24), stem=inputs)
    assert widths_of(narrowed(spec, {"stages.0.0.squeeze": width}))["stages.0.0.squeeze"] == width


def test_blocks_of_unlike_widths_get_stages_of_their_own() -> None:
    block = BlockSpec(kind="depthwise_separable", skip="none")
    spec = network(stage(block, block, block, out=32, stride=2), stage(block, out=64, stride=2))
    wanted = {"stages.0.1.project": 24, "stages.0.2.depthwise": 24, "stages.0.2.project": 24}
    changed = narrowed(spec, {**wanted, "stages.1.0.depthwise": 24})
    assert [(one.out_channels, one.stride, one.num_blocks) for one in changed.stages] == [
        (32, 2, 1),
        (24, 1, 2),
        (64, 2, 1),
    ]
    assert renamed_blocks(spec, changed) == {
        "stages.0.0": "stages.0.0",
        "stages.0.1": "stages.1.0",
        "stages.0.2": "stages.1.1",
        "stages.1.0": "stages.2.0",
    }


def test_a_block_that_had_no_shortcut_gets_none_where_its_ends_become_equal() -> None:
    spec = network(stage(BlockSpec(expand_ratio=4), out=24))
    changed = narrowed(spec, {"stages.0.0.project": 16})
    assert changed.stages[0].blocks[0].skip == "none"
    assert [layer.kind for layer in layers(changed)] == [layer.kind for layer in layers(spec)]


def test_a_block_without_expansion_stays_without() -> None:
    block = BlockSpec(expanded_channels=16)
    changed = narrowed(
        network(stage(block, out=16)), {"stem.conv": 8, "stages.0.0.depthwise": 8, "stages.0.0.project": 8}
    )
    assert widths_of(changed)["stages.0.0.depthwise"] == 8
    assert "stages.0.0.expand" not in widths_of(changed)


@pytest.mark.parametrize(
    ("block", "wanted", "layer", "words"),
    [
        (
            BlockSpec(expand_ratio=4),
            {"stages.0.0.expand": 16, "stages.0.0.depthwise": 16},
            "stages.0.0.expand",
            r"stages\.0\.0 \(mbconv\): an expansion to its input's 16 channels would be left out",
        ),
        (
            BlockSpec(kind="bottleneck", expand_ratio=0.25),
            {"stages.0.0.restore": 16, "stages.0.0.shortcut": 16},
            "stages.0.0.restore",
            r"stages\.0\.0 \(bottleneck\) would lose or gain a layer at 16 channels in and 16 out",
        ),
        (
            BlockSpec(expand_ratio=4, se_ratio=1),
            {"stages.0.0.squeeze": 257},
            "stages.0.0.squeeze",
            r"stages\.0\.0: a squeeze-excite has at most 4 times its 64 channels, not 257",
        ),
        (
            BlockSpec(kind="identity"),
            {"stages.0.0.project": 16},
            "stages.0.0.project",
            r"stages\.0\.0 \(identity\) would lose or gain a layer",
        ),
        (
            BlockSpec(kind="basic"),
            {"stages.0.0.conv1": 24},
            "stages.0.0.conv1",
            r"stages\.0\.0\.conv1 cannot have 24 channels where a spec would give it 32",
        ),
        (
            BlockSpec(kind="bottleneck", expand_ratio=0.5),
            {"stages.0.0.conv": 8},
            "stages.0.0.conv",
            r"stages\.0\.0\.conv cannot have 8 channels where a spec would give it 16",
        ),
    ],
)
def test_what_no_spec_says_is_refused_by_name(
    block: BlockSpec, wanted: dict[str, int], layer: str, words: str
) -> None:
    with pytest.raises(WidthError, match=words) as caught:
        narrowed(network(stage(block, out=32)), wanted)
    assert caught.value.layer == layer


def test_networks_anywhere_in_the_schema_keep_their_layers_at_other_widths(
    random_spec: Callable[[np.random.Generator], ModelSpec],
) -> None:
    rng = np.random.default_rng(0)
    num_changed = 0
    for _ in range(150):
        spec = random_spec(rng)
        wanted = {"stem.conv": spec.stem.out_channels} | {
            f"head.{name}": max(1, width // 2)
            for name, width in (("conv", spec.head.out_channels), ("hidden", spec.head.hidden_features))
            if width
        }
        squeezes = [name for name in widths_of(spec) if name.endswith(".squeeze")]
        wanted |= {name: int(rng.integers(1, widths_of(spec)[name] + 1)) for name in squeezes}
        try:
            changed = narrowed(spec, wanted)
        except WidthError as error:
            assert "a squeeze-excite has at most 4 times" in str(error)  # noqa: PT017 - hardly any draw is refused
            continue
        num_changed += changed != spec
        assert (
            widths_of(changed).items()
            >= {renamed(name, spec, changed): width for name, width in wanted.items()}.items()
        )
        for old, new in zip(layers(spec), layers(changed), strict=True):
            assert (old.name, old.kind, old.kernel_size, old.stride) == (
                new.name,
                new.kind,
                new.kernel_size,
                new.stride,
            )
            assert not has_width(new) or new.out_channels == (wanted.get(name_of(old), old.out_channels))
    assert num_changed > 75


def renamed(name: str, spec: ModelSpec, changed: ModelSpec) -> str:
    scope, _, layer = name.rpartition(".")
    return f"{renamed_blocks(spec, changed).get(scope, scope)}.{layer}"


def test_classes_and_resolution_stay() -> None:
    spec = dataclasses.replace(load_preset("mobilenet-v3-small"), resolution=48, num_classes=7)
    changed = narrowed(spec, {"head.hidden": 512})
    assert (changed.resolution, changed.num_classes, changed.head.hidden_features) == (48, 7, 512)
