import logging
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from effsearch.proxy_train.build import Network, build_model
from effsearch.proxy_train.kernels import depthwise_operator, self_test, switch
from effsearch.proxy_train.kernels.depthwise_kernels import forward_kernel
from effsearch.space.presets import load_preset
from effsearch.space.scaling import scale_width
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(switch, "_runner", None)
    assert switch.turn_on()
    yield
    monkeypatch.undo()


def spec_of(*blocks: BlockSpec, stride: int = 1, **fields: Any) -> ModelSpec:
    stage = StageSpec(out_channels=24, stride=stride, blocks=blocks)
    stem = StemSpec(out_channels=24, stride=1, activation="hard_swish")
    head = HeadSpec(out_channels=64, activation="gelu", dropout_rate=0.0)
    return ModelSpec(stem=stem, stages=(stage,), head=head, resolution=9, num_classes=3, **fields)


SPECS = {
    "mbconv": spec_of(BlockSpec(expand_ratio=3, activation="swish"), BlockSpec(kernel_size=5), stride=2),
    "gated": spec_of(BlockSpec(expand_ratio=2, se_ratio=0.25, activation="swish"), BlockSpec(se_ratio=0.5)),
    "dropped": spec_of(BlockSpec(), BlockSpec(), drop_path_rate=0.5),
    "gelu": spec_of(BlockSpec(expand_ratio=2, activation="gelu"), BlockSpec(activation="gelu")),
    "bottleneck": spec_of(BlockSpec(kind="bottleneck"), BlockSpec(kind="basic"), stride=2),
    "narrow": scale_width(spec_of(BlockSpec(expand_ratio=2)), 0.25),
}


def outcome(model: Network, images: Tensor) -> dict[str, Tensor]:
    torch.manual_seed(0)  # of what is dropped
    model.zero_grad()
    scores = model(images)
    scores.square().sum().backward()
    found = {f"gradient of {name}": value.grad.clone() for name, value in model.named_parameters()}  # type: ignore[union-attr]  # all have one
    return (
        found | {"scores": scores.detach()} | {name: value.clone() for name, value in model.named_buffers()}
    )


@pytest.mark.usefixtures("kernels")
@pytest.mark.parametrize("name", SPECS)
def test_a_network_on_the_kernels_is_the_network_on_torch(name: str):
    images = torch.randn(6, 3, 9, 9, generator=torch.Generator().manual_seed(1))
    images = images.contiguous(memory_format=torch.channels_last)
    found = outcome(build_model(SPECS[name], seed=0), images)
    with switch.turned_off():
        wanted = outcome(build_model(SPECS[name], seed=0).double(), images.double())
    largest = max(value.abs().max() for key, value in wanted.items() if key.startswith("gradient"))
    assert found.keys() == wanted.keys()
    for key, value in wanted.items():
        size = largest if key.startswith("gradient") else 1 + value.abs().max()
        assert (found[key] - value).abs().max() <= 1e-4 * size, key


