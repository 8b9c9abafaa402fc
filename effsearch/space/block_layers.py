"""Which layers does one block come to, for each kind of block?"""

from effsearch.space.layer import Layer, LayerKind, strided_size
from effsearch.space.rounding import expanded_width, squeezed_width
from effsearch.space.spec import Activation, BlockSpec


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
    if is_plain_identity(block, in_channels, out_channels, stride):
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


def is_plain_identity(block: BlockSpec, in_channels: int, out_channels: int, stride: int) -> bool:
    """Tell whether a block changes nothing at all."""
    return block.kind == "identity" and stride == 1 and in_channels == out_channels


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
