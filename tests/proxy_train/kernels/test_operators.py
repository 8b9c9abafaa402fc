from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from effsearch.proxy_train.kernels.activations import ACTIVATION_CODES
from effsearch.proxy_train.kernels.depthwise_operator import Gate, depthwise_chain
from effsearch.proxy_train.kernels.norm_operator import NormStep, norm_activate
from effsearch.proxy_train.kernels.pointwise import can_sum, pointwise

pytestmark = pytest.mark.usefixtures("one_thread")

TORCH = {
    "none": lambda x: x,
    "relu": functional.relu,
    "relu6": functional.relu6,
    "swish": functional.silu,
    "hard_swish": functional.hardswish,
}


def draw(*shape: int, seed: int) -> Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return drawn.contiguous(memory_format=torch.channels_last) if len(shape) == 4 else drawn


def make_norm(channels: int, seed: int, **fields: Any) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, **fields)
    with torch.no_grad():
        norm.weight.copy_(1 + 0.3 * draw(channels, seed=seed))
        norm.bias.copy_(draw(channels, seed=seed + 1))
    return norm


def gradients_of(function, inputs: list[Tensor], kind: torch.dtype) -> list[Tensor]:
    given = [tensor.detach().to(kind).requires_grad_() for tensor in inputs]
    y = function(*given)
    found = torch.autograd.grad((y * draw(*y.shape, seed=99).to(kind)).sum(), given)
    return [y.detach(), *found]


def check(ours, reference, inputs: list[Tensor]) -> None:
    found = gradients_of(ours, inputs, torch.float32)
    wanted = gradients_of(reference, inputs, torch.float64)
    again = gradients_of(ours, inputs, torch.float32)
    for one, other, same in zip(found, wanted, again, strict=True):
        assert (one - other).abs().max() <= 2e-5 * other.abs().max()
        assert torch.equal(one, same)  # to the bit


def normed(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return functional.batch_norm(x, None, None, weight, bias, True, 0.0, 1e-5)


def norm_with(weight: Tensor, bias: Tensor) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(len(weight), track_running_stats=False)
    norm._parameters.update(weight=weight, bias=bias)  # as functional_call does
    return norm


@pytest.mark.parametrize("name", ACTIVATION_CODES)
@pytest.mark.parametrize(
    ("shape", "has_shortcut"),
    [((4, 40, 3, 5), True), ((2, 16, 7, 7), False), ((3, 48, 31, 33), True)],  # the last is of several chunks
)
def test_a_norm_with_its_activation_is_torchs(name: str, shape: tuple[int, ...], has_shortcut: bool):
    channels = shape[1]
    inputs = [draw(*shape, seed=0), 1 + 0.3 * draw(channels, seed=1), draw(channels, seed=2)]
    if has_shortcut:
        inputs.append(draw(*shape, seed=3))

    def ours(x, weight, bias, shortcut=None):
        return norm_activate(x, NormStep(norm_with(weight, bias), ACTIVATION_CODES[name]), shortcut)

    def reference(x, weight, bias, shortcut=None):
        y = TORCH[name](normed(x, weight, bias))
        return y if shortcut is None else y + shortcut

    check(ours, reference, inputs)


def test_a_norm_far_from_zero_loses_nothing():
    x = 1000 + draw(8, 16, 6, 6, seed=0)
    inputs = [x, torch.ones(16), torch.zeros(16)]
    found = norm_activate(x, NormStep(norm_with(*inputs[1:]), 0))
    error = (found - normed(x.double(), *(tensor.double() for tensor in inputs[1:]))).abs().max()
    assert error < 1e-3  # x itself is known to 6e-5; sums of squares about zero would be off by more than 1


@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics_move_as_torchs_do(momentum: float | None):
    ours, reference = (make_norm(24, seed=0, momentum=momentum) for _ in range(2))
    for step in range(3):
        x = 2 + 3 * draw(5, 24, 3, 3, seed=step)
        with torch.no_grad():
            norm_activate(x, NormStep(ours, 1))
            reference(x)
    assert ours.num_batches_tracked == reference.num_batches_tracked
    torch.testing.assert_close(ours.running_mean, reference.running_mean, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(ours.running_var, reference.running_var, rtol=1e-5, atol=1e-6)


CHAINS = [
    # kernel size, stride, channels, height, width, name before (or not), name after
    (3, 1, 16, 1, 1, "relu", "relu"),
    (3, 1, 40, 8, 6, "swish", "hard_swish"),
    (3, 2, 24, 7, 8, "relu6", "none"),
    (5, 1, 24, 9, 11, None, "relu"),
    (5, 2, 48, 5, 6, "none", "swish"),
    (7, 1, 16, 4, 10, "hard_swish", "relu6"),
    (7, 2, 40, 9, 2, "swish", "swish"),
]


@pytest.mark.parametrize(("kernel_size", "stride", "channels", "height", "width", "before", "after"), CHAINS)
@pytest.mark.parametrize("has_gate", [False, True])
def test_a_depthwise_convolution_and_what_is_around_it_are_torchs(
    kernel_size: int,
    stride: int,
    channels: int,
    height: int,
    width: int,
    before: str | None,
    after: str,
    has_gate: bool,
):
    inputs = [
        draw(6, channels, height, width, seed=0),
        1 + 0.3 * draw(channels, seed=1),
        draw(channels, seed=2),
        draw(channels, 1, kernel_size, kernel_size, seed=3),
        1 + 0.3 * draw(channels, seed=4),
        draw(channels, seed=5),
        draw(channels, channels, 1, 1, seed=6) / channels,
    ]
    conv = nn.Conv2d(channels, channels, kernel_size, stride, kernel_size // 2, groups=channels, bias=False)

    def gated(pooled: Tensor, gate: Tensor) -> Tensor:
        return torch.sigmoid(functional.conv2d(pooled, gate))

    def ours(x, weight, bias, taps, after_weight, after_bias, gate):
        conv._parameters["weight"] = taps
        first = NormStep(norm_with(weight, bias), ACTIVATION_CODES[before]) if before else None
        x = x if before else x * weight[:, None, None] + bias[:, None, None]  # all inputs get a gradient
        second = NormStep(norm_with(after_weight, after_bias), ACTIVATION_CODES[after])
        squeeze = Gate(lambda pooled: gated(pooled, gate), (gate,)) if has_gate else None
        y = depthwise_chain(x, first, conv, second, squeeze)
        return y if has_gate else y + gate.sum()

    def reference(x, weight, bias, taps, after_weight, after_bias, gate):
        affine = x * weight[:, None, None] + bias[:, None, None]
        x = TORCH[before](normed(x, weight, bias)) if before else affine
        x = functional.conv2d(x, taps, None, stride, kernel_size // 2, 1, channels)
        y = TORCH[after](normed(x, after_weight, after_bias))
        return y * gated(y.mean((2, 3), keepdim=True), gate) if has_gate else y + gate.sum()

    check(ours, reference, inputs)


@pytest.mark.parametrize(
    ("in_channels", "out_channels", "size"), [(16, 96, 9), (100, 11, 18), (48, 48, 1), (13, 160, 2)]
)
def test_a_pointwise_convolution_is_torchs(in_channels: int, out_channels: int, size: int):
    assert can_sum(in_channels, out_channels)
    inputs = [draw(7, in_channels, size, size, seed=0), draw(out_channels, in_channels, 1, 1, seed=1)]
    check(pointwise, functional.conv2d, inputs)


def test_a_pointwise_convolution_with_few_channels_is_left_to_torch():
    assert not can_sum(3, 96)
    assert not can_sum(16, 16)
