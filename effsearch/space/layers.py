"""Which layers does a network consist of, in order and with every size?

`layers(spec)` is the one walk over a network. The cost counter, the torch builder and the hash all read it, so
none of them can disagree with another about what a block is.

Reading a block's layers in order, with x the block's input:

- branch `main`: x = activation(norm(conv(x)));
- branch `gate`: the squeeze-excite's two 1x1 convolutions on the pooled x; the second multiplies x;
- branch `shortcut`: what the block's input passes on its way around the block, nothing where it is plain;
- kind `add`: x = activation(x + shortcut).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from effsearch.space.rounding import expanded_width, squeezed_width
from effsearch.space.spec import Activation, BlockSpec, Gate, HeadSpec, ModelSpec, StemSpec

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


def layers(spec: ModelSpec) -> Iterator[Layer]:
    """Yield the layers of a network once, stem to classifier; identities that do nothing yield none."""
    size = spec.resolution
    for layer in stem_layers(spec.stem, in_size=size):
        yield layer
        size = layer.out_size
    in_channels = spec.stem.out_channels
    drop_rates = iter(_drop_path_rates(spec))
    for stage_index, stage in enumerate(spec.stages):
        for block_index, block in enumerate(stage.blocks):
            stride = stage.stride if block_index == 0 else 1
            if _is_plain_identity(block, in_channels, stage.out_channels, stride):
                continue
            yield from block_layers(
                block,
                scope=f"stages.{stage_index}.{block_index}",
                in_channels=in_channels,
                out_channels=stage.out_channels,
                stride=stride,
                in_size=size,
                drop_path_rate=next(drop_rates),
            )
            size = strided_size(size, stride)
            in_channels = stage.out_channels
    yield from head_layers(spec.head, in_channels=in_channels, num_classes=spec.num_classes, in_size=size)


def strided_size(size: int, stride: int) -> int:
    """Give the side of a map after a layer of that stride: the ceiling of size / stride."""
    return -(-size // stride)


def stem_layers(stem: StemSpec, *, in_size: int) -> Iterator[Layer]:
    """Yield the stem's convolution and its max-pool, if it has one."""
    size = strided_size(in_size, stem.stride)
    yield Layer(
        scope="stem",
        name="conv",
        kind="conv",
        in_channels=3,
        out_channels=stem.out_channels,
        kernel_size=stem.kernel_size,
        stride=stem.stride,
        has_norm=True,
        activation=stem.activation,
        in_size=in_size,
        out_size=size,
    )
    if stem.has_max_pool:
        yield Layer(
            scope="stem",
            name="pool",
            kind="max_pool",
            in_channels=stem.out_channels,
            out_channels=stem.out_channels,
            kernel_size=3,
            stride=2,
            in_size=size,
            out_size=strided_size(size, 2),
        )


def block_layers(
    block: BlockSpec,
    *,
    scope: str,
    in_channels: int,
    out_channels: int,
    stride: int,
    in_size: int,
    drop_path_rate: float = 0.0,
) -> list[Layer]:
    """Give the layers of one block at a width, stride and input size.

    Returns:
        Layers in order; none for an identity that changes nothing.
    """
    if _is_plain_identity(block, in_channels, out_channels, stride):
        return []
    walk = _BlockWalk(scope, in_channels, in_size)
    if block.kind == "identity":
        walk.conv("project", out_channels, stride=stride)
        return walk.layers
    _KIND_WALKS[block.kind](walk, block, out_channels, stride)
    is_residual = block.kind in ("bottleneck", "basic")
    has_shortcut = _walk_shortcut(
        walk, block, in_channels, out_channels, stride, in_size, may_project=is_residual
    )
    if has_shortcut:
        after: Activation = block.activation if is_residual else "none"
        walk.plain("add", "add", activation=after, drop_rate=drop_path_rate)
    elif is_residual and block.activation != "none":
        walk.plain("activation", "activation", activation=block.activation)
    return walk.layers


