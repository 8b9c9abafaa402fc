import dataclasses
from collections.abc import Callable
from functools import cache
from math import prod

import numpy as np
import pytest

from effsearch.space.canonical import network_hash
from effsearch.space.layers import layers
from effsearch.space.outcome import Fidelity
from effsearch.space.proxy import proxy_spec
from effsearch.space.scaling import BuildRules, Multipliers, scale_model
from effsearch.space.screening import sample_points
from effsearch.space.search_space import SearchSpace
from effsearch.space.sharing import (
    SharedShapes,
    Sharing,
    compact,
    shapes_of_specs,
    shared_layers,
    shared_shapes,
    weight_shape,
)
from effsearch.space.shipped_spaces import load_shipped_space, shipped_space_names
from effsearch.space.space_text import space_from_yaml
from effsearch.space.spec import BlockSpec, ModelSpec

# What no shipped space has: choices of stem, head, stride and kind, widths given outright, layers that vanish.
ODD = """\
schema_version: 1
name: odd
stem: {out_channels: [8, 16], stride: [1, 2], has_max_pool: [false, true]}
stages:
  - {stride: [1, 2], channels: [8, 16, 24], repeats: [1, 3], kind: [mbconv, fused_mbconv, basic, bottleneck],
     kernel_size: [3, 5], se_ratio: [0, 0.25], skip: [none, pool, identity], expand_ratio: [1, 2.3]}
  - {channels: [16, 24], layers: [{any_of: [{kind: identity}, {kind: mbconv, expanded_channels: [24, 40]}]},
                                  {kind: [identity, conv]}, {kind: basic, kernel_size: [1, 3]}]}
head: {out_channels: [0, 64], hidden_features: [0, 32]}
"""
SHARINGS: list[Sharing] = ["separate", "sliced"]


def load(name: str) -> SearchSpace:
    return space_from_yaml(ODD) if name == "odd" else load_shipped_space(name)


@cache
def shapes_of(name: str, sharing: Sharing, width: float) -> SharedShapes:
    return shared_shapes(load(name), sharing, width=width, num_classes=7)


def draw_proxies(space: SearchSpace, num_points: int, *, width: float, seed: int = 0) -> list[ModelSpec]:
    """Networks as a supernet trains them: at a width, with none to three strides taken off."""
    points = sample_points(space, num_points, rng=np.random.default_rng(seed))
    return [
        proxy_spec(
            space.spec_at(point, resolution=32, num_classes=10),
            Fidelity(num_images=1, num_epochs=1, resolution=16, width=width, num_removed_strides=index % 4),
            num_classes=7,
        )
        for index, point in enumerate(points.tolist())
    ]


@pytest.mark.parametrize("width", [1.0, 0.5])
@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("name", [*shipped_space_names(), "odd"])
def test_every_layer_of_every_network_can_be_cut_from_the_shared_tensors(
    name: str, sharing: Sharing, width: float
) -> None:
    shapes = shapes_of(name, sharing, width)
    for spec in draw_proxies(load(name), 40, width=width):
        for shared in shared_layers(compact(spec), sharing):
            if shared.layer.kind not in ("conv", "linear"):
                continue
            own, whole = weight_shape(shared.layer), shapes.weights[shared.name]
            assert len(own) == len(whole)
            assert all(part <= most for part, most in zip(own, whole, strict=True)), shared.name
            if shared.layer.has_norm:
                assert own[0] <= shapes.norms[shared.norm_name]


@pytest.mark.parametrize("name", [*shipped_space_names(), "odd"])
def test_layers_of_one_network_never_share_a_tensor(name: str) -> None:
    for spec in draw_proxies(load(name), 20, width=1.0):
        names = [
            shared.name
            for shared in shared_layers(compact(spec), "sliced")
            if shared.layer.kind in ("conv", "linear")
        ]
        assert len(set(names)) == len(names)


@pytest.mark.parametrize("name", [*shipped_space_names(), "odd"])
def test_a_compact_network_is_the_same_network(name: str) -> None:
    for spec in draw_proxies(load(name), 60, width=1.0):
        assert network_hash(compact(spec)) == network_hash(spec)
        assert compact(compact(spec)) == compact(spec)


@pytest.mark.parametrize("sharing", SHARINGS)
def test_equal_networks_use_equal_tensors(sharing: Sharing) -> None:
    """Identities commute in NAS-Bench-Macro: many points are one network."""
    space = load("nas-bench-macro")
    names: dict[str, set[tuple[str, ...]]] = {}
    for point in sample_points(space, 800, rng=np.random.default_rng(3)).tolist():
        spec = space.spec_at(point, resolution=32, num_classes=10)
        used = tuple(shared.name for shared in shared_layers(compact(spec), sharing))
        names.setdefault(network_hash(spec), set()).add(used)
    assert len(names) < 800
    assert all(len(used) == 1 for used in names.values())


