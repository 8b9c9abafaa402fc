"""What does an untrained network tell about itself?

Scores of fresh weights on a few real images: one pass forward, for some of them one back. A network takes about a
tenth of a core-second; what that buys is a prior for a search or a feature beside others, not a filter.
"""

import copy
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from effsearch.proxy_train.augment import to_input
from effsearch.proxy_train.batches import choose_rows, load_batch
from effsearch.proxy_train.build import Block, Network, build_model
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.device import ON_CPU, Compute
from effsearch.proxy_train.memory import memory_as_failure
from effsearch.proxy_train.score import normalisation_of
from effsearch.proxy_train.short_training import for_short_training
from effsearch.proxy_train.train import TrainSettings, narrow_classifier
from effsearch.space.errors import UsageError
from effsearch.space.outcome import TrainingFailed
from effsearch.space.spec import ModelSpec

ZEN_STEP = 0.01  # deviation of the noise added to the input, arXiv:2102.01063


def zero_cost_scores(
    spec: ModelSpec,
    images: ImageData,
    *,
    names: Sequence[str],
    resolution: int,
    num_images: int = 64,
    seed: int,
    compute: Compute = ON_CPU,
) -> dict[str, float]:
    """Give some scores of a network with fresh weights on training images, always the same ones.

    Args:
        spec: Network to be built as it is, but for its size, its classes, dropout and stochastic depth.
        images: Data set; only training images are looked at.
        names: Of `ZERO_COST`.
        resolution: Side that images are resized to.
        num_images: How many to look at, at most.
        seed: Of the weights.
        compute: Device that the network runs on; in float32 on each.

    Raises:
        TrainingFailed: A score is not finite, or memory ran out.
        UsageError: There is no score of that name, or there are fewer than two images.
    """
    for name in names:
        if name not in ZERO_COST:
            raise UsageError(f"a zero-cost score must be one of {', '.join(ZERO_COST)}, got {name!r}")
    rows = choose_rows(images.train.labels, num_images)
    if len(rows) < 2:
        raise UsageError(f"zero-cost scores need at least 2 images, got {len(rows)}")
    with memory_as_failure():
        pixels, labels = (tensor.to(compute.device) for tensor in load_batch(images.train, rows))
        batch = to_input(pixels, normalisation=normalisation_of(images), resolution=resolution)
        own = dataclasses.replace(spec, resolution=resolution, num_classes=images.num_classes)
        model = build_model(for_short_training(own, TrainSettings()), seed=seed)
        narrow_classifier(model)
        model = model.to(compute.device)
        scores = {name: ZERO_COST[name](model, batch, labels) for name in names}
    for name, score in scores.items():
        if not math.isfinite(score):
            raise TrainingFailed(f"the zero-cost score {name} of the untrained network is {score}")
    return scores


def measure_naswot(model: Network, images: Tensor, labels: Tensor) -> float:
    """Give the log-determinant of the kernel of activation signs: how differently the images are seen.

    The kernel (batch, batch) counts the units on which two images have the same sign before the activation; for
    other activations than ReLU the sign is read at the same place. Squeeze-excite's are left out: they are few, and
    its gate cuts nothing off. One is added to the diagonal, so that images seen alike give a low score, not none.

    Args:
        model: Network in training mode, without dropout and stochastic depth; norms use the statistics of the batch.
        images: (batch, 3, resolution, resolution).
        labels: Not looked at.

    Source:
        arXiv:2006.04647.
    """
    kernel = torch.eye(len(images), dtype=torch.float64, device=images.device)

    def add_signs(module: nn.Module, inputs: object, output: Tensor) -> None:
        signs = (output > 0).movedim(1, -1).flatten(1).float().mul_(2).sub_(1)  # (batch, units), -1 or 1
        kernel.add_((signs.shape[1] + signs @ signs.T) / 2)  # whole numbers below 2^24: exact in float32

    with _hooked(_sign_sources(model), add_signs), torch.no_grad():
        scores = model(images)
    if not scores.isfinite().all():
        return math.nan
    return float(torch.linalg.slogdet(kernel.cpu()).logabsdet)  # small: not worth loading a GPU's solver


def measure_gradient_norm(model: Network, images: Tensor, labels: Tensor) -> float:
    """Give the sum over layers of the norm of the loss's gradient, after one pass in training mode.

    Source:
        As in arXiv:2101.08134.
    """
    gradients = torch.autograd.grad(functional.cross_entropy(model(images), labels), _weights(model))
    return float(sum(gradient.norm() for gradient in gradients))


