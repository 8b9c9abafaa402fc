"""What is one layer, and what are its sizes?

Reading a block's layers in order, with x the block's input:

- branch `main`: x = activation(norm(conv(x)));
- branch `gate`: the squeeze-excite's two 1x1 convolutions on the pooled x; the second multiplies x;
- branch `shortcut`: what the block's input passes on its way around the block, nothing where it is plain;
- kind `add`: x = activation(x + shortcut).
"""

from dataclasses import dataclass
from typing import Literal

from effsearch.space.spec import Activation, Gate

LayerKind = Literal["conv", "linear", "max_pool", "global_pool", "pool_and_pad", "activation", "add"]
Branch = Literal["main", "gate", "shortcut"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer with its sizes; maps are square, and every convolution pads by kernel_size // 2."""

    scope: str  # "stem", "stages.2.0" (stage, block) or "head"
    name: str  # unique inside its scope: "expand", "depthwise", ...
    kind: LayerKind
    branch: Branch = "main"
    in_channels: int
    out_channels: int
    kernel_size: int = 1
    stride: int = 1
    groups: int = 1
    has_bias: bool = False
    has_norm: bool = False
    activation: Activation | Gate = "none"
    in_size: int  # pixels on a side
    out_size: int
    drop_rate: float = 0.0  # add: chance that the block is skipped; linear: dropout before it


def strided_size(size: int, stride: int) -> int:
    """Give the side of a map after a layer of that stride: the ceiling of size / stride."""
    return -(-size // stride)
