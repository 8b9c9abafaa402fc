import dataclasses
from collections.abc import Callable

import pytest

from effsearch.space.layer import strided_size
from effsearch.space.layers import layers
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec

DrawSpec = Callable[[int], ModelSpec]


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
