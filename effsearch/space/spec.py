"""What describes a network, whole and without a doubt?

A `BlockSpec` says what one block does, a `StageSpec` puts blocks of one width in a row, a `ModelSpec` is
stem, stages and head at a resolution. All are frozen and validated: an instance in hand is a valid one.
What follows from a spec is found elsewhere: its layers in `layers`, its cost in `cost`, its text in `text`.
"""

import math
from dataclasses import dataclass, field
from typing import Literal, get_args

from effsearch.space.errors import SpecError

BlockKind = Literal[
    "mbconv", "fused_mbconv", "depthwise_separable", "conv", "bottleneck", "basic", "identity"
]
Activation = Literal["none", "relu", "relu6", "swish", "hard_swish", "gelu"]
Gate = Literal["sigmoid", "hard_sigmoid"]
Skip = Literal["none", "identity", "pool"]
SqueezeReference = Literal["input", "expanded"]

BLOCK_KINDS: tuple[BlockKind, ...] = get_args(BlockKind)

MAX_CHANNELS = 65_536
MAX_BLOCKS = 1_024
MAX_RESOLUTION = 4_096
MAX_CLASSES = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockSpec:
    """What one block does to its input, whatever its width and stride.

    Kinds, written as convolutions (each with norm; SE is squeeze-excite):

    - `mbconv`: 1x1 expand, k x k depthwise, SE, 1x1 project; no expansion where it would change nothing.
    - `fused_mbconv`: k x k expand, SE, 1x1 project; without expansion SE, then one k x k convolution.
    - `depthwise_separable`: k x k depthwise, SE, 1x1 project.
    - `conv`: one k x k convolution, then SE.
    - `bottleneck`: 1x1 reduce, k x k, 1x1 restore, SE; its inner width is a share of its OUTPUT.
    - `basic`: two k x k convolutions, then SE.
    - `identity`: nothing; a 1x1 convolution without activation where the shape changes.
    """

    kind: BlockKind = "mbconv"
    kernel_size: int = 3
    expand_ratio: float = 1.0  # expanded width over the input's (bottleneck: over the output's)
    expanded_channels: int = 0  # the expanded width outright; 0 means expand_ratio decides
    se_ratio: float = 0.0  # squeezed width as a share of `se_of`; 0 means no squeeze-excite
    se_of: SqueezeReference = "input"  # the block's input, or the width that the gate multiplies
    se_divisor: int = 1  # squeezed width in multiples of this; 1 means truncated to an integer
    se_activation: Activation = "swish"
    se_gate: Gate = "sigmoid"
    activation: Activation = "swish"
    projection_activation: Activation = "none"  # after the projection; MobileNetV1 has one
    skip: Skip = "identity"  # "pool" also joins strided and widening blocks: average pool, zero channels

    def __post_init__(self) -> None:
        _require_choice("kind", self.kind, BLOCK_KINDS)
        _require_int("kernel_size", self.kernel_size, low=1, high=31)
        if self.kernel_size % 2 == 0:
            raise SpecError(f"kernel_size must be odd, got {self.kernel_size}")
        _require_float(self, "expand_ratio", low=1 / 64, high=64)
        _require_int("expanded_channels", self.expanded_channels, low=0, high=MAX_CHANNELS)
        _require_float(self, "se_ratio", low=0, high=4)
        _require_choice("se_of", self.se_of, get_args(SqueezeReference))
        _require_int("se_divisor", self.se_divisor, low=1, high=256)
        _require_choice("se_gate", self.se_gate, get_args(Gate))
        for name in ("se_activation", "activation", "projection_activation"):
            _require_choice(name, getattr(self, name), get_args(Activation))
        _require_choice("skip", self.skip, get_args(Skip))


