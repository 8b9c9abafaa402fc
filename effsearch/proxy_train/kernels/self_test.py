"""Do the kernels compute what torch does, on this machine?"""

import logging
from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from effsearch.proxy_train.kernels.activations import ACTIVATION_CODES
from effsearch.proxy_train.kernels.depthwise_operator import Gate, depthwise_chain
from effsearch.proxy_train.kernels.lanes import LANES
from effsearch.proxy_train.kernels.norm_operator import NormStep, norm_activate
from effsearch.proxy_train.kernels.pointwise import has_fast_bfloat16, narrow_pointwise, pointwise
from effsearch.proxy_train.kernels.product_kernels import TILE_COLUMNS

TOLERANCE = 1e-4  # largest error allowed, as a share of the largest value; rounding comes to some 1e-6
# The same in bfloat16. What is tested is given values that bfloat16 holds, so products are exact and summed in
# float32, and only the result is rounded: by 2**-9 of itself, as bfloat16 has eight digits. Twice that is left for
# processors that lose a bit more; a sum in bfloat16 loses more than that.
NARROW_TOLERANCE = 2.0**-8

_TORCH_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": functional.relu,
    "relu6": functional.relu6,
    "swish": functional.silu,
    "hard_swish": functional.hardswish,
}


def find_fault() -> str | None:
    """Give what is wrong with the kernels that every network needs; None where nothing is."""
    channels = LANES + LANES // 2  # the second block of channels overlaps the first
    x, shortcut = _draw(3, channels, 5, 4, seed=0), _draw(3, channels, 5, 4, seed=1)
    for name, code in ACTIVATION_CODES.items():
        norm = _norm(channels)
        activation = _TORCH_ACTIVATIONS[name]

        def ours(x: Tensor, shortcut: Tensor, norm: nn.BatchNorm2d = norm, code: int = code) -> Tensor:
            return norm_activate(x, NormStep(norm, code), shortcut)

        def reference(
            x: Tensor,
            shortcut: Tensor,
            norm: nn.BatchNorm2d = norm,
            activation: Callable[[Tensor], Tensor] = activation,
        ) -> Tensor:
            return activation(_normed(x, norm)) + shortcut

        if not _agree(ours, reference, (x, shortcut)):
            return f"the norm with {name} differs from torch's"
    x, weight = _draw(3, TILE_COLUMNS + 5, 5, 4, seed=0), _draw(LANES + 3, TILE_COLUMNS + 5, 1, 1, seed=1)
    if not _agree(pointwise, functional.conv2d, (x, weight)):
        return "the pointwise convolution differs from torch's"
    return None if is_chain_sound(3, 1) else "the depthwise convolution differs from torch's"


def find_narrow_fault() -> str | None:
    """Give why pointwise convolutions are not to be computed in bfloat16 here; None where they are."""
    if not has_fast_bfloat16():
        return "this processor has no instructions for bfloat16"
    # More pixels and channels than one register holds, so that many products meet in each sum.
    x, weight = (
        _draw(5, TILE_COLUMNS + 5, 9, 10, seed=0),
        _draw(2 * LANES + 3, TILE_COLUMNS + 5, 1, 1, seed=1),
    )
    if not _agree(
        lambda x, w: narrow_pointwise(x, w.float()), functional.conv2d, (x, weight), is_narrow=True
    ):
        return "the pointwise convolution in bfloat16 differs from torch's in float64"
    channels = LANES + LANES // 2
    norm = _norm(channels)
    if not _agree(
        lambda x, shortcut: norm_activate(x, NormStep(norm, 3), shortcut.float()),
        lambda x, shortcut: functional.silu(_normed(x, norm)) + shortcut,
        (_draw(3, channels, 5, 4, seed=0), _draw(3, channels, 5, 4, seed=1)),
        is_narrow=True,
    ):
        return "the norm of a bfloat16 map differs from torch's in float64"
    return (
        None if is_chain_sound(3, 1, is_narrow=True) else "the depthwise convolution of bfloat16 maps differs"
    )


