"""How does a network look, stage by stage?

All sizes are read off `layers(spec)`; blocks of a stage that are alike are one row with a number of repeats.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from effsearch.space.cost import Cost, count_cost, layers_cost
from effsearch.space.layer import Layer
from effsearch.space.layers import layers
from effsearch.space.spec import BlockKind, BlockSpec, ModelSpec

KIND_NAMES: dict[BlockKind, str] = {
    "mbconv": "MBConv",
    "fused_mbconv": "Fused-MBConv",
    "depthwise_separable": "Depthwise-separable",
    "conv": "Convolution",
    "bottleneck": "Bottleneck",
    "basic": "Basic block",
    "identity": "1x1 projection",  # one that does nothing yields no layers
}
# Pixels of the drawing.
LEAST_SIDE, MOST_SIDE = 10.0, 40.0  # of a map's glyph, by its resolution
LEAST_WIDTH, MOST_WIDTH = 8.0, 84.0  # by its channels


@dataclass(frozen=True, slots=True, kw_only=True)
class DiagramRow:
    """Alike blocks in a row, or the stem or head."""

    part: str  # "stem", "stage 1", "head"
    is_first: bool  # of its part
    family: Literal["end", "block"]
    title: str  # "MBConv, 5x5, expansion 6"
    details: tuple[str, ...]
    repeats: int
    in_resolution: int
    resolution: int
    channels: int
    has_shortcut: bool
    cost: Cost
    share_of_multiply_adds: float
    share_of_parameters: float
    glyph_height: float
    glyph_width: float

    @property
    def words(self) -> str:
        """The row for those who do not see it."""
        times = f"{self.repeats} times " if self.repeats > 1 else ""
        return (
            f"{self.part}: {times}{self.title} to {self.channels} channels at {self.resolution} pixels, "
            f"{self.share_of_multiply_adds:.0%} of the FLOPs and {self.share_of_parameters:.0%} of the params"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagram:
    """A network as rows from its input to its classes."""

    name: str
    resolution: int
    num_classes: int
    cost: Cost
    rows: tuple[DiagramRow, ...]

    @property
    def words(self) -> str:
        """The drawing for those who do not see it."""
        parts = "; ".join(row.words for row in self.rows)
        return f"{self.name}, images of {self.resolution} pixels in, {self.num_classes} classes out. {parts}."


def draw_network(spec: ModelSpec, *, name: str) -> Diagram:
    """Give the rows of a network's drawing."""
    total = count_cost(spec)
    found = list(_rows(spec, total))
    return Diagram(
        name=name,
        resolution=spec.resolution,
        num_classes=spec.num_classes,
        cost=total,
        rows=tuple(found),
    )


def _rows(spec: ModelSpec, total: Cost) -> Iterator[DiagramRow]:
    blocks = [(scope, tuple(some)) for scope, some in groupby(layers(spec), key=lambda layer: layer.scope)]
    widest = max(layer.out_channels for _, some in blocks for layer in some if layer.name != "classifier")
    last_part = ""
    for (part, block), group in groupby(blocks, key=lambda one: _kind_of(spec, one[0])):
        rows = [some for _, some in group]
        together = [layer for some in rows for layer in some]
        cost = layers_cost(together)
        is_end = block is None
        resolution = _resolution(together)
        channels = _channels(together)
        yield DiagramRow(
            part=part,
            is_first=part != last_part,
            family="end" if is_end else "block",
            title=_end_title(together, spec) if block is None else _block_title(block, rows[0]),
            details=tuple(_end_details(together) if block is None else _block_details(block, rows)),
            repeats=len(rows),
            in_resolution=together[0].in_size,
            resolution=resolution,
            channels=channels,
            has_shortcut=any(layer.kind == "add" for layer in together),
            cost=cost,
            share_of_multiply_adds=cost.multiply_adds / max(1, total.multiply_adds),
            share_of_parameters=cost.parameters / max(1, total.parameters),
            glyph_height=_on_scale(resolution, spec.resolution, LEAST_SIDE, MOST_SIDE),
            glyph_width=_on_scale(channels, widest, LEAST_WIDTH, MOST_WIDTH),
        )
        last_part = part


def _kind_of(spec: ModelSpec, scope: str) -> tuple[str, BlockSpec | None]:
    part, _, rest = scope.partition(".")
    if part != "stages":
        return part, None
    stage, block = map(int, rest.split("."))
    return f"stage {stage + 1}", spec.stages[stage].blocks[block]


def _resolution(some: Sequence[Layer]) -> int:
    """The side of the maps that come out; of the head, that its pool takes in."""
    last = _last(some)
    return last.in_size if last.kind == "global_pool" else last.out_size


def _channels(some: Sequence[Layer]) -> int:
    """Channels that come out; of the head, those that are pooled."""
    last = _last(some)
    return last.in_channels if last.kind == "global_pool" else last.out_channels


def _last(some: Sequence[Layer]) -> Layer:
    """The layer that gives what comes out: a block may end in its gate, which works on one pooled pixel."""
    pools = [layer for layer in some if layer.kind == "global_pool"]
    return pools[0] if pools else next(layer for layer in reversed(some) if layer.branch == "main")


def _block_title(block: BlockSpec, some: Sequence[Layer]) -> str:
    title = KIND_NAMES[block.kind]
    if block.kind == "identity":
        return title
    title += f", {block.kernel_size}x{block.kernel_size}"
    if block.kind in ("mbconv", "fused_mbconv", "bottleneck"):
        inner = max(layer.out_channels for layer in some if layer.branch == "main")
        ratio = block.expand_ratio
        title += f", {inner} inside" if block.expanded_channels else f", expansion {ratio:.3g}"
    return title


def _block_details(block: BlockSpec, rows: Sequence[Sequence[Layer]]) -> Iterator[str]:
    first = rows[0]
    stride = -(-first[0].in_size // max(1, _resolution(first)))
    if stride > 1:
        yield f"stride {stride}"
    if any(layer.branch == "gate" for layer in first):
        yield f"SE {block.se_ratio:.3g}"
    num_shortcuts = sum(any(layer.kind == "add" for layer in some) for some in rows)
    if num_shortcuts:
        yield f"{num_shortcuts} shortcut{'s' if num_shortcuts > 1 else ''}"
    if block.kind != "identity" and block.activation != "none":
        yield block.activation.replace("_", "-")


def _end_title(some: Sequence[Layer], spec: ModelSpec) -> str:
    first = some[0]
    if first.scope == "stem":
        return f"Convolution, {first.kernel_size}x{first.kernel_size}"
    return f"{'1x1 convolution, pool' if first.kind == 'conv' else 'Pool'}, {spec.num_classes} classes"


def _end_details(some: Sequence[Layer]) -> Iterator[str]:
    if some[0].scope == "stem" and some[0].stride > 1:
        yield f"stride {some[0].stride}"
    if any(layer.kind == "max_pool" for layer in some):
        yield "3x3 max-pool"
    yield from (f"{layer.out_channels} hidden" for layer in some if layer.name == "hidden")
    if some[0].kind == "conv" and some[0].activation != "none":
        yield some[0].activation.replace("_", "-")


def _on_scale(value: int, most: int, low: float, high: float) -> float:
    """A length for a size on a logarithmic scale from 1 to `most`."""
    share = math.log2(max(1, value) + 1) / math.log2(max(2, most) + 1)
    return round(low + (high - low) * float(min(1.0, share) ** 1.6), 1)
