import copy
import dataclasses
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from effsearch.proxy_train.build import build_model
from effsearch.proxy_train.data.datasets import ImageData, Split
from effsearch.proxy_train.train import choose_rows
from effsearch.proxy_train.zero_cost import (
    ZERO_COST,
    measure_gradient_norm,
    measure_naswot,
    measure_snip,
    measure_synflow,
    measure_zen,
    zero_cost_scores,
)
from effsearch.space.errors import UsageError
from effsearch.space.outcome import TrainingFailed
from effsearch.space.presets import load_preset
from effsearch.space.search_space import SearchSpace
from effsearch.space.shipped_spaces import load_shipped_space, shipped_space_names
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec

pytestmark = pytest.mark.usefixtures("one_thread")

NUM_CLASSES = 3


def split_of(num_images, *, size=12):
    rng = np.random.default_rng(num_images)
    return Split(
        images=rng.integers(0, 256, (num_images, size, size, 3), dtype=np.uint8),
        labels=np.arange(num_images) % NUM_CLASSES,
    )


def noise_images(num_images=40):
    return ImageData(
        train=split_of(num_images),
        val=split_of(0),
        test=split_of(0),
        class_names=("a", "b", "c"),
        resolution=12,
        fingerprint="noise",
        name="noise",
        native_resolution=12,
        channel_mean=(0.5, 0.5, 0.5),
        channel_std=(0.3, 0.3, 0.3),
        num_left_out=0,
        handle=Path("nowhere"),
    )


IMAGES = noise_images()


def spec_of(*blocks, stem="relu", dropout_rate=0.0, **more):
    return ModelSpec(
        stem=StemSpec(out_channels=8, stride=1, activation=stem),
        stages=(StageSpec(out_channels=8, stride=1, blocks=blocks or (BlockSpec(kind="identity"),)),),
        head=HeadSpec(out_channels=0, dropout_rate=dropout_rate),
        resolution=12,
        num_classes=NUM_CLASSES,
        **more,
    )


def scores_of(spec, *, names=tuple(ZERO_COST), images=IMAGES, resolution=8, num_images=12, seed=0):
    return zero_cost_scores(
        spec, images, names=names, resolution=resolution, num_images=num_images, seed=seed
    )


def batch_of(num_images=6, size=8):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(num_images, 3, size, size, generator=generator), torch.arange(num_images) % NUM_CLASSES


def naswot_by_hand(*signs):
    """The log-determinant from the units' signs themselves, pair by pair."""
    bits = torch.cat([layer.flatten(1) for layer in signs], dim=1)
    kernel = (bits[:, None] == bits[None]).sum(2).double() + torch.eye(len(bits), dtype=torch.float64)
    return torch.logdet(kernel).item()


def test_naswot_is_the_log_determinant_of_how_many_signs_pairs_of_images_share():
    model = build_model(spec_of(BlockSpec(kind="basic", activation="relu")), seed=0)
    images, labels = batch_of()
    block = model.get_submodule("stages.0.0")
    stem = model.get_submodule("stem")
    first = stem.conv_norm(stem.conv(images))
    second = block.conv1_norm(block.conv1(first.relu()))
    third = block.conv2_norm(block.conv2(second.relu())) + first.relu()
    assert measure_naswot(model, images, labels) == pytest.approx(
        naswot_by_hand(first > 0, second > 0, third > 0)
    )


def test_naswot_reads_other_activations_by_their_sign_and_squeeze_excite_not_at_all():
    images, labels = batch_of()
    scores = []
    for activation in ("relu", "swish", "hard_swish", "gelu", "relu6"):
        model = build_model(spec_of(stem=activation), seed=0)
        scores.append(measure_naswot(model, images, labels))
    assert scores == [scores[0]] * 5
    gated = build_model(spec_of(BlockSpec(kind="conv", se_ratio=0.5, skip="none", activation="none")), seed=0)
    assert measure_naswot(gated, images, labels) == scores[0]


def test_images_seen_alike_and_networks_without_activations_score_low_but_finite():
    model = build_model(spec_of(), seed=0)
    images, labels = batch_of()
    alike = images[:1].expand(6, -1, -1, -1)
    assert 0 < measure_naswot(model, alike, labels) < measure_naswot(model, images, labels)
    assert measure_naswot(build_model(spec_of(stem="none"), seed=0), images, labels) == 0.0


def test_gradient_norm_and_snip_are_those_of_one_backward_pass():
    model = build_model(spec_of(BlockSpec(expand_ratio=2, se_ratio=0.5)), seed=0)
    images, labels = batch_of()
    twin = copy.deepcopy(model)
    torch.nn.functional.cross_entropy(twin(images), labels).backward()
    weights = [p for name, p in twin.named_parameters() if name.endswith("weight") and "_norm" not in name]
    assert len(weights) == 7  # stem, expand, depthwise, squeeze, excite, project, classifier
    assert measure_gradient_norm(model, images, labels) == pytest.approx(
        sum(weight.grad.norm().item() for weight in weights), rel=1e-5
    )
    assert measure_snip(model, images, labels) == pytest.approx(
        sum((weight * weight.grad).abs().sum().item() for weight in weights), rel=1e-5
    )
    assert all(parameter.grad is None for parameter in model.parameters())


