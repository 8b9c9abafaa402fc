"""Which network is it when layers have lost channels?

Pruning takes channels from layers one by one; a spec says widths by blocks and stages. Here the second is found for
the first: an expanded width is given outright, a squeeze-excite's as the share that comes to it, and blocks of one
stage that have become of unlike widths get stages of their own.
"""

import dataclasses
from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import NamedTuple

from effsearch.space.block_layers import block_layers, is_plain_identity
from effsearch.space.errors import SpecError
from effsearch.space.layer import Layer
from effsearch.space.layers import layers
from effsearch.space.spec import BlockSpec, ModelSpec, StageSpec

# The layer that decides how wide a block is inside, and the one that decides how wide it is at its end.
INNER = {"mbconv": "expand", "fused_mbconv": "fused", "bottleneck": "reduce"}
LAST = {
    "mbconv": "project",
    "fused_mbconv": "project",
    "depthwise_separable": "project",
    "conv": "conv",
    "bottleneck": "restore",
    "basic": "conv2",
    "identity": "project",
}
MAX_SQUEEZE = 4  # times the channels it is a share of: the highest se_ratio of a spec
# What a spec says once: these layers of a block have one width.
TIED = {"bottleneck": ("reduce", "conv"), "basic": ("conv1", "conv2")}


class WidthError(SpecError):
    """No spec has these widths; `layer` is the one that another width would help."""

    def __init__(self, message: str, *, layer: str) -> None:
        super().__init__(message)
        self.layer = layer


def widths_of(spec: ModelSpec) -> dict[str, int]:
    """Give the output channels of every convolution and linear layer by its name, such as `stages.2.0.expand`."""
    return {name_of(layer): layer.out_channels for layer in layers(spec) if has_width(layer)}


def has_width(layer: Layer) -> bool:
    """Tell whether a layer has weights, and so a width of its own."""
    return layer.kind in ("conv", "linear")


def name_of(layer: Layer) -> str:
    """Give the name of a layer in its network, which is that of its module."""
    return f"{layer.scope}.{layer.name}"


def narrowed(spec: ModelSpec, widths: Mapping[str, int]) -> ModelSpec:
    """Give the spec of a network whose layers have other widths and are otherwise the same.

    Args:
        spec: The network as it was.
        widths: Output channels by the layers' names there; layers that are not named keep theirs.

    Returns:
        A spec with the same layers in the same order, each of its width. Its blocks may stand in more stages.

    Raises:
        WidthError: No spec says so, such as an expansion to exactly the block's input width, which a spec would
            leave out.
    """
    wanted = widths_of(spec) | dict(widths)
    rows: list[tuple[_Place, BlockSpec, int]] = []
    in_channels = wanted["stem.conv"]
    for place in _places(spec):
        block, out_channels = _narrowed_block(place, in_channels, wanted)
        rows.append((place, block, out_channels))
        in_channels = out_channels
    stages = []
    for _, same in groupby(rows, key=lambda row: (row[0].stage, row[2])):
        run = list(same)
        stages.append(
            StageSpec(
                out_channels=run[0][2], stride=run[0][0].stride, blocks=tuple(block for _, block, _ in run)
            )
        )
    result = dataclasses.replace(
        spec,
        stem=dataclasses.replace(spec.stem, out_channels=wanted["stem.conv"]),
        stages=tuple(stages),
        head=dataclasses.replace(
            spec.head,
            out_channels=wanted.get("head.conv", 0),
            hidden_features=wanted.get("head.hidden", 0),
        ),
    )
    _check(spec, result, wanted)
    return result


def renamed_blocks(spec: ModelSpec, result: ModelSpec) -> dict[str, str]:
    """Give where `narrowed` has put each block: `stages.2.1` may have become `stages.3.0`."""
    return {old.scope: new.scope for old, new in zip(_places(spec), _places(result), strict=True)}


class _Place(NamedTuple):
    """A block where it stands."""

    stage: int
    scope: str
    block: BlockSpec
    in_channels: int
    out_channels: int
    stride: int


def _places(spec: ModelSpec) -> Iterator[_Place]:
    in_channels = spec.stem.out_channels
    for stage_index, stage in enumerate(spec.stages):
        for block_index, block in enumerate(stage.blocks):
            scope = f"stages.{stage_index}.{block_index}"
            stride = stage.stride if block_index == 0 else 1
            yield _Place(stage_index, scope, block, in_channels, stage.out_channels, stride)
            in_channels = stage.out_channels


