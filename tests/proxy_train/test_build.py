from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from effsearch.proxy_train.build import build_model, build_on_meta, drop_path, pool_and_pad
from effsearch.space.coefficients import ScalingCoefficients
from effsearch.space.family import dwr_family, strict_family
from effsearch.space.layers import layers
from effsearch.space.presets import load_preset
from effsearch.space.scaling import BuildRules
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec

pytestmark = pytest.mark.usefixtures("one_thread")


def spec_of(*blocks: BlockSpec, channels: int = 8, stride: int = 1, **fields: Any) -> ModelSpec:
    stage = StageSpec(out_channels=channels, stride=stride, blocks=blocks)
    stem = StemSpec(out_channels=8, stride=1, activation="relu")
    head = HeadSpec(out_channels=0, dropout_rate=0.0)
    return ModelSpec(stem=stem, stages=(stage,), head=head, resolution=9, num_classes=3, **fields)


def test_parameters_are_named_by_scope_and_name():
    spec = spec_of(BlockSpec(kind="identity"), BlockSpec(expand_ratio=2, se_ratio=0.5))
    names = [name for name, _ in build_on_meta(spec).named_parameters()]
    assert names[:3] == ["stem.conv.weight", "stem.conv_norm.weight", "stem.conv_norm.bias"]
    assert "stages.0.1.expand.weight" in names
    assert "stages.0.1.excite.bias" in names
    assert not any(name.startswith("stages.0.0") for name in names)  # an identity that does nothing
    assert names[-2:] == ["head.classifier.weight", "head.classifier.bias"]


def test_on_meta_nothing_is_allocated():
    model = build_on_meta(load_preset("efficientnet-b7"))
    assert all(parameter.is_meta for parameter in model.parameters())


def test_one_seed_gives_one_set_of_weights_and_another_seed_another():
    spec = spec_of(BlockSpec(se_ratio=0.25))
    first, again, other = (build_model(spec, seed=seed).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["stem.conv.weight"], other["stem.conv.weight"])


def test_building_leaves_global_random_state_alone():
    before = torch.get_rng_state()
    build_model(spec_of(BlockSpec()), seed=3)
    assert torch.equal(before, torch.get_rng_state())


def test_weights_are_drawn_as_the_reference_draws_them():
    model = build_model(load_preset("efficientnet-b0"), seed=0)
    expand = model.get_submodule("stages.5.1.expand")  # 192 -> 1152
    assert expand.weight.std().item() == pytest.approx((2 / 1152) ** 0.5, rel=0.02)
    depthwise = model.get_submodule("stages.5.1.depthwise")  # 5x5, one channel to a group
    assert depthwise.weight.std().item() == pytest.approx((2 / 25) ** 0.5, rel=0.02)
    classifier = model.get_submodule("head.classifier")
    assert classifier.weight.abs().max().item() == pytest.approx(1000**-0.5, rel=1e-3)
    assert classifier.weight.std().item() == pytest.approx((3 * 1000) ** -0.5, rel=0.01)
    assert not classifier.bias.any()
    assert not model.get_submodule("stages.5.1.squeeze").bias.any()


def test_norms_start_as_the_identity_with_the_constants_of_the_spec():
    model = build_model(spec_of(BlockSpec(), norm_momentum=0.05, norm_epsilon=2e-3), seed=0)
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert norms
    for norm in norms:
        assert (norm.momentum, norm.eps) == (0.05, 2e-3)
        assert norm.weight.min() == norm.weight.max() == 1
        assert not norm.bias.any()
        assert not norm.running_mean.any()
        assert norm.running_var.min() == norm.running_var.max() == 1


def test_maps_and_channels_are_those_of_the_layer_walk(random_spec):
    rng = np.random.default_rng(5)
    for _ in range(20):
        spec = random_spec(rng)
        model = build_on_meta(spec).eval()
        seen = {}

        def remember(name, seen=seen):
            def hook(module, inputs, output):
                seen[name] = (*inputs[0].shape[1:], *output.shape[1:])

            return hook

        for name, module in model.named_modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(remember(name))
        model(torch.empty(1, 3, spec.resolution, spec.resolution, device="meta"))
        expected = {
            f"{layer.scope}.{layer.name}": (
                *(layer.in_channels, layer.in_size, layer.in_size),
                *(layer.out_channels, layer.out_size, layer.out_size),
            )
            for layer in layers(spec)
            if layer.kind == "conv"
        }
        assert seen == expected