@dataclass(frozen=True, slots=True, kw_only=True)
class StageSpec:
    """A row of blocks at one width; only the first block strides and changes the width."""

    out_channels: int
    stride: int
    blocks: tuple[BlockSpec, ...]

    def __post_init__(self) -> None:
        _require_int("out_channels", self.out_channels, low=1, high=MAX_CHANNELS)
        _require_int("stride", self.stride, low=1, high=4)
        object.__setattr__(self, "blocks", tuple(self.blocks))
        if not 1 <= len(self.blocks) <= MAX_BLOCKS:
            raise SpecError(f"a stage has from 1 to {MAX_BLOCKS} blocks, got {len(self.blocks)}")

    @property
    def num_blocks(self) -> int:
        """Blocks in the row, identities included."""
        return len(self.blocks)


@dataclass(frozen=True, slots=True, kw_only=True)
class StemSpec:
    """The first convolution, and the pooling that may follow it."""

    out_channels: int = 32
    kernel_size: int = 3
    stride: int = 2
    activation: Activation = "swish"
    has_max_pool: bool = False  # 3x3, stride 2, as in ResNet

    def __post_init__(self) -> None:
        _require_int("out_channels", self.out_channels, low=1, high=MAX_CHANNELS)
        _require_int("kernel_size", self.kernel_size, low=1, high=31)
        if self.kernel_size % 2 == 0:
            raise SpecError(f"kernel_size must be odd, got {self.kernel_size}")
        _require_int("stride", self.stride, low=1, high=4)
        _require_choice("activation", self.activation, get_args(Activation))
        _require_bool("has_max_pool", self.has_max_pool)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadSpec:
    """What follows the stages: 1x1 convolution, global pool, hidden linear layer, classifier."""

    out_channels: int = 1280  # of the 1x1 convolution before the pool; 0 means none
    hidden_features: int = 0  # of the linear layer after the pool; 0 means none
    activation: Activation = "swish"
    dropout_rate: float = 0.2  # before the classifier

    def __post_init__(self) -> None:
        _require_int("out_channels", self.out_channels, low=0, high=MAX_CHANNELS)
        _require_int("hidden_features", self.hidden_features, low=0, high=MAX_CHANNELS)
        _require_choice("activation", self.activation, get_args(Activation))
        _require_float(self, "dropout_rate", low=0, high=0.99)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelSpec:
    """One image classifier: RGB images of resolution x resolution in, class scores out."""

    stem: StemSpec = field(default_factory=StemSpec)
    stages: tuple[StageSpec, ...]
    head: HeadSpec = field(default_factory=HeadSpec)
    resolution: int  # pixels
    num_classes: int
    drop_path_rate: float = 0.0  # stochastic depth at the last block, linear in the block's index
    norm_momentum: float = 0.01  # share of the new batch in the running statistics, torch's convention
    norm_epsilon: float = 1e-3

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        if not self.stages:
            raise SpecError("a network needs at least one stage")
        num_blocks = sum(stage.num_blocks for stage in self.stages)
        if num_blocks > MAX_BLOCKS:
            raise SpecError(f"a network has at most {MAX_BLOCKS} blocks, got {num_blocks}")
        _require_int("resolution", self.resolution, low=1, high=MAX_RESOLUTION)
        _require_int("num_classes", self.num_classes, low=1, high=MAX_CLASSES)
        _require_float(self, "drop_path_rate", low=0, high=0.99)
        _require_float(self, "norm_momentum", low=1e-6, high=1)
        _require_float(self, "norm_epsilon", low=1e-12, high=1)


def _require_int(name: str, value: object, *, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise SpecError(f"{name} must be a whole number from {low} to {high}, got {value!r}")


def _require_bool(name: str, value: object) -> None:
    if type(value) is not bool:
        raise SpecError(f"{name} must be true or false, got {value!r}")


def _require_float(owner: object, name: str, *, low: float, high: float) -> None:
    value = getattr(owner, name)
    if type(value) not in (int, float) or not math.isfinite(value) or not low <= value <= high:
        raise SpecError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}")
    object.__setattr__(owner, name, float(value))  # 6 and 6.0 are one value, in text too


def _require_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise SpecError(f"{name} must be one of {', '.join(choices)}, got {value!r}")
