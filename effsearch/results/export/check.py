"""Does an export compute what effsearch computes?"""

from collections.abc import Sequence
from types import ModuleType
from typing import TYPE_CHECKING

from effsearch.results.export.features import STEM, Feature
from effsearch.results.export.names import Names, rename
from effsearch.space.errors import RunError
from effsearch.space.spec import ModelSpec

if TYPE_CHECKING:
    from torch import Tensor, nn

TOLERANCE = 1e-4
CHECK_PIXELS = 64  # or the network's own size, whichever is less


def check_torch_source(source: str, spec: ModelSpec, names: Names, features: Sequence[Feature]) -> float:
    """Run a torch export's file with random weights and give how far its outputs are from effsearch's own.

    Returns:
        The largest difference, as a share of the largest output.

    Raises:
        RunError: It is above 1e-4.
    """
    import torch

    network = stirred_network(spec, seed=0)
    module = ModuleType("exported")
    # What `torch_source` has just written: numbers and words of a checked spec, and a name that `safe_name` has made.
    exec(compile(source, "exported.py", "exec"), module.__dict__)  # nosec B102
    with torch.device("meta"):  # it takes the network's own tensors
        model = module.build().eval()
    model.load_state_dict(rename(network.state_dict(), names), assign=True)
    images = random_images(_check_size(spec), batch=2, seed=1).double()
    with torch.no_grad():
        given = model(images)
        found = list(given.values()) if features else [given]
        return require_equal(reference_outputs(network, images, features), found, "the torch file")


def stirred_network(spec: ModelSpec, *, seed: int) -> "nn.Module":
    """Give the built network with every tensor random, in double precision, so that no error hides in rounding.

    The norms' statistics are those of one batch of noise, which keeps signals alive through all layers.
    """
    import torch
    from torch import nn

    from effsearch.proxy_train.build import build_model

    network = build_model(spec, seed=seed).eval().double()
    generator = torch.Generator().manual_seed(seed)
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("bias"):
                parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
        for norm in norms:
            norm.weight.copy_(0.5 + torch.rand(norm.weight.shape, generator=generator))
            norm.momentum = None  # the mean over all batches, which are one
            norm.train()
        network(random_images(_check_size(spec), batch=4, seed=seed).double())
    for norm in norms:
        norm.momentum = spec.norm_momentum
    return network.eval()


def reference_outputs(network: "nn.Module", images: "Tensor", features: Sequence[Feature]) -> "list[Tensor]":
    """Give what effsearch's own network makes of images: the maps asked for, else the class scores."""
    if not features:
        return [network(images)]
    x = network.get_submodule("stem")(images)
    found = {STEM: x}
    for position, stage in enumerate(network.get_submodule("stages").children()):
        if position > features[-1].stage:
            break
        for block in stage.children():
            x = block(x)
        found[position] = x
    return [found[feature.stage] for feature in features]


def require_equal(
    wanted: "list[Tensor]", found: "list[Tensor]", what: str, *, allowed: float = TOLERANCE
) -> float:
    """Give the largest difference, as a share of the largest output.

    Raises:
        RunError: It is above what is allowed.
    """
    difference = largest_difference(wanted, found)
    if not difference <= allowed:  # not a number is no agreement either
        raise RunError(
            f"{what} gives other outputs than effsearch: they differ by {difference:.3g} of the largest, "
            f"above {allowed:.3g}"
        )
    return difference


def largest_difference(wanted: "list[Tensor]", found: "list[Tensor]") -> float:
    """Give the largest difference, as a share of the largest output of its kind; not a number where one is none."""
    shares = [
        float((one - other).abs().max()) / (float(one.abs().max()) or 1.0)
        for one, other in zip(wanted, found, strict=True)
    ]
    return max(shares, key=lambda share: (share != share, share))


def random_images(size: int, *, batch: int, seed: int) -> "Tensor":
    """Give normal noise, (batch, 3, size, size)."""
    import torch

    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(seed))


def _check_size(spec: ModelSpec) -> int:
    return min(spec.resolution, CHECK_PIXELS)
