"""What do others count for the same network?

`space.cost` counts in closed form and serves the search. fvcore and torch count what a built module does; the tests
hold the three together, and `effsearch profile` prints them side by side.
"""

import warnings
from dataclasses import dataclass

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from effsearch.proxy_train.build import build_model, build_on_meta
from effsearch.space.cost import count_cost
from effsearch.space.errors import SpecError
from effsearch.space.spec import ModelSpec

MOST_MULTIPLY_ADDS = 10**13  # minutes on one core
_FVCORE_CONV_LINEAR = ("conv", "linear", "addmm")


@dataclass(frozen=True, slots=True, kw_only=True)
class FvcoreCount:
    """fvcore's "flops" of one forward pass, batch of one: it counts one per multiply-add."""

    conv_linear: int  # convolutions and linear layers: what the paper's FLOPs are
    total: int  # with norms and pooling


def measure_fvcore(spec: ModelSpec) -> FvcoreCount:
    """Count a network with fvcore: built, in eval mode, one image at the network's resolution.

    Raises:
        SpecError: To run it even once would take minutes, or more memory than there is.

    Source:
        B0 at 224 pixels: 385,814,752 in convolutions and the linear layer, 401.66 M in all.
    """
    if (counted := count_cost(spec).multiply_adds) > MOST_MULTIPLY_ADDS:
        raise SpecError(
            f"fvcore counts a network by running it, and one of {counted:.3g} multiply-adds would take too long; at "
            f"most {MOST_MULTIPLY_ADDS:.3g}: give fewer channels or pixels"
        )
    with warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # of its imports and of torch's tracer; they are about fvcore, not the network
        from fvcore.nn import FlopCountAnalysis

        model = build_model(spec, seed=0).eval()
        analysis = FlopCountAnalysis(model, torch.zeros(1, 3, spec.resolution, spec.resolution))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        by_operator = analysis.by_operator()
    return FvcoreCount(
        conv_linear=sum(int(by_operator[name]) for name in _FVCORE_CONV_LINEAR),
        total=sum(int(count) for count in by_operator.values()),
    )


def check_count(spec: ModelSpec) -> None:
    """Hold the closed count of a network that is emitted against fvcore's; they differ only by a bug of ours."""
    counted, measured = count_cost(spec).multiply_adds, measure_fvcore(spec).conv_linear
    assert counted == measured, f"the closed count is {counted}, fvcore's {measured}"


def measure_torch_flops(spec: ModelSpec) -> int:
    """Count a network with torch's `FlopCounterMode`, two per multiply-add; nothing is computed.

    Source:
        B0 at 224 pixels: 771,629,504.
    """
    model = build_on_meta(spec).eval()
    images = torch.empty(1, 3, spec.resolution, spec.resolution, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model(images)
    return int(counter.get_total_flops())


def count_parameters(model: nn.Module) -> int:
    """Count the trainable numbers of a built module."""
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