@cache
def is_chain_sound(kernel_size: int, stride: int, *, is_narrow: bool = False) -> bool:
    """Tell whether depthwise convolutions of that kind compute what torch's do; if not, the log has it once.

    Most kinds are compiled and tested where a training first meets them, and torch can do without them, too. Narrow
    ones read and write bfloat16 maps, or float32 ones where there is no expansion.
    """
    try:
        with torch.inference_mode(False):  # a forward pass in it may be what asks
            fault = None if _chain_agrees(kernel_size, stride) else "they differ from torch's"
            if is_narrow and not _chain_agrees(kernel_size, stride, is_narrow=True):
                fault = fault or "they differ from torch's on bfloat16 maps"
    except Exception as error:  # as in `turn_on`
        fault = f"{type(error).__name__}: {error}"
    if fault is not None:
        logging.getLogger(__name__).warning(
            "depthwise convolutions %dx%d of stride %d run on torch's operators, which is slower: %s",
            kernel_size,
            kernel_size,
            stride,
            fault,
        )
    return fault is None


def _chain_agrees(kernel_size: int, stride: int, *, is_narrow: bool = False) -> bool:
    """Compare a convolution between two norms, and one of what has no norm that is gated in the end."""
    channels = LANES + LANES // 2
    kind = torch.bfloat16 if is_narrow else torch.float32
    first, second = _norm(channels), _norm(channels)
    conv = nn.Conv2d(
        channels, channels, kernel_size, stride, kernel_size // 2, groups=channels, bias=False, device="meta"
    )

    def ours(x: Tensor, weight: Tensor) -> Tensor:
        conv._parameters["weight"] = weight.float()  # type: ignore[assignment]  # no leaf, as in functional_call
        return depthwise_chain(x, NormStep(first, 3), conv, NormStep(second, 1), None, result_type=kind)

    def reference(x: Tensor, weight: Tensor) -> Tensor:
        x = functional.silu(_normed(x, first))
        x = functional.conv2d(x, weight, None, stride, kernel_size // 2, 1, channels)
        return functional.relu(_normed(x, second))

    def ours_gated(x: Tensor, weight: Tensor, squeeze: Tensor) -> Tensor:
        conv._parameters["weight"] = weight.float()  # type: ignore[assignment]  # no leaf, as in functional_call
        squeeze = squeeze.float()
        gate = Gate(lambda pooled: torch.sigmoid(pooled * squeeze), (squeeze,))
        return depthwise_chain(x.float(), None, conv, NormStep(second, 3), gate, result_type=kind)

    def reference_gated(x: Tensor, weight: Tensor, squeeze: Tensor) -> Tensor:
        x = functional.conv2d(x, weight, None, stride, kernel_size // 2, 1, channels)
        x = functional.silu(_normed(x, second))
        return x * torch.sigmoid(x.mean((2, 3), keepdim=True) * squeeze)

    x, weight = _draw(3, channels, 9, 10, seed=0), _draw(channels, 1, kernel_size, kernel_size, seed=1)
    squeeze = _draw(1, channels, 1, 1, seed=3)
    return _agree(ours, reference, (x, weight), is_narrow=is_narrow) and _agree(
        ours_gated, reference_gated, (x, weight, squeeze), is_narrow=is_narrow
    )


def _agree(
    ours: Callable[..., Tensor],
    reference: Callable[..., Tensor],
    inputs: Sequence[Tensor],
    *,
    is_narrow: bool = False,
) -> bool:
    """Compare results and gradients with float64; in bfloat16, of inputs that it holds."""
    narrow = torch.bfloat16 if is_narrow else torch.float32
    results = []
    for function, kind in ((ours, narrow), (reference, torch.float64)):
        with torch.enable_grad():
            given = [tensor.detach().to(narrow).to(kind).requires_grad_() for tensor in inputs]
            y = function(*given)
            weights = _draw(*y.shape, seed=2).to(narrow).to(y.dtype)
            results.append((y.detach(), *torch.autograd.grad((y * weights).sum(), given)))
    tolerance = NARROW_TOLERANCE if is_narrow else TOLERANCE
    return all(
        bool((one - other).abs().max() <= tolerance * other.abs().max())  # false for what is not a number
        for one, other in zip(*results, strict=True)
    )


def _draw(*shape: int, seed: int) -> Tensor:
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return drawn.contiguous(memory_format=torch.channels_last)


def _norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, track_running_stats=False)
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 1.5, channels))
        norm.bias.copy_(torch.linspace(-1, 1, channels))
    return norm


def _normed(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    weight, bias = norm.weight.to(x.dtype), norm.bias.to(x.dtype)
    return functional.batch_norm(x, None, None, weight, bias, True, 0.0, norm.eps)