def _walk(block: BlockSpec, place: _Place, in_channels: int, out_channels: int) -> list[Layer]:
    return block_layers(
        block,
        scope=place.scope,
        in_channels=in_channels,
        out_channels=out_channels,
        stride=place.stride,
        in_size=64,  # no width hangs on it
    )


def _narrowed_block(place: _Place, in_channels: int, wanted: Mapping[str, int]) -> tuple[BlockSpec, int]:
    """Give a block at its new widths, and its new output width."""
    block = place.block
    if is_plain_identity(block, place.in_channels, place.out_channels, place.stride):
        return block, in_channels
    before = _walk(block, place, place.in_channels, place.out_channels)
    names = {layer.name for layer in before}
    last = LAST[block.kind] if LAST[block.kind] in names else INNER[block.kind]
    out_channels = wanted[f"{place.scope}.{last}"]
    if (inner := INNER.get(block.kind)) is not None:
        is_expanded = inner in names and inner != last
        if is_expanded:
            block = _with_inner(
                block, place, in_channels, out_channels, wanted[f"{place.scope}.{inner}"], inner
            )
        elif block.expanded_channels not in (0, in_channels):
            block = dataclasses.replace(block, expanded_channels=0, expand_ratio=1.0)
    if "squeeze" in names:
        block = _with_squeeze(block, place, in_channels, out_channels, wanted[f"{place.scope}.squeeze"])
    if _shape(_walk(block, place, in_channels, out_channels)) != _shape(before):
        without = dataclasses.replace(block, skip="none")  # it had no way around, and must not get one
        if _shape(_walk(without, place, in_channels, out_channels)) != _shape(before):
            raise WidthError(
                f"{place.scope} ({block.kind}) would lose or gain a layer at {in_channels} channels in and "
                f"{out_channels} out",
                layer=f"{place.scope}.{last}",
            )
        block = without
    return block, out_channels


def _with_inner(
    block: BlockSpec, place: _Place, in_channels: int, out_channels: int, width: int, inner: str
) -> BlockSpec:
    if block.kind != "bottleneck" and width == in_channels:
        raise WidthError(
            f"{place.scope} ({block.kind}): an expansion to its input's {in_channels} channels would be left out",
            layer=f"{place.scope}.{inner}",
        )
    now = next(layer for layer in _walk(block, place, in_channels, out_channels) if layer.kind == "conv")
    if now.name == inner and now.out_channels == width:
        return block  # its ratio still says so
    return dataclasses.replace(block, expanded_channels=width)


def _with_squeeze(
    block: BlockSpec, place: _Place, in_channels: int, out_channels: int, width: int
) -> BlockSpec:
    squeeze = next(
        layer for layer in _walk(block, place, in_channels, out_channels) if layer.name == "squeeze"
    )
    if squeeze.out_channels == width:
        return block
    reference = in_channels if block.se_of == "input" else squeeze.in_channels
    changed = dataclasses.replace(block, se_divisor=1)
    if width <= MAX_SQUEEZE * reference:
        return dataclasses.replace(changed, se_ratio=width / reference)
    if width <= MAX_SQUEEZE * squeeze.in_channels:
        return dataclasses.replace(changed, se_of="expanded", se_ratio=width / squeeze.in_channels)
    raise WidthError(
        f"{place.scope}: a squeeze-excite has at most {MAX_SQUEEZE} times its {squeeze.in_channels} channels, "
        f"not {width}",
        layer=f"{place.scope}.squeeze",
    )


def _shape(walk: list[Layer]) -> list[tuple[str, str, str, int, str]]:
    """Give all of a block's layers but their widths."""
    return [(layer.name, layer.kind, layer.branch, layer.stride, layer.activation) for layer in walk]


def _check(spec: ModelSpec, result: ModelSpec, wanted: Mapping[str, int]) -> None:
    """Hold the found spec against what was asked, layer by layer."""
    for old, new in zip(layers(spec), layers(result), strict=True):
        if has_width(old) and new.out_channels != wanted[name_of(old)]:
            raise WidthError(
                f"{name_of(old)} cannot have {wanted[name_of(old)]} channels where a spec would give it "
                f"{new.out_channels}",
                layer=name_of(old),
            )
