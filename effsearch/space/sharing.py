"""Which weights do networks share in one supernet: all those of a space, or some that are given?

Every layer of a network reads a tensor of the supernet, cut to its own shape: the first channels, the middle of the
kernel. With `sliced` sharing all options of one kind at one place share their convolutions, and each option has norms
of its own; with `separate` each option has convolutions of its own as well and only widths are cut. Repeats share
what the shorter network has.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Literal

from effsearch.space.block_layers import block_layers, is_plain_identity
from effsearch.space.layer import Layer
from effsearch.space.layers import head_layers, layers, stem_layers
from effsearch.space.rounding import round_channels
from effsearch.space.search_space import SearchSpace
from effsearch.space.spec import BlockSpec, ModelSpec, StageSpec

Sharing = Literal["separate", "sliced"]

ANY_SIZE = 32  # pixels; no weight's shape hangs on it


@dataclass(frozen=True, slots=True)
class SharedLayer:
    """A layer of a network, and the name of the tensors that it shares with other networks."""

    layer: Layer
    name: str
    norm_name: str  # of the norm that follows; a norm's statistics hang on the option, so it is never shared


@dataclass(frozen=True, slots=True)
class SharedShapes:
    """The smallest tensors that all networks of a supernet can be cut from, by name."""

    sharing: Sharing  # that names them
    weights: dict[
        str, tuple[int, ...]
    ]  # (out, in / groups, kernel, kernel) of convolutions, (out, in) of linear layers
    norms: dict[str, int]  # channels


def compact(spec: ModelSpec) -> ModelSpec:
    """Give the same network without its plain identities, so that equal networks use equal places.

    A stage of nothing but plain identities keeps one. A stage's first block is plain only where it neither strides
    nor widens, and then any block may stand first.
    """
    stages: list[StageSpec] = []
    in_channels = spec.stem.out_channels
    for stage in spec.stages:
        kept = [
            block
            for index, block in enumerate(stage.blocks)
            if not is_plain_identity(
                block,
                in_channels if index == 0 else stage.out_channels,
                stage.out_channels,
                stage.stride if index == 0 else 1,
            )
        ]
        stages.append(dataclasses.replace(stage, blocks=tuple(kept) or stage.blocks[:1]))
        in_channels = stage.out_channels
    return dataclasses.replace(spec, stages=tuple(stages))


def shared_layers(spec: ModelSpec, sharing: Sharing) -> Iterator[SharedLayer]:
    """Yield the layers of a network with the names of their shared tensors; `spec` should be compact."""
    for layer in layers(spec):
        if not layer.scope.startswith("stages."):
            yield _shared(layer, None, sharing)
            continue
        _, stage_index, block_index = layer.scope.split(".")
        yield _shared(layer, spec.stages[int(stage_index)].blocks[int(block_index)], sharing)


def shapes_of_specs(specs: Iterable[ModelSpec], sharing: Sharing) -> SharedShapes:
    """Give the shapes of all shared tensors of some networks, such as a base grown in different ways.

    Args:
        specs: Networks as they are trained, with one number of classes.
        sharing: Which options share.
    """
    shapes = SharedShapes(sharing, {}, {})
    for spec in specs:
        for shared in shared_layers(compact(spec), sharing):
            _make_room(shapes, shared)
    return shapes


def shared_shapes(space: SearchSpace, sharing: Sharing, *, width: float, num_classes: int) -> SharedShapes:
    """Give the shapes of all shared tensors of a space.

    Args:
        space: Space at the target; strides taken off for small images change no weight.
        sharing: Which options share.
        width: Of the proxy.
        num_classes: Of the data.
    """
    shapes = SharedShapes(sharing, {}, {})

    def add(found: Iterable[Layer], block: BlockSpec | None = None) -> None:
        for layer in found:
            _make_room(shapes, _shared(layer, block, sharing))

    for stem in space.stem.values:
        at_width = dataclasses.replace(stem, out_channels=_scaled(stem.out_channels, width))
        add(stem_layers(at_width, in_size=ANY_SIZE))
    before = {_scaled(stem.out_channels, width) for stem in space.stem.values}
    for stage_index, stage in enumerate(space.stages):
        after = {_scaled(channels, width) for channels in stage.out_channels.values}
        strides = {1, *stage.stride.values}
        # Compact networks move blocks forward, so any block of a stage may stand anywhere in it.
        blocks = {_scaled_block(block, width) for slot in stage.blocks for block in slot.values}
        num_blocks = len(stage.blocks) * max(stage.num_blocks.values)
        for block_index in range(num_blocks):
            is_first = block_index == 0
            for block, outs in product(blocks, after):
                for ins, stride in product(
                    {outs} | (before if is_first else set()), strides if is_first else {1}
                ):
                    found = block_layers(
                        block,
                        scope=f"stages.{stage_index}.{block_index}",
                        in_channels=ins,
                        out_channels=outs,
                        stride=stride,
                        in_size=ANY_SIZE,
                    )
                    add(found, block)
        before = after
    for head, ins in product(space.head.values, before):
        at_width = dataclasses.replace(
            head,
            out_channels=_scaled(head.out_channels, width),
            hidden_features=_scaled(head.hidden_features, width),
        )
        add(head_layers(at_width, in_channels=ins, num_classes=num_classes, in_size=ANY_SIZE))
    return shapes


def weight_shape(layer: Layer) -> tuple[int, ...]:
    """Give the shape of a convolution's or a linear layer's weight."""
    if layer.kind == "linear":
        return (layer.out_channels, layer.in_channels)
    return (
        layer.out_channels,
        layer.in_channels // layer.groups,
        layer.kernel_size,
        layer.kernel_size,
    )


def _make_room(shapes: SharedShapes, shared: SharedLayer) -> None:
    """Let the tensors of a layer be cut from the shapes, in place."""
    layer = shared.layer
    if layer.kind not in ("conv", "linear"):
        return
    shape = weight_shape(layer)
    shapes.weights[shared.name] = tuple(map(max, shapes.weights.get(shared.name, shape), shape))
    if layer.has_norm:
        shapes.norms[shared.norm_name] = max(shapes.norms.get(shared.norm_name, 0), layer.out_channels)


def _shared(layer: Layer, block: BlockSpec | None, sharing: Sharing) -> SharedLayer:
    """Name the tensors of a layer of a block; without one, of stem or head."""
    if block is None:
        name = f"{layer.scope}/{layer.name}"
        return SharedLayer(layer, name, name)
    return SharedLayer(layer, _name(layer, block, sharing), _name(layer, block, "separate"))


def _name(layer: Layer, block: BlockSpec, sharing: Sharing) -> str:
    if sharing == "sliced":
        return f"{layer.scope}/{block.kind}/{layer.name}"
    expansion = block.expanded_channels or f"x{block.expand_ratio:g}"
    option = (
        f"{block.kind}-k{block.kernel_size}-e{expansion}-s{block.se_ratio:g}-{block.activation}-{block.skip}"
    )
    return f"{layer.scope}/{option}/{layer.name}"


def _scaled(channels: int, width: float) -> int:
    if width == 1 or not channels:
        return channels
    return round_channels(channels * width, divisor=8)


def _scaled_block(block: BlockSpec, width: float) -> BlockSpec:
    return dataclasses.replace(block, expanded_channels=_scaled(block.expanded_channels, width))
