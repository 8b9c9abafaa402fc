"""What does a network become at another depth, width and resolution?"""

import dataclasses
from dataclasses import dataclass

from effsearch.space.errors import SpecError
from effsearch.space.rounding import ceil_depth, round_channels, round_resolution
from effsearch.space.spec import BlockSpec, ModelSpec, StageSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Multipliers:
    """Factors on a base network; exactly 1 leaves its dimension untouched."""

    depth: float = 1.0
    width: float = 1.0
    resolution: float = 1.0

    def __post_init__(self) -> None:
        for name in ("depth", "width", "resolution"):
            value = getattr(self, name)
            if not 0.01 <= value <= 100:
                raise SpecError(f"{name} multiplier must be from 0.01 to 100, got {value}")

    @property
    def nominal_cost(self) -> float:
        """Factor on the multiply-adds before anything is rounded: depth * width^2 * resolution^2."""
        return self.depth * self.width**2 * self.resolution**2


def scale_model(base: ModelSpec, multipliers: Multipliers, *, divisor: int = 8) -> ModelSpec:
    """Give `base` with more or fewer blocks, channels and pixels.

    Repeats round up, channels go to multiples of `divisor`, resolution to the nearest pixel. Stem, head and
    widths given outright scale with the rest.

    Source:
        arXiv:1905.11946 and its reference code, whose B1 to B7 this rebuilds to the last parameter.
    """
    spec = scale_depth(base, multipliers.depth)
    spec = scale_width(spec, multipliers.width, divisor=divisor)
    return dataclasses.replace(
        spec, resolution=round_resolution(multipliers.resolution, resolution=base.resolution)
    )


def scale_depth(base: ModelSpec, multiplier: float) -> ModelSpec:
    """Give `base` with ceil(multiplier x blocks) blocks in each stage; identities do not count and stay."""
    if multiplier == 1:
        return base
    return dataclasses.replace(base, stages=tuple(_scale_stage(stage, multiplier) for stage in base.stages))


def scale_width(base: ModelSpec, multiplier: float, *, divisor: int = 8) -> ModelSpec:
    """Give `base` with all its channels multiplied and rounded to multiples of `divisor`."""
    if multiplier == 1:
        return base

    def scaled(channels: int) -> int:
        return round_channels(channels * multiplier, divisor=divisor) if channels else 0

    def scaled_block(block: BlockSpec) -> BlockSpec:
        return dataclasses.replace(block, expanded_channels=scaled(block.expanded_channels))

    return dataclasses.replace(
        base,
        stem=dataclasses.replace(base.stem, out_channels=scaled(base.stem.out_channels)),
        stages=tuple(
            dataclasses.replace(
                stage,
                out_channels=scaled(stage.out_channels),
                blocks=tuple(scaled_block(block) for block in stage.blocks),
            )
            for stage in base.stages
        ),
        head=dataclasses.replace(
            base.head,
            out_channels=scaled(base.head.out_channels),
            hidden_features=scaled(base.head.hidden_features),
        ),
    )


def _scale_stage(stage: StageSpec, multiplier: float) -> StageSpec:
    working = [index for index, block in enumerate(stage.blocks) if block.kind != "identity"]
    if not working:
        return stage
    wanted = ceil_depth(multiplier, num_blocks=len(working))
    if wanted >= len(working):
        repeated = stage.blocks[working[-1]]
        return dataclasses.replace(stage, blocks=stage.blocks + (repeated,) * (wanted - len(working)))
    dropped = set(working[wanted:])
    kept = tuple(block for index, block in enumerate(stage.blocks) if index not in dropped)
    return dataclasses.replace(stage, blocks=kept)
