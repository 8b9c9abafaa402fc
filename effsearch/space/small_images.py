"""How does a network made for large images look at small ones?

Strides of two come off the front, stem first, until the last map is wide enough. How many is decided once for a
run and inherited by every candidate and every scaled network, so that no coefficient can flip a stride.
"""

import dataclasses

from effsearch.space.layer import strided_size
from effsearch.space.spec import ModelSpec


def front_strides(spec: ModelSpec) -> list[int]:
    """Give the strides above one, front to back: stem, its max-pool, stages."""
    strides = [spec.stem.stride, 2 if spec.stem.has_max_pool else 1]
    strides += [stage.stride for stage in spec.stages]
    return [stride for stride in strides if stride > 1]


def count_removable_strides(spec: ModelSpec, *, resolution: int, min_map: int) -> int:
    """Give the fewest strides to remove so that the last map is at least `min_map` pixels wide.

    Args:
        spec: Network whose strides are counted; its own resolution is not looked at.
        resolution: Pixels the network will train at.
        min_map: Wanted side of the last map, pixels.

    Returns:
        All the strides there are where even that is not enough.
    """
    strides = front_strides(spec)
    for num_removed in range(len(strides)):
        size = resolution
        for stride in strides[num_removed:]:
            size = strided_size(size, stride)
        if size >= min_map:
            return num_removed
    return len(strides)


def remove_strides(spec: ModelSpec, num_strides: int) -> ModelSpec:
    """Give `spec` with its first `num_strides` strides set to one; fewer where it has fewer."""
    left = num_strides
    stem, stages = spec.stem, list(spec.stages)
    if left and stem.stride > 1:
        stem, left = dataclasses.replace(stem, stride=1), left - 1
    if left and stem.has_max_pool:
        stem, left = dataclasses.replace(stem, has_max_pool=False), left - 1
    for index, stage in enumerate(stages):
        if left and stage.stride > 1:
            stages[index], left = dataclasses.replace(stage, stride=1), left - 1
    return dataclasses.replace(spec, stem=stem, stages=tuple(stages))
