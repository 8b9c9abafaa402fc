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


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRules:
    """What turns multipliers into a network that can be built."""

    divisor: int = 8  # channels are multiples of it
    has_floor: bool = True  # no width falls below nine tenths of what is wanted
    has_fixed_ends: bool = False  # stem, head, and the repeats of the first and last stage stay as they are
    resolution_multiple: int = 1  # pixels
    max_resolution: int | None = None  # pixels; a base above it keeps its own

    def __post_init__(self) -> None:
        for name, high in (("divisor", 256), ("resolution_multiple", 512)):
            value = getattr(self, name)
            if type(value) is not int or not 1 <= value <= high:
                raise SpecError(f"{name} must be a whole number from 1 to {high}, got {value!r}")
        if self.max_resolution is not None and self.max_resolution < 1:
            raise SpecError(f"max_resolution must be at least 1, got {self.max_resolution}")


DEFAULT_RULES = BuildRules()


def scale_model(base: ModelSpec, multipliers: Multipliers, rules: BuildRules = DEFAULT_RULES) -> ModelSpec:
    """Give `base` with more or fewer blocks, channels and pixels.

    Repeats round up, channels and pixels go to multiples. Stem, head and widths given outright scale with
    the rest, unless the rules keep the ends.

    Source:
        arXiv:1905.11946 and its reference code, whose B1 to B7 this rebuilds to the last parameter; fixed ends are
        EfficientNet-Lite's rule.
    """
    spec = scale_depth(base, multipliers.depth, rules)
    spec = scale_width(spec, multipliers.width, rules)
    return dataclasses.replace(
        spec, resolution=scale_resolution(base.resolution, multipliers.resolution, rules)
    )


def scale_depth(base: ModelSpec, multiplier: float, rules: BuildRules = DEFAULT_RULES) -> ModelSpec:
    """Give `base` with ceil(multiplier x blocks) blocks in each stage; identities do not count and stay."""
    if multiplier == 1:
        return base
    ends = {0, len(base.stages) - 1} if rules.has_fixed_ends else set()
    stages = (
        stage if index in ends else _scale_stage(stage, multiplier) for index, stage in enumerate(base.stages)
    )
    return dataclasses.replace(base, stages=tuple(stages))


def scale_width(base: ModelSpec, multiplier: float, rules: BuildRules = DEFAULT_RULES) -> ModelSpec:
    """Give `base` with all its channels multiplied and rounded."""
    if multiplier == 1:
        return base

    def scaled(channels: int) -> int:
        if not channels:
            return 0
        return round_channels(channels * multiplier, divisor=rules.divisor, has_floor=rules.has_floor)

    def scaled_block(block: BlockSpec) -> BlockSpec:
        return dataclasses.replace(block, expanded_channels=scaled(block.expanded_channels))

    stages = tuple(
        dataclasses.replace(
            stage,
            out_channels=scaled(stage.out_channels),
            blocks=tuple(scaled_block(block) for block in stage.blocks),
        )
        for stage in base.stages
    )
    if rules.has_fixed_ends:
        return dataclasses.replace(base, stages=stages)
    stem = dataclasses.replace(base.stem, out_channels=scaled(base.stem.out_channels))
    head = dataclasses.replace(
        base.head,
        out_channels=scaled(base.head.out_channels),
        hidden_features=scaled(base.head.hidden_features),
    )
    return dataclasses.replace(base, stem=stem, stages=stages, head=head)


def scale_resolution(resolution: int, multiplier: float, rules: BuildRules = DEFAULT_RULES) -> int:
    """Give `resolution` multiplied and rounded, pixels; rounding never turns more into less, nor less into more."""
    scaled = round_resolution(multiplier, resolution=resolution, multiple=rules.resolution_multiple)
    if multiplier <= 1:
        return min(scaled, resolution)
    capped = scaled if rules.max_resolution is None else min(scaled, rules.max_resolution)
    return max(capped, resolution)


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
