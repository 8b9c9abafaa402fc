"""Which neighbouring blocks of a network make one row of a table of stages?

torchvision and pycls describe a stage by one kernel, one expansion ratio and a number of blocks. Blocks that differ
in more than stride and width of the first become rows of their own, which changes nothing in the network.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from effsearch.results.export.placed import PlacedBlock


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Blocks of one kind, kernel, width and expansion ratio."""

    kind: str
    ratio: float
    blocks: tuple[PlacedBlock, ...]

    @property
    def first(self) -> PlacedBlock:
        """The block that strides and widens."""
        return self.blocks[0]


def table_rows(
    stages: Sequence[Sequence[PlacedBlock]],
    *,
    kind_of: Callable[[PlacedBlock], str],
    expanded_by: Callable[[int, float], int],
) -> list[Row]:
    """Give the rows of a network.

    Args:
        stages: Its blocks.
        kind_of: What a block is called, or raises where it cannot be expressed.
        expanded_by: The target's expanded width for an input's width and a ratio.
    """
    rows: list[Row] = []
    for stage in stages:
        start = len(rows)
        for block in stage:
            kind, ratio = kind_of(block), fitting_ratio(block, expanded_by)
            last = rows[-1] if len(rows) > start else None
            if (
                last is not None
                and last.kind == kind
                and last.first.block.kernel_size == block.block.kernel_size
                and expanded_by(block.in_channels, last.ratio) == width_inside(block)
            ):
                rows[-1] = Row(kind=kind, ratio=last.ratio, blocks=(*last.blocks, block))
            else:
                rows.append(Row(kind=kind, ratio=ratio, blocks=(block,)))
    return rows


def width_inside(block: PlacedBlock) -> int:
    """Give a block's expanded width; its input's where it does not expand, or has nothing inside, as an identity."""
    is_filled = "depthwise" in block.layers or "fused" in block.layers
    if is_filled and ("expand" in block.layers or "project" in block.layers):
        return block.expanded
    return block.in_channels


def fitting_ratio(block: PlacedBlock, expanded_by: Callable[[int, float], int]) -> float:
    """Give the plainest ratio that comes to a block's expanded width: its own, else the quotient, 0 if none does."""
    width = width_inside(block)
    quotient = width / block.in_channels
    for ratio in (block.block.expand_ratio, quotient, quotient * (1 + 1e-9)):
        if expanded_by(block.in_channels, ratio) == width:
            return ratio
    return 0.0
