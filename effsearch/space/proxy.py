"""Which network is trained in place of the one that is meant?"""

import dataclasses

from effsearch.space.cost import count_cost
from effsearch.space.outcome import ContinuedFidelity, Fidelity
from effsearch.space.rays import CountModel
from effsearch.space.rounding import round_resolution
from effsearch.space.scaling import scale_width
from effsearch.space.small_images import remove_strides
from effsearch.space.spec import ModelSpec


def proxy_spec(spec: ModelSpec, fidelity: Fidelity, *, num_classes: int) -> ModelSpec:
    """Give the network that is built for a score: at the fidelity's size, width and strides."""
    spec = remove_strides(spec, fidelity.num_removed_strides)
    spec = scale_width(spec, fidelity.width)
    return dataclasses.replace(spec, resolution=fidelity.resolution, num_classes=num_classes)


def fidelity_for(spec: ModelSpec, fidelity: Fidelity, *, target_resolution: int) -> Fidelity:
    """Give the fidelity of a network whose resolution is not the run's: the proxy's size in proportion.

    Args:
        spec: Network to be scored.
        fidelity: The run's, which holds for networks of `target_resolution`.
        target_resolution: Pixels at which the run counts its budget.
    """
    resolution = round_resolution(spec.resolution / target_resolution, resolution=fidelity.resolution)
    if isinstance(fidelity, ContinuedFidelity):
        before = fidelity_for(spec, fidelity.continues, target_resolution=target_resolution)
        return dataclasses.replace(fidelity, resolution=resolution, continues=before)
    return dataclasses.replace(fidelity, resolution=resolution)


def count_as_trained(base: ModelSpec, fidelity: Fidelity, *, num_classes: int) -> CountModel:
    """Give what counts the multiply-adds of scaled networks as the proxy trains them.

    Args:
        base: Network that they are scaled from; pixels are in proportion to its own.
        fidelity: At which the base is trained.
        num_classes: Of the data.
    """

    def count(spec: ModelSpec) -> int:
        own = fidelity_for(spec, fidelity, target_resolution=base.resolution)
        return count_cost(proxy_spec(spec, own, num_classes=num_classes)).multiply_adds

    return count