def test_synflow_of_a_chain_of_layers_is_the_log_of_their_number_times_its_output():
    """Each layer's weight x gradient then sums to the output itself: all are positive and nothing is cut off."""
    model = build_model(
        spec_of(BlockSpec(kind="conv", skip="none", activation="relu"), norm_epsilon=1e-12), seed=0
    )
    images, labels = batch_of()
    positive = copy.deepcopy(model).double().eval()
    with torch.no_grad():
        for name, parameter in positive.named_parameters():
            if "_norm" not in name:
                parameter.abs_()
        output = positive(torch.ones(1, 3, 8, 8, dtype=torch.float64)).sum().item()
    assert measure_synflow(model, images, labels) == pytest.approx(math.log(3 * output))


def test_zen_hangs_neither_on_the_scale_of_the_weights_nor_on_shortcuts_and_gates():
    block = BlockSpec(kind="basic", activation="relu", se_ratio=0.5)
    model = build_model(spec_of(block, norm_epsilon=1e-12), seed=0)
    images, labels = batch_of()
    score = measure_zen(model, images, labels)
    bare = build_model(
        spec_of(dataclasses.replace(block, se_ratio=0.0, skip="none"), norm_epsilon=1e-12), seed=5
    )
    known = model.state_dict()
    bare.load_state_dict({name: 3 * known[name] for name in bare.state_dict()} | _norms_of(bare))
    assert measure_zen(bare, images, labels) == pytest.approx(score)
    other = build_model(spec_of(block, norm_epsilon=1e-12), seed=1)
    assert measure_zen(other, images, labels) != pytest.approx(score)


def _norms_of(model):
    return {name: value for name, value in model.state_dict().items() if "_norm" in name}


def test_zen_and_synflow_grow_with_depth():
    conv = BlockSpec(kind="conv", skip="none", activation="relu")
    shallow, deep = (scores_of(spec_of(*[conv] * depth), names=("zen", "synflow")) for depth in (1, 4))
    assert deep["zen"] > shallow["zen"]
    assert deep["synflow"] > shallow["synflow"]


def test_scores_hang_on_the_seed_and_not_on_one_another():
    spec = spec_of(BlockSpec(expand_ratio=2, se_ratio=0.5), drop_path_rate=0.5, dropout_rate=0.5)
    together, other = scores_of(spec), scores_of(spec, seed=1)
    assert list(together) == list(ZERO_COST)
    for name in reversed(ZERO_COST):
        assert scores_of(spec, names=(name,)) == {name: together[name]}
        assert together[name] != other[name]


def test_global_random_state_is_neither_read_nor_changed():
    spec = spec_of(BlockSpec(expand_ratio=2), drop_path_rate=0.9, dropout_rate=0.5)
    before = torch.get_rng_state()
    first = scores_of(spec)
    assert torch.equal(before, torch.get_rng_state())
    torch.rand(5)
    assert scores_of(spec) == first


def test_the_images_are_always_the_same_ones_of_the_training_images():
    rows = choose_rows(IMAGES.train.labels, 12)
    chosen = Split(images=IMAGES.train.images[rows], labels=IMAGES.train.labels[rows])
    only = dataclasses.replace(IMAGES, train=chosen)
    assert scores_of(spec_of(), images=only) == scores_of(spec_of(), images=IMAGES)


def test_size_and_classes_are_the_proxys_and_the_datas_not_the_specs():
    spec = spec_of(BlockSpec(expand_ratio=2))
    large = dataclasses.replace(spec, resolution=224, num_classes=1000)
    assert scores_of(large) == scores_of(spec)
    assert scores_of(spec, resolution=10) != scores_of(spec)


def test_any_network_of_the_schema_has_scores_or_a_reason(random_spec):
    rng = np.random.default_rng(2)
    num_whole = 0
    for _ in range(25):
        for name in ZERO_COST:
            try:
                score = scores_of(random_spec(rng), names=(name,), num_images=6)[name]
            except TrainingFailed:
                continue
            assert math.isfinite(score)
            num_whole += 1
    assert num_whole > 110  # of 125


@pytest.mark.parametrize("name", shipped_space_names())
def test_networks_of_every_shipped_space_have_all_scores(name):
    space: SearchSpace = load_shipped_space(name)
    point = tuple(len(dimension.labels) - 1 for dimension in space.dimensions)
    spec = space.spec_at(point, resolution=32, num_classes=NUM_CLASSES)
    assert all(math.isfinite(score) for score in scores_of(spec, num_images=4).values())


def test_a_score_that_is_not_finite_is_a_failed_training():
    model = build_model(spec_of(), seed=0)
    images, labels = batch_of()
    images[0, 0, 0, 0] = math.inf
    assert math.isnan(measure_naswot(model, images, labels))
    spoiled = dataclasses.replace(IMAGES, channel_mean=(math.inf, 0.5, 0.5))
    with pytest.raises(TrainingFailed, match="the zero-cost score naswot of the untrained network is nan"):
        scores_of(spec_of(), names=("naswot",), images=spoiled)


def test_running_out_of_memory_is_a_failed_training(monkeypatch):
    def exhaust(*args):
        raise MemoryError

    monkeypatch.setitem(ZERO_COST, "naswot", exhaust)
    with pytest.raises(TrainingFailed, match="out of memory"):
        scores_of(spec_of(), names=("naswot",))


def test_an_unknown_score_is_refused():
    with pytest.raises(UsageError, match=r"must be one of naswot, gradient_norm, .*got 'jacobian'"):
        scores_of(spec_of(), names=("naswot", "jacobian"))


def test_one_image_is_too_few():
    with pytest.raises(UsageError, match="need at least 2 images, got 1"):
        scores_of(spec_of(), num_images=1)


def test_a_large_preset_is_scored_at_a_small_size():
    scores = scores_of(load_preset("efficientnet-b0"), names=("naswot",), resolution=16, num_images=4)
    assert math.isfinite(scores["naswot"])