@pytest.mark.usefixtures("kernels")
def test_the_kernels_run_and_give_the_same_bits_each_time(monkeypatch: pytest.MonkeyPatch):
    images = torch.randn(6, 3, 16, 16).contiguous(memory_format=torch.channels_last)
    spec = scale_width(load_preset("efficientnet-b0"), 0.5)
    calls = []
    run = switch._runner
    assert run is not None
    monkeypatch.setattr(switch, "_runner", lambda block, x: calls.append(block) or run(block, x))
    first, again = (outcome(build_model(spec, seed=0), images) for _ in range(2))
    assert len(calls) == 2 * 18  # stem, 16 blocks, head
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.usefixtures("kernels")
def test_blocks_without_running_statistics_run_with_weights_handed_in():
    model = build_model(SPECS["gated"], seed=0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.track_running_stats = False
            module.running_mean = module.running_var = module.num_batches_tracked = None
    images = torch.randn(4, 3, 9, 9).contiguous(memory_format=torch.channels_last)
    weights = {name: value.detach().requires_grad_() for name, value in model.named_parameters()}
    loss = functional_call(model, weights, (images,)).square().sum()
    found = torch.autograd.grad(loss, list(weights.values()))
    with switch.turned_off():
        loss = functional_call(model, weights, (images,)).square().sum()
        wanted = torch.autograd.grad(loss, list(weights.values()))
    largest = max(value.abs().max() for value in wanted)
    for one, other in zip(found, wanted, strict=True):
        assert (one - other).abs().max() <= 1e-4 * largest


@pytest.mark.usefixtures("kernels")
def test_weights_that_stand_still_get_no_gradient_and_the_others_get_theirs():
    images = torch.randn(4, 3, 9, 9).contiguous(memory_format=torch.channels_last)
    found = []
    for context in (nullcontext(), switch.turned_off()):
        model = build_model(SPECS["gated"], seed=0)
        for name, value in model.named_parameters():
            value.requires_grad_("squeeze" not in name)
        with context:
            model(images).square().sum().backward()
        found.append({name: value.grad for name, value in model.named_parameters()})
    ours, wanted = found
    assert any(value is None for value in wanted.values())
    assert {name for name in ours if ours[name] is None} == {name for name in wanted if wanted[name] is None}
    largest = max(value.abs().max() for value in wanted.values() if value is not None)
    for name, value in wanted.items():
        assert value is None or (ours[name] - value).abs().max() <= 1e-4 * largest


@pytest.mark.usefixtures("kernels")
def test_in_use_under_hooks_and_in_other_types_torch_computes():
    model = build_model(SPECS["mbconv"], seed=0)
    x = torch.zeros(2, 3, 9, 9)
    assert switch.runner_for(model.stem, x) is not None
    assert switch.runner_for(model.stem, x.double()) is None
    assert switch.runner_for(model.stem, x[:1]) is None
    assert switch.runner_for(model.stem, x.to("meta")) is None
    seen: list[Tensor] = []
    handle = model.stem.get_submodule("conv_norm").register_forward_hook(lambda _, __, y: seen.append(y))
    model(x)
    assert len(seen) == 1
    handle.remove()
    handle = model.stem.get_submodule("conv").register_full_backward_hook(lambda *_: None)
    assert switch.runner_for(model.stem, x) is None
    handle.remove()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert switch.runner_for(model.stem, x) is None
    model.stem.get_submodule("conv_norm").eval()
    assert switch.runner_for(model.stem, x) is None
    model.eval()
    with switch.turned_off():
        wanted = model(x)
    assert torch.equal(model(x), wanted)


@pytest.mark.usefixtures("kernels")
def test_they_are_on_for_one_thread_alone():
    assert switch.is_on()
    torch.set_num_threads(2)
    assert not switch.is_on()
    torch.set_num_threads(1)
    with switch.turned_off():
        assert not switch.is_on()


def test_without_numba_torch_does_the_work_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(switch, "_runner", None)
    monkeypatch.setattr(switch, "_was_told", False)
    monkeypatch.setitem(sys.modules, "effsearch.proxy_train.kernels.run_block", None)
    with caplog.at_level(logging.WARNING):
        assert not switch.turn_on()
        assert not switch.turn_on()
    assert len(caplog.records) == 1
    assert "slower" in caplog.text
    assert switch.runner_for(nn.Identity(), torch.zeros(2, 3, 4, 4)) is None


def test_kernels_that_fail_their_test_are_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(switch, "_runner", None)
    monkeypatch.setattr(switch, "_was_told", False)
    monkeypatch.setattr(self_test, "norm_activate", lambda x, step, shortcut: x + shortcut)
    assert not switch.turn_on()
    assert "differs from torch's" in caplog.text


def no_kernel(*_: int) -> None:
    """Do nothing."""


@pytest.fixture
def nothing_left_over() -> Iterator[None]:
    """New tensors hold no numbers: what no kernel writes might else lie there from a run before."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("nothing_left_over")
@pytest.mark.parametrize("is_narrow", [False, True])
@pytest.mark.parametrize(
    ("name", "stand_in"),
    [
        ("pool_activated", no_kernel),
        ("scale_map_kernel", lambda *_: no_kernel),
        ("sum_gated_kernel", lambda *_: no_kernel),
        ("combine_shares", no_kernel),
        ("sum_gradients_kernel", lambda *_: no_kernel),
    ],
)
def test_the_self_test_misses_no_kernel_of_a_chain(
    name: str, stand_in: Any, is_narrow: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(depthwise_operator, name, stand_in)
    assert not self_test._chain_agrees(3, 1, is_narrow=is_narrow)


@pytest.mark.usefixtures("nothing_left_over")
def test_the_self_test_in_bfloat16_misses_no_gradient_of_a_norm(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(depthwise_operator, "norm_gradient_kernel", lambda *_: no_kernel)
    assert not self_test._chain_agrees(3, 1, is_narrow=True)


def test_a_chain_that_cannot_be_compiled_is_left_to_torch_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    def fail(kernel_size: int, stride: int) -> bool:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(self_test, "_chain_agrees", fail)
    assert not self_test.is_chain_sound.__wrapped__(5, 2)
    assert "5x5 of stride 2" in caplog.text
    assert "No space left" in caplog.text


def test_a_chain_is_tested_without_a_draw_from_the_global_state_wherever_it_is_first_met():
    before = torch.get_rng_state()
    with torch.inference_mode():
        assert self_test.is_chain_sound.__wrapped__(3, 2)
    assert torch.equal(torch.get_rng_state(), before)


def test_each_kind_of_kernel_is_kept_under_a_name_of_its_own():
    names = {forward_kernel(*kind).py_func.__qualname__ for kind in ((3, 1), (3, 2))}
    assert len(names) == 2