def test_a_mbconv_computes_what_it_is_described_as():
    block = BlockSpec(expand_ratio=2, kernel_size=3, se_ratio=0.5, activation="swish", skip="identity")
    model = build_model(spec_of(block), seed=1).eval()
    built = model.get_submodule("stages.0.0")
    x = torch.randn(2, 8, 9, 9, generator=torch.Generator().manual_seed(0))
    h = nn.functional.silu(built.expand_norm(built.expand(x)))
    h = nn.functional.silu(built.depthwise_norm(built.depthwise(h)))
    pooled = h.mean((2, 3), keepdim=True)
    h = h * torch.sigmoid(built.excite(nn.functional.silu(built.squeeze(pooled))))
    torch.testing.assert_close(built(x), built.project_norm(built.project(h)) + x)


def test_a_basic_block_activates_after_its_addition():
    block = BlockSpec(kind="basic", activation="relu", skip="identity")
    built = build_model(spec_of(block, channels=12, stride=2), seed=1).eval().get_submodule("stages.0.0")
    x = torch.randn(2, 8, 9, 9, generator=torch.Generator().manual_seed(0))
    h = built.conv2_norm(built.conv2(torch.relu(built.conv1_norm(built.conv1(x)))))
    torch.testing.assert_close(built(x), torch.relu(h + built.shortcut_norm(built.shortcut(x))))


def test_pooling_in_training_and_in_use_is_the_same():
    model = build_model(spec_of(BlockSpec(se_ratio=0.5)), seed=1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()
    x = torch.randn(2, 3, 9, 9, generator=torch.Generator().manual_seed(0))
    training = model(x)
    torch.testing.assert_close(training, model.eval()(x))


def test_training_keeps_tensors_channels_last():
    model = build_model(spec_of(BlockSpec(se_ratio=0.5), BlockSpec()), seed=1)
    layouts = []
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_full_backward_hook(
                lambda _, gradients, __: layouts.append(
                    gradients[0].is_contiguous(memory_format=torch.channels_last)
                )
            )
    images = torch.randn(4, 3, 9, 9).contiguous(memory_format=torch.channels_last)
    model(images).sum().backward()
    assert len(layouts) == 5
    assert all(layouts)


def test_a_pooled_shortcut_averages_the_edge_over_the_pixels_there_are():
    x = torch.arange(9.0).reshape(1, 1, 3, 3)
    pooled = pool_and_pad(x, stride=2, out_channels=3)
    assert pooled.shape == (1, 3, 2, 2)
    assert pooled[0, 0].tolist() == [[2.0, 3.5], [6.5, 8.0]]
    assert not pooled[0, 1:].any()


def test_a_pooled_shortcut_without_stride_only_widens():
    x = torch.ones(1, 2, 3, 3)
    widened = pool_and_pad(x, stride=1, out_channels=5)
    assert torch.equal(widened[:, :2], x)
    assert not widened[:, 2:].any()


def test_stochastic_depth_drops_whole_samples_and_keeps_the_mean():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        dropped = drop_path(torch.ones(4000, 2, 2, 2), 0.25, is_training=True)
    per_sample = dropped.flatten(1)
    assert torch.equal(per_sample.min(1).values, per_sample.max(1).values)
    assert sorted(set(per_sample[:, 0].tolist())) == [0.0, pytest.approx(1 / 0.75)]
    assert dropped.mean().item() == pytest.approx(1, abs=0.03)


def test_nothing_is_dropped_in_use():
    x = torch.ones(8, 2, 2, 2)
    assert drop_path(x, 0.5, is_training=False) is x


def test_stochastic_depth_and_dropout_act_in_training_only():
    spec = spec_of(BlockSpec(), BlockSpec(), drop_path_rate=0.9)
    model = build_model(spec, seed=0)
    x = torch.randn(16, 3, 9, 9)
    assert not torch.equal(model(x), model(x))
    model.eval()
    assert torch.equal(model(x), model(x))


@pytest.mark.parametrize("seed", range(8))
def test_every_scaled_network_builds_and_runs(seed, random_spec):
    """Whatever the base and the rule: what a family holds has the size and the parameters that were counted."""
    rng = np.random.default_rng(seed)
    base = random_spec(rng)
    alpha, beta, gamma = (round(float(value), 3) for value in rng.uniform(1, 1.4, size=3))
    coefficients = ScalingCoefficients(alpha=alpha, beta=beta, gamma=gamma)
    rules = BuildRules(divisor=int(rng.choice([1, 4, 8])), has_fixed_ends=bool(rng.integers(2)))
    family = strict_family(base, coefficients, [-3, 0, 1.5], rules) + dwr_family(base, [-2, 2], rules)
    for member in family:
        model = build_model(member.spec, seed=0).eval()
        assert sum(parameter.numel() for parameter in model.parameters()) == member.cost.parameters
        images = torch.zeros(1, 3, member.spec.resolution, member.spec.resolution)
        with torch.no_grad():
            assert model(images).shape == (1, base.num_classes)
