"""Which distinct blocks do the networks of a space consist of?"""

from collections.abc import Iterable

from effsearch.space.block_layers import block_layers
from effsearch.space.latency_table import Block, block_signature, network_blocks
from effsearch.space.layer import strided_size
from effsearch.space.layers import head_layers, stem_layers
from effsearch.space.search_space import SearchSpace
from effsearch.space.spec import ModelSpec


def space_blocks(space: SearchSpace, *, resolution: int, num_classes: int) -> dict[str, Block]:
    """Give every block that a network of the space can hold, by its signature.

    Choices that several slots share are taken to be free, so some blocks may be of no network.
    """
    found: list[Block] = []
    places = set()  # (channels, size) that the next block may start from
    for stem in space.stem.values:
        block = tuple(stem_layers(stem, in_size=resolution))
        found.append(block)
        places.add((stem.out_channels, block[-1].out_size))
    for stage in space.stages:
        widths = set(stage.out_channels.values)
        for index, slot in enumerate(stage.blocks):
            strides = set(stage.stride.values) if index == 0 else {1}
            kinds = dict.fromkeys(slot.values)
            moves = {
                (ins, size, outs, stride) for ins, size in places for outs in widths for stride in strides
            }
            if index > 0:  # the width changes in a stage's first block alone
                moves = {(ins, size, ins, 1) for ins, size in places}
            places = {(outs, strided_size(size, stride)) for _, size, outs, stride in moves}
            if max(stage.num_blocks.values) > 1:
                moves |= {(outs, size, outs, 1) for outs, size in places}
            found += [
                tuple(
                    block_layers(
                        kind, scope="", in_channels=ins, out_channels=outs, stride=stride, in_size=size
                    )
                )
                for ins, size, outs, stride in sorted(moves)
                for kind in kinds
            ]
    for head in space.head.values:
        found += [
            tuple(head_layers(head, in_channels=ins, num_classes=num_classes, in_size=size))
            for ins, size in sorted(places)
        ]
    return {block_signature(block): block for block in found if block}


def blocks_of(specs: Iterable[ModelSpec]) -> dict[str, Block]:
    """Give every block of some networks, by its signature."""
    return {block_signature(block): block for spec in specs for _, block in network_blocks(spec)}
