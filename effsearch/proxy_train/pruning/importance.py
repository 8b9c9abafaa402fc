"""How much would each channel be missed?

Three measures, all computed by torch-pruning on whole groups: the size of the weights, the scale of the norms, and
the first-order change of the loss on training images. The first two are divided by their mean in a group, so that
groups compare; the change of the loss compares as it is.
"""

from collections.abc import Iterable
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from effsearch.proxy_train.build import Network
from effsearch.proxy_train.pruning.units import Unit

Importance = Literal["taylor", "magnitude", "bn"]
IMPORTANCES: tuple[Importance, ...] = get_args(Importance)

Batches = Iterable[tuple[Tensor, Tensor]]  # images (batch, 3, resolution, resolution), labels (batch,)


def score_channels(
    model: Network, units: Iterable[Unit], importance: Importance, batches: Batches
) -> dict[str, list[Tensor]]:
    """Give the importance of each channel, by unit and there by group; higher is more.

    Args:
        model: In eval mode; its gradients are lost.
        units: Of the model.
        importance: By which measure.
        batches: Training images; `taylor` alone looks at them.

    Returns:
        A unit is left out where the measure says nothing of it: `bn` of layers without a norm.
    """
    if importance == "taylor":
        return _loss_changes(model, list(units), batches)
    measure = _measure(importance)
    scores = {unit.name: [measure(group.handle) for group in unit.groups] for unit in units}
    return {
        name: [one.nan_to_num() for one in found]  # where all are zero their mean is too
        for name, found in scores.items()
        if all(one is not None for one in found)
    }


def _measure(importance: Importance) -> Any:
    """Give torch-pruning's measure, which has no types."""
    from torch_pruning import importance as measures

    if importance == "bn":
        return measures.BNScaleImportance()
    if importance == "magnitude":
        return measures.GroupMagnitudeImportance()
    return measures.GroupTaylorImportance(group_reduction="sum", normalizer=None, multivariable=True)


def _loss_changes(model: Network, units: list[Unit], batches: Batches) -> dict[str, list[Tensor]]:
    """Give the mean over batches of how much the loss would change, to first order.

    Source:
        Molchanov et al., arXiv:1906.10771: the product of weight and gradient, averaged over batches.
    """
    measure = _measure("taylor")
    sums: dict[str, list[Tensor]] = {}
    num_batches = 0
    for images, labels in batches:
        model.zero_grad(set_to_none=True)
        with torch.enable_grad():
            functional.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]  # torch's
        for unit in units:
            found = [measure(group.handle) for group in unit.groups]
            before = sums.get(unit.name)
            sums[unit.name] = found if before is None else [a + b for a, b in zip(before, found, strict=True)]
        num_batches += 1
    model.zero_grad(set_to_none=True)
    return {name: [one / num_batches for one in found] for name, found in sums.items()}


def settle_norms(model: nn.Module, batches: Batches) -> None:
    """Give the norms of a network the statistics that its maps have now; it is left in eval mode.

    After channels have gone, those that were counted before are of other maps.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    before = [norm.momentum for norm in norms]
    model.train()
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # a plain mean over all batches
        with torch.no_grad():
            for images, _ in batches:
                model(images)
    finally:
        for norm, momentum in zip(norms, before, strict=True):
            norm.momentum = momentum
        model.eval()
