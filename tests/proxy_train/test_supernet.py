import dataclasses

import numpy as np
import pytest
import torch

from effsearch.proxy_train.supernet import Supernet
from effsearch.space.canonical import network_hash
from effsearch.space.scaling import BuildRules, Multipliers, scale_model
from effsearch.space.screening import sample_points
from effsearch.space.sharing import compact, shapes_of_specs, shared_layers, shared_shapes
from effsearch.space.space_text import space_from_yaml

pytestmark = pytest.mark.usefixtures("one_thread")

SPACE = space_from_yaml("""\
schema_version: 1
name: tiny
norm_momentum: 0.1
stem: {out_channels: [8, 16]}
stages:
  - {stride: 2, channels: [8, 16], repeats: [1, 2], kind: [mbconv, fused_mbconv, basic], kernel_size: [3, 5],
     expand_ratio: [1, 2], se_ratio: [0, 0.25], activation: [relu, swish]}
  - channels: 16
    layers:
      - &layer {any_of: [{kind: identity}, {kind: mbconv, kernel_size: 3, expand_ratio: 2},
                         {kind: mbconv, kernel_size: 5, expand_ratio: 3}]}
      - *layer
      - *layer
head: {out_channels: [0, 24], hidden_features: [0, 8], dropout_rate: 0.0}
""")
IMAGES = torch.randn(6, 3, 12, 12, generator=torch.Generator().manual_seed(0))


def make_supernet(sharing="sliced", *, seed=0, space=SPACE):
    return Supernet(shared_shapes(space, sharing, width=1.0, num_classes=4), seed=seed)


def draw_specs(num_specs, *, seed=0):
    points = sample_points(SPACE, num_specs, rng=np.random.default_rng(seed))
    return [SPACE.spec_at(point, resolution=12, num_classes=4) for point in points.tolist()]


@pytest.mark.parametrize("sharing", ["sliced", "separate"])
def test_a_path_gives_what_its_own_network_gives_in_training(sharing):
    supernet = make_supernet(sharing)
    for spec in draw_specs(12):
        with torch.no_grad():
            inherited = supernet.inherit(spec).train()(IMAGES)
            torch.testing.assert_close(supernet(spec, IMAGES), inherited)
        assert inherited.shape == (6, 4)


@pytest.mark.parametrize("seed", range(12))
def test_networks_grown_from_one_base_share_one_supernet_each_at_its_own_size(seed, random_spec):
    """Bases anywhere in the schema; in double precision, since norms of few values enlarge rounding errors."""
    rng = np.random.default_rng(seed)
    base = dataclasses.replace(random_spec(rng), drop_path_rate=0.0)
    base = dataclasses.replace(base, head=dataclasses.replace(base.head, dropout_rate=0.0))
    grown = [
        scale_model(base, Multipliers(depth=depth, width=width, resolution=size), BuildRules(divisor=1))
        for depth, width, size in rng.uniform((0.5, 0.7, 1), (2.5, 2.2, 2), (5, 3))
    ]
    supernet = Supernet(shapes_of_specs(grown, "sliced"), seed=seed)
    networks = [supernet.inherit(spec).double().train() for spec in grown]
    for weight in supernet.weights.values():
        weight.data = weight.data.double()
    for spec, network in zip(grown, networks, strict=True):
        images = torch.from_numpy(rng.standard_normal((8, 3, spec.resolution, spec.resolution)))
        with torch.no_grad():
            own = network(images)
            torch.testing.assert_close(supernet(spec, images), own)
        assert own.shape == (8, spec.num_classes)


def test_equal_networks_give_equal_scores_wherever_their_identities_stand():
    supernet = make_supernet()
    by_network = {}
    for spec in draw_specs(300):
        by_network.setdefault(network_hash(spec), []).append(spec)
    twins = [specs for specs in by_network.values() if len(set(specs)) > 1]
    assert twins
    with torch.no_grad():
        for first, *others in twins:
            for other in others:
                assert torch.equal(supernet(first, IMAGES), supernet(other, IMAGES))


