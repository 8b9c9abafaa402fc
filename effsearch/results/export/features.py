"""Which maps does a detector or a segmenter take from a network?

The last map at each of the strides 4, 8, 16 and 32 that the network has, before any 1x1 convolution of the head.
"""

from dataclasses import dataclass

from effsearch.results.export.placed import placed_stages
from effsearch.space.cost import Cost, layers_cost
from effsearch.space.errors import SpecError
from effsearch.space.layers import stem_layers
from effsearch.space.spec import ModelSpec

STRIDES = (4, 8, 16, 32)
STEM = -1  # in place of a stage's position


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """One map, (batch, channels, height / stride, width / stride)."""

    name: str  # "0", "1", ..., finest first
    stride: int
    channels: int
    stage: int  # position among `placed_stages`, STEM where the stem gives it


def find_features(spec: ModelSpec) -> tuple[Feature, ...]:
    """Give the maps of a network, finest first.

    Raises:
        SpecError: It has none at these strides.
    """
    stride = spec.stem.stride * (2 if spec.stem.has_max_pool else 1)
    last = {stride: (spec.stem.out_channels, STEM)}
    for position, stage in enumerate(placed_stages(spec)):
        stride *= stage[0].stride
        last[stride] = (stage[-1].out_channels, position)
    found = [stride for stride in STRIDES if stride in last]
    if not found:
        raise SpecError(
            f"no feature maps: the network has strides {', '.join(map(str, last))}, and none of "
            f"{', '.join(map(str, STRIDES))}"
        )
    return tuple(
        Feature(name=str(index), stride=stride, channels=last[stride][0], stage=last[stride][1])
        for index, stride in enumerate(found)
    )


def backbone_cost(spec: ModelSpec, *, last_stage: int) -> Cost:
    """Count a network without its head and without the stages after a position among `placed_stages`."""
    stages = placed_stages(spec)[: last_stage + 1]
    of_blocks = [layer for stage in stages for block in stage for layer in block.layers.values()]
    return layers_cost([*stem_layers(spec.stem, in_size=spec.resolution), *of_blocks])
