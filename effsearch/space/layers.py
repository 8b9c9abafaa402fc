"""Which layers does a network consist of, in order and with every size?

`layers(spec)` is the one walk over a network. The cost counter, the torch builder and the hash all read it, so
none of them can disagree with another about what a block is.
"""

from collections.abc import Iterator

from effsearch.space.block_layers import block_layers, is_plain_identity
from effsearch.space.layer import Layer, strided_size
from effsearch.space.spec import Activation, HeadSpec, ModelSpec, StemSpec


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
            if is_plain_identity(block, in_channels, stage.out_channels, stride):
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


def _drop_path_rates(spec: ModelSpec) -> list[float]:
    """Give the stochastic-depth rate of each block that is not a plain identity, linear in its index."""
    in_channels, num_blocks = spec.stem.out_channels, 0
    for stage in spec.stages:
        for block_index, block in enumerate(stage.blocks):
            stride = stage.stride if block_index == 0 else 1
            num_blocks += not is_plain_identity(block, in_channels, stage.out_channels, stride)
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