def test_a_path_leaves_no_trace_in_the_weights_or_in_later_paths():
    supernet = make_supernet()
    one, other = draw_specs(2, seed=5)
    before = {name: weight.detach().clone() for name, weight in supernet.weights.items()}
    with torch.no_grad():
        first = supernet(one, IMAGES)
        supernet(other, 3 * IMAGES + 1)
        assert torch.equal(supernet(one, IMAGES), first)
    assert all(torch.equal(before[name], weight) for name, weight in supernet.weights.items())


def test_an_inherited_network_owns_its_weights_and_its_norms_have_seen_nothing():
    supernet = make_supernet()
    (spec,) = draw_specs(1)
    network = supernet.inherit(spec)
    before = {name: weight.detach().clone() for name, weight in supernet.weights.items()}
    with torch.no_grad():
        for name, tensor in network.state_dict().items():
            if name.endswith("running_mean"):
                assert tensor.count_nonzero() == 0
            if name.endswith("num_batches_tracked"):
                assert tensor.item() == 0
            tensor.zero_()
    assert all(torch.equal(before[name], weight) for name, weight in supernet.weights.items())


def test_a_small_kernel_is_the_middle_of_the_large_one():
    point = SPACE.point_of(
        {dimension.name: dimension.labels[0] for dimension in SPACE.dimensions} | {"stage1.kernel_size": 3}
    )
    spec = SPACE.spec_at(point, resolution=12, num_classes=4)
    supernet = make_supernet("sliced")
    own = supernet.inherit(spec).state_dict()["stages.0.0.depthwise.weight"]
    whole = supernet.weights["stages.0.0/mbconv/depthwise.weight"]
    assert (tuple(own.shape), tuple(whole.shape)) == ((8, 1, 3, 3), (32, 1, 5, 5))
    assert torch.equal(own, whole[:8, :, 1:4, 1:4])


def test_gradients_reach_the_tensors_that_a_path_reads_and_no_others():
    supernet = make_supernet()
    for spec in draw_specs(10, seed=7):
        for weight in supernet.weights.values():
            weight.grad = None
        supernet(spec, IMAGES).square().sum().backward()
        read = set()
        for shared in shared_layers(compact(spec), "sliced"):
            if shared.layer.kind in ("conv", "linear"):
                read.add(f"{shared.name}.weight")
                if shared.layer.has_bias:
                    read.add(f"{shared.name}.bias")
                if shared.layer.has_norm:
                    read |= {f"{shared.norm_name}_norm.weight", f"{shared.norm_name}_norm.bias"}
        assert {name for name, weight in supernet.weights.items() if weight.grad is not None} == read


def test_first_weights_follow_from_seed_and_name_alone():
    before = torch.get_rng_state()
    first, again, other = make_supernet(seed=1), make_supernet(seed=1), make_supernet(seed=2)
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(weight, again.weights[name]) for name, weight in first.weights.items())
    drawn = [name for name, weight in first.weights.items() if weight.ndim > 1]
    assert not any(torch.equal(first.weights[name], other.weights[name]) for name in drawn)
    part = space_from_yaml(
        "schema_version: 1\nname: part\nstem: {out_channels: 16}\nstages: [{channels: 8, repeats: 1}]\n"
    )
    assert torch.equal(
        make_supernet(seed=1, space=part).weights["stem/conv.weight"], first.weights["stem/conv.weight"]
    )


def test_first_weights_have_the_deviation_of_a_network_by_itself():
    weights = make_supernet("separate").weights
    name = next(name for name in weights if name.startswith("stages.1.1/") and name.endswith("expand.weight"))
    assert weights[name].std().item() == pytest.approx((2 / weights[name].shape[0]) ** 0.5, rel=0.1)
    norms = [weight for name, weight in weights.items() if name.endswith("_norm.weight")]
    assert all((norm == 1).all() for norm in norms)