def test_a_stage_of_identities_keeps_one() -> None:
    space = load("nas-bench-macro")
    spec = space.spec_at((0,) * 8, resolution=32, num_classes=10)
    assert [len(stage.blocks) for stage in compact(spec).stages] == [1, 1, 1]
    widths_kept = dataclasses.replace(
        spec,
        stages=(
            spec.stages[0],
            dataclasses.replace(
                spec.stages[0], stride=1, blocks=(BlockSpec(kind="identity"), BlockSpec(kind="mbconv"))
            ),
        ),
    )
    assert [block.kind for block in compact(widths_kept).stages[1].blocks] == ["mbconv"]


def test_options_slice_one_convolution_but_keep_their_norms() -> None:
    space = load("nas-bench-macro")
    small, large = (
        {
            shared.layer.name: shared
            for shared in shared_layers(space.spec_at(point, resolution=32, num_classes=10), "sliced")
            if shared.layer.scope == "stages.1.1"
        }
        for point in ((1,) * 8, (2,) * 8)
    )
    for name in ("expand", "depthwise", "project"):
        assert small[name].name == large[name].name
        assert small[name].norm_name != large[name].norm_name
    sliced, separate = (
        shapes_of("nas-bench-macro", "sliced", 1.0),
        shapes_of("nas-bench-macro", "separate", 1.0),
    )
    assert sliced.weights[large["expand"].name] == (768, 128, 1, 1)  # six times 128
    assert sliced.weights[large["depthwise"].name] == (768, 1, 5, 5)
    assert separate.weights[small["depthwise"].norm_name] == (384, 1, 3, 3)
    assert sliced.norms[small["depthwise"].norm_name] == 384
    assert sliced.norms == separate.norms


def test_what_stands_beside_the_stages_is_shared_by_all() -> None:
    shapes = shapes_of("nas-bench-macro", "separate", 1.0)
    assert shapes.weights["stem/conv"] == (32, 3, 3, 3)
    assert shapes.weights["head/conv"] == (1280, 256, 1, 1)
    assert shapes.weights["head/classifier"] == (7, 1280)
    assert "head/classifier" not in shapes.norms


def test_a_space_of_one_network_needs_that_networks_weights_and_no_more() -> None:
    space = space_from_yaml(
        "schema_version: 1\nname: one\nstages: [{stride: 2, channels: 16, repeats: 1, se_ratio: 0.25}]\n"
    )
    spec = space.spec_at((), resolution=32, num_classes=7)
    own = sum(prod(weight_shape(layer)) for layer in layers(spec) if layer.kind in ("conv", "linear"))
    shapes = shared_shapes(space, "separate", width=1.0, num_classes=7)
    assert sum(prod(shape) for shape in shapes.weights.values()) == own


@pytest.mark.parametrize("sharing", SHARINGS)
@pytest.mark.parametrize("seed", range(15))
def test_networks_grown_from_one_base_share_the_largest_of_their_own_shapes(
    seed: int, sharing: Sharing, draw_spec: Callable[[int], ModelSpec]
) -> None:
    rng = np.random.default_rng(seed)
    grown = [
        scale_model(
            draw_spec(seed), Multipliers(depth=depth, width=width, resolution=size), BuildRules(divisor=1)
        )
        for depth, width, size in rng.uniform((0.3, 0.5, 1), (2.5, 2, 2), (6, 3))
    ]
    found = [
        shared
        for spec in grown
        for shared in shared_layers(compact(spec), sharing)
        if shared.layer.kind in ("conv", "linear")
    ]
    shapes = shapes_of_specs(grown, sharing)
    assert shapes.weights.keys() == {shared.name for shared in found}
    for name, whole in shapes.weights.items():
        own = [weight_shape(shared.layer) for shared in found if shared.name == name]
        assert whole == tuple(np.max(own, axis=0))
    with_norm = [shared for shared in found if shared.layer.has_norm]
    assert shapes.norms.keys() == {shared.norm_name for shared in with_norm}
    for name, num_channels in shapes.norms.items():
        assert num_channels == max(
            shared.layer.out_channels for shared in with_norm if shared.norm_name == name
        )
    assert shapes_of_specs(grown[::-1], sharing) == shapes


@pytest.mark.parametrize("sharing", SHARINGS)
def test_one_network_by_itself_shares_what_a_space_of_it_alone_does(sharing: Sharing) -> None:
    space = space_from_yaml(
        "schema_version: 1\nname: one\nstages: [{stride: 2, channels: 16, repeats: 3, se_ratio: 0.25}]\n"
    )
    spec = space.spec_at((), resolution=32, num_classes=7)
    assert shapes_of_specs([spec], sharing) == shared_shapes(space, sharing, width=1.0, num_classes=7)