def head_layers(head: HeadSpec, *, in_channels: int, num_classes: int, in_size: int) -> Iterator[Layer]:
    """Yield the head: 1x1 convolution and hidden layer where asked for, pool and classifier always."""
    if head.out_channels:
        yield Layer(
            scope="head",
            name="conv",
            kind="conv",
            in_channels=in_channels,
            out_channels=head.out_channels,
            has_norm=True,
            activation=head.activation,
            in_size=in_size,
            out_size=in_size,
        )
        in_channels = head.out_channels
    yield Layer(
        scope="head",
        name="pool",
        kind="global_pool",
        in_channels=in_channels,
        out_channels=in_channels,
        in_size=in_size,
        out_size=1,
    )
    if head.hidden_features:
        yield _linear("hidden", in_channels, head.hidden_features, activation=head.activation)
        in_channels = head.hidden_features
    yield _linear("classifier", in_channels, num_classes, drop_rate=head.dropout_rate)


class _BlockWalk:
    """Collects a block's layers while it keeps the width and size reached so far."""

    def __init__(self, scope: str, channels: int, size: int) -> None:
        self.scope = scope
        self.channels = channels
        self.size = size
        self.layers: list[Layer] = []

    def conv(
        self,
        name: str,
        out_channels: int,
        *,
        kernel_size: int = 1,
        stride: int = 1,
        is_depthwise: bool = False,
        activation: Activation = "none",
    ) -> None:
        out_size = strided_size(self.size, stride)
        self.layers.append(
            Layer(
                scope=self.scope,
                name=name,
                kind="conv",
                in_channels=self.channels,
                out_channels=out_channels,
                kernel_size=kernel_size,
                stride=stride,
                groups=self.channels if is_depthwise else 1,
                has_norm=True,
                activation=activation,
                in_size=self.size,
                out_size=out_size,
            )
        )
        self.channels, self.size = out_channels, out_size

    def squeeze_excite(self, block: BlockSpec, *, block_in_channels: int) -> None:
        if block.se_ratio == 0:
            return
        reference = block_in_channels if block.se_of == "input" else self.channels
        squeezed = squeezed_width(block.se_ratio, channels=reference, divisor=block.se_divisor)
        for name, ins, outs, activation in (
            ("squeeze", self.channels, squeezed, block.se_activation),
            ("excite", squeezed, self.channels, block.se_gate),
        ):
            self.layers.append(
                Layer(
                    scope=self.scope,
                    name=name,
                    kind="conv",
                    branch="gate",
                    in_channels=ins,
                    out_channels=outs,
                    has_bias=True,
                    activation=activation,
                    in_size=1,
                    out_size=1,
                )
            )

    def plain(
        self,
        name: str,
        kind: LayerKind,
        *,
        activation: Activation = "none",
        drop_rate: float = 0.0,
    ) -> None:
        self.layers.append(
            Layer(
                scope=self.scope,
                name=name,
                kind=kind,
                in_channels=self.channels,
                out_channels=self.channels,
                activation=activation,
                in_size=self.size,
                out_size=self.size,
                drop_rate=drop_rate,
            )
        )


def _walk_mbconv(walk: _BlockWalk, block: BlockSpec, out_channels: int, stride: int) -> None:
    in_channels = walk.channels
    expanded = block.expanded_channels or expanded_width(block.expand_ratio, channels=in_channels)
    if expanded != in_channels:
        walk.conv("expand", expanded, activation=block.activation)
    _walk_depthwise_then_project(walk, block, in_channels, out_channels, stride)


def _walk_depthwise_separable(walk: _BlockWalk, block: BlockSpec, out_channels: int, stride: int) -> None:
    _walk_depthwise_then_project(walk, block, walk.channels, out_channels, stride)


def _walk_depthwise_then_project(
    walk: _BlockWalk, block: BlockSpec, block_in_channels: int, out_channels: int, stride: int
) -> None:
    walk.conv(
        "depthwise",
        walk.channels,
        kernel_size=block.kernel_size,
        stride=stride,
        is_depthwise=True,
        activation=block.activation,
    )
    walk.squeeze_excite(block, block_in_channels=block_in_channels)
    walk.conv("project", out_channels, activation=block.projection_activation)