def measure_snip(model: Network, images: Tensor, labels: Tensor) -> float:
    """Give the sum over weights of |weight x gradient|: how much the loss hangs on each.

    Source:
        arXiv:1810.02340, summed over the network as in arXiv:2101.08134.
    """
    return _sum_salience(functional.cross_entropy(model(images), labels), _weights(model))


def measure_synflow(model: Network, images: Tensor, labels: Tensor) -> float:
    """Give the log of the sum over weights of |weight x gradient| of the summed output, all weights positive.

    The input is ones, the norms pass their input on, and neither images nor labels are looked at but for their size.

    Source:
        arXiv:2006.05467, summed over the network as in arXiv:2101.08134.
    """
    positive = copy.deepcopy(model).double().eval()
    for module in positive.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
    weights = _weights(positive)
    with torch.no_grad():
        for weight in weights:
            weight.abs_()
    ones = torch.ones_like(images[:1], dtype=torch.float64)
    total = _sum_salience(positive(ones).sum(), weights)
    return math.log(total) if total > 0 else total


def measure_zen(model: Network, images: Tensor, labels: Tensor) -> float:
    """Give the Zen score: log of how far a little noise on the input moves what enters the head, norms undone.

    Shortcuts and squeeze-excite are left out, weights have deviation 1, and the input is noise of the images' size,
    the same for all networks. The head, which the networks of a space have in common, is left out too.

    Source:
        arXiv:2102.01063.
    """
    plain = _without_extras(model)
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn(2, *images.shape, generator=generator).to(images.device)
    maps: list[Tensor] = []

    def keep_input(module: nn.Module, inputs: tuple[Tensor]) -> None:
        maps.append(inputs[0])

    hook = plain.head.register_forward_pre_hook(keep_input)
    with torch.no_grad():
        for inputs in (noise[0] + ZEN_STEP * noise[1], noise[0]):
            plain(inputs.contiguous(memory_format=torch.channels_last))
    hook.remove()
    moved = (maps[0] - maps[1]).flatten(1).norm(dim=1).mean().item()
    variances = [
        module.running_var.mean().item()
        for name, module in plain.named_modules()
        if isinstance(module, nn.BatchNorm2d)
        and module.running_var is not None
        and not name.startswith("head.")
    ]
    if min(moved, *variances) <= 0:
        return -math.inf
    return math.log(moved) + sum(math.log(variance) / 2 for variance in variances)


ZERO_COST: Mapping[str, Callable[[Network, Tensor, Tensor], float]] = {
    "naswot": measure_naswot,
    "gradient_norm": measure_gradient_norm,
    "snip": measure_snip,
    "synflow": measure_synflow,
    "zen": measure_zen,
}


def _weights(model: Network) -> list[Tensor]:
    return [module.weight for module in model.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def _sum_salience(output: Tensor, weights: Sequence[Tensor]) -> float:
    """The sum over weights of |weight x gradient| of a number."""
    gradients = torch.autograd.grad(output, weights)
    pairs = zip(weights, gradients, strict=True)
    return float(sum((weight.detach() * gradient).abs().sum() for weight, gradient in pairs))


def _sign_sources(model: Network) -> list[nn.Module]:
    """The modules whose outputs have the signs of the units: what each activation acts on, or what it gives."""
    sources: list[nn.Module] = []
    for block in model.modules():
        if not isinstance(block, Block):
            continue
        for layer in block.layers:
            if layer.branch == "gate" or layer.activation == "none":
                continue
            if layer.kind in ("conv", "linear"):
                sources.append(block.get_submodule(f"{layer.name}_norm" if layer.has_norm else layer.name))
            else:  # after an addition: the last in its block
                sources.append(block)
    return sources


@contextmanager
def _hooked(
    modules: Sequence[nn.Module], hook: Callable[[nn.Module, object, Tensor], None]
) -> Iterator[None]:
    handles = [module.register_forward_hook(hook) for module in modules]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _without_extras(model: Network) -> Network:
    """A copy without shortcuts and squeeze-excite, each layer's weights at a root mean square of 1."""
    stages = tuple(
        dataclasses.replace(
            stage,
            blocks=tuple(dataclasses.replace(block, skip="none", se_ratio=0.0) for block in stage.blocks),
        )
        for stage in model.spec.stages
    )
    plain = build_model(dataclasses.replace(model.spec, stages=stages), seed=0)
    plain = plain.to(next(model.parameters()).device)
    known = model.state_dict()
    plain.load_state_dict({name: known[name] for name in plain.state_dict()})
    with torch.no_grad():
        for weight in _weights(plain):
            weight.div_(weight.square().mean().sqrt())
    for module in plain.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = 1.0  # the statistics of the last batch alone
    return plain
