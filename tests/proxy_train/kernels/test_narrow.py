"""Pointwise convolutions in bfloat16: the sums are checked on any processor, the speed-up is asked of none."""

import logging
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from effsearch.proxy_train.build import build_model
from effsearch.proxy_train.kernels import pointwise, self_test, switch
from effsearch.proxy_train.kernels.lanes import FLOAT_BYTES, NARROW_BYTES
from effsearch.proxy_train.kernels.norm_kernels import norm_activate_kernel
from effsearch.proxy_train.kernels.norm_operator import NormStep
from effsearch.space.presets import load_preset
from effsearch.space.scaling import scale_width
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(switch, "_runner", None)
    assert switch.turn_on()
    switch._is_narrow_sound.cache_clear()
    yield
    monkeypatch.undo()
    switch._is_narrow_sound.cache_clear()


@pytest.fixture
def any_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """One without the instructions converts: slower, and right all the same."""
    monkeypatch.setattr(self_test, "has_fast_bfloat16", lambda: True)


def draw(*shape: int, seed: int) -> Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return drawn.contiguous(memory_format=torch.channels_last)


def gradients_of(function: Callable[..., Tensor], *inputs: Tensor) -> list[Tensor]:
    given = [tensor.detach().requires_grad_() for tensor in inputs]
    y = function(*given)
    return [y.detach(), *torch.autograd.grad((y * draw(*y.shape, seed=9).to(y.dtype)).sum(), given)]


def test_a_store_rounds_as_torch_does():
    exact = torch.tensor([0.0, -0.0, 1.0, float("inf"), float("-inf"), float("nan"), 1e-40, 3.4e38])
    halves = torch.arange(0x3F808000, 0x3F808000 + 9 * 0x8000, 0x8000, dtype=torch.int32).view(torch.float32)
    nans = torch.tensor([0x7FFFFFFF, -1, 0x7F800001], dtype=torch.int32).view(torch.float32)
    values = torch.cat([exact, halves, -halves, nans, draw(1, 1, 1, 31, seed=0).flatten()])[:48].contiguous()
    table = torch.zeros(6, 48)
    table[0] = 1
    stored = torch.empty(48, dtype=torch.bfloat16)
    norm_activate_kernel(FLOAT_BYTES, NARROW_BYTES)(
        values.data_ptr(), table.data_ptr(), 0, 0, stored.data_ptr(), 1, 48
    )
    wanted = values.bfloat16()
    assert torch.equal(stored.isnan(), wanted.isnan())
    assert torch.equal(stored.nan_to_num(), wanted.nan_to_num())


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_the_convolution_and_its_gradients_are_those_of_rounded_values(kind: torch.dtype):
    x, weight = draw(4, 56, 7, 9, seed=0).to(kind), draw(24, 56, 1, 1, seed=1)
    y, dx, dweight = gradients_of(pointwise.narrow_pointwise, x, weight)
    assert (y.dtype, dx.dtype, dweight.dtype) == (torch.bfloat16, kind, torch.float32)
    assert y.is_contiguous(memory_format=torch.channels_last)
    rounded = x.bfloat16().double(), weight.bfloat16().double()
    wanted = gradients_of(lambda *given: functional.conv2d(*given).bfloat16(), *rounded)
    for one, other in zip((y, dx, dweight), wanted, strict=True):
        assert (one - other).abs().max() <= self_test.NARROW_TOLERANCE * other.abs().max()


@pytest.mark.slow
@pytest.mark.usefixtures("any_processor")
def test_narrow_maps_pass_the_self_test_for_every_kind_of_kernel():
    assert self_test.find_narrow_fault() is None
    for kind in ((5, 1), (3, 2)):
        assert self_test._chain_agrees(*kind, is_narrow=True)


@pytest.mark.usefixtures("any_processor")
@pytest.mark.parametrize("se_ratio", [0.0, 0.25])
def test_a_network_computes_nearly_what_it_does_in_float32(se_ratio: float):
    blocks = (BlockSpec(expand_ratio=3, se_ratio=se_ratio, kernel_size=5), BlockSpec(expand_ratio=1))
    stages = tuple(StageSpec(out_channels=width, stride=2, blocks=blocks) for width in (24, 48))
    stem, head = StemSpec(out_channels=24, stride=1), HeadSpec(out_channels=64, dropout_rate=0.0)
    model = build_model(ModelSpec(stem=stem, stages=stages, head=head, resolution=24, num_classes=3), seed=0)
    images, labels = draw(32, 3, 24, 24, seed=1), torch.arange(32) % 3

    def outcome() -> tuple[Tensor, Tensor]:
        model.zero_grad()
        scores = model(images)
        functional.cross_entropy(scores, labels).backward()
        assert all(
            value.grad is not None and value.grad.dtype == torch.float32 for value in model.parameters()
        )
        return scores.detach(), torch.cat([value.grad.flatten() for value in model.parameters()])  # type: ignore[union-attr]

    wanted, exact = outcome()
    with switch.narrow_products():
        found, narrow = outcome()
        again, _ = outcome()
    assert torch.equal(found, again)  # to the bit
    assert not torch.equal(found, wanted)
    # Each of a dozen roundings is by 2**-9 at most; a norm passes them on, and a ReLU's kinks make the most of them.
    assert (found - wanted).norm() <= 0.05 * wanted.norm()
    assert functional.cosine_similarity(narrow, exact, dim=0) > 0.98


def test_a_processor_without_bfloat16_trains_in_float32_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    model = build_model(scale_width(load_preset("efficientnet-b0"), 0.5), seed=0)
    images = draw(4, 3, 32, 32, seed=1)
    torch.manual_seed(0)
    wanted = model(images)
    for _ in range(2):
        with switch.narrow_products():
            assert not switch.can_narrow()
            torch.manual_seed(0)
            assert torch.equal(model(images), wanted)
    assert caplog.text.count("training in float32, not in bfloat16: this processor has no instructions") == 1


def coarse(x: Tensor, weight: Tensor) -> Tensor:
    """The convolution, summed in bfloat16."""
    total = functional.conv2d(x[:, :1].bfloat16(), weight[:, :1].bfloat16())
    for channel in range(1, x.shape[1]):
        total = total + functional.conv2d(x[:, channel, None].bfloat16(), weight[:, channel, None].bfloat16())
    return total


def unnormed(x: Tensor, step: NormStep, shortcut: Tensor) -> Tensor:
    return x + shortcut


def fail(*_: Tensor) -> Tensor:
    raise RuntimeError("could not create a primitive")


@pytest.mark.usefixtures("any_processor")
@pytest.mark.parametrize(
    ("name", "stand_in", "said"),
    [
        ("narrow_pointwise", coarse, "the pointwise convolution in bfloat16 differs"),
        ("narrow_pointwise", fail, "RuntimeError: could not create a primitive"),
        ("norm_activate", unnormed, "the norm of a bfloat16 map differs"),
        ("is_chain_sound", lambda *_, is_narrow: False, "the depthwise convolution of bfloat16 maps differs"),
    ],
)
def test_products_that_fail_their_test_are_not_used(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    name: str,
    stand_in: Callable[..., Tensor],
    said: str,
):
    monkeypatch.setattr(self_test, name, stand_in)
    with caplog.at_level(logging.WARNING):
        assert not switch.can_narrow()
    assert said in caplog.text


def test_without_the_kernels_nothing_is_narrow():
    with switch.turned_off(), switch.narrow_products():
        assert not switch.can_narrow()
        assert not switch._has_narrow_products