def _walk_fused_mbconv(walk: _BlockWalk, block: BlockSpec, out_channels: int, stride: int) -> None:
    in_channels = walk.channels
    expanded = block.expanded_channels or expanded_width(block.expand_ratio, channels=in_channels)
    if expanded == in_channels:
        walk.squeeze_excite(block, block_in_channels=in_channels)
        walk.conv(
            "fused", out_channels, kernel_size=block.kernel_size, stride=stride, activation=block.activation
        )
        return
    walk.conv("fused", expanded, kernel_size=block.kernel_size, stride=stride, activation=block.activation)
    walk.squeeze_excite(block, block_in_channels=in_channels)
    walk.conv("project", out_channels, activation=block.projection_activation)


def _walk_conv(walk: _BlockWalk, block: BlockSpec, out_channels: int, stride: int) -> None:
    in_channels = walk.channels
    walk.conv("conv", out_channels, kernel_size=block.kernel_size, stride=stride, activation=block.activation)
    walk.squeeze_excite(block, block_in_channels=in_channels)


def _walk_bottleneck(walk: _BlockWalk, block: BlockSpec, out_channels: int, stride: int) -> None:
    in_channels = walk.channels
    inner = block.expanded_channels or expanded_width(block.expand_ratio, channels=out_channels)
    walk.conv("reduce", inner, activation=block.activation)
    walk.conv("conv", inner, kernel_size=block.kernel_size, stride=stride, activation=block.activation)
    walk.conv("restore", out_channels)
    walk.squeeze_excite(block, block_in_channels=in_channels)


def _walk_basic(walk: _BlockWalk, block: BlockSpec, out_channels: int, stride: int) -> None:
    in_channels = walk.channels
    walk.conv(
        "conv1", out_channels, kernel_size=block.kernel_size, stride=stride, activation=block.activation
    )
    walk.conv("conv2", out_channels, kernel_size=block.kernel_size)
    walk.squeeze_excite(block, block_in_channels=in_channels)


_KIND_WALKS = {
    "mbconv": _walk_mbconv,
    "fused_mbconv": _walk_fused_mbconv,
    "depthwise_separable": _walk_depthwise_separable,
    "conv": _walk_conv,
    "bottleneck": _walk_bottleneck,
    "basic": _walk_basic,
}


def _walk_shortcut(
    walk: _BlockWalk,
    block: BlockSpec,
    in_channels: int,
    out_channels: int,
    stride: int,
    in_size: int,
    *,
    may_project: bool,
) -> bool:
    """Add the layers of the way around the block; return whether there is such a way."""
    if block.skip == "none":
        return False
    if stride == 1 and in_channels == out_channels:
        return True
    if block.skip == "pool" and out_channels >= in_channels:
        kind: LayerKind = "pool_and_pad"
    elif may_project:
        kind = "conv"
    else:
        return False
    walk.layers.append(
        Layer(
            scope=walk.scope,
            name="shortcut",
            kind=kind,
            branch="shortcut",
            in_channels=in_channels,
            out_channels=out_channels,
            stride=stride,
            has_norm=kind == "conv",
            in_size=in_size,
            out_size=walk.size,
        )
    )
    return True


def _is_plain_identity(block: BlockSpec, in_channels: int, out_channels: int, stride: int) -> bool:
    return block.kind == "identity" and stride == 1 and in_channels == out_channels


def _drop_path_rates(spec: ModelSpec) -> list[float]:
    """Give the stochastic-depth rate of each block that is not a plain identity, linear in its index."""
    in_channels, num_blocks = spec.stem.out_channels, 0
    for stage in spec.stages:
        for block_index, block in enumerate(stage.blocks):
            stride = stage.stride if block_index == 0 else 1
            num_blocks += not _is_plain_identity(block, in_channels, stage.out_channels, stride)
            in_channels = stage.out_channels
    return [spec.drop_path_rate * index / num_blocks for index in range(num_blocks)]


def _linear(
    name: str, ins: int, outs: int, *, activation: Activation = "none", drop_rate: float = 0.0
) -> Layer:
    return Layer(
        scope="head",
        name=name,
        kind="linear",
        in_channels=ins,
        out_channels=outs,
        has_bias=True,
        activation=activation,
        in_size=1,
        out_size=1,
        drop_rate=drop_rate,
    )
