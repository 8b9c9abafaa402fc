"""When are two points of one space one network, told without building them?

`network_hash` tells it of any two specs, in half a millisecond each. A proposal compares hundreds of points of a
space whose stages are few, so what a stage comes to is looked up by its choices and the channels that reach it.
"""

from collections.abc import Iterable, Sequence

from effsearch.space.block_layers import block_layers
from effsearch.space.canonical import layer_row
from effsearch.space.layer import Layer
from effsearch.space.layers import head_layers, stem_layers
from effsearch.space.search_space import SearchSpace

Form = tuple[int, ...]

ANY_SIZE = 1  # pixels, which are no part of a network


class Forms:
    """Gives the points of a space forms that are equal exactly where the networks' hashes are.

    Args:
        space: What the points select from.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._dimensions = tuple(stage.dimensions for stage in space.stages)
        self._numbers: dict[tuple[tuple[object, ...], ...], int] = {}  # of each block there is, by its layers
        self._stages: dict[tuple[int, int, Form], tuple[Form, int]] = {}

    def at(self, point: Sequence[int]) -> Form:
        """Give the form of the network at a point: a number for the stem, each block and the head."""
        stem, head = self._space.stem.at(point), self._space.head.at(point)
        channels = stem.out_channels
        form = [self._number(stem_layers(stem, in_size=ANY_SIZE))]
        for index, dimensions in enumerate(self._dimensions):
            key = (index, channels, tuple(point[dimension] for dimension in dimensions))
            if key not in self._stages:
                self._stages[key] = self._walk_stage(index, channels, point)
            blocks, channels = self._stages[key]
            form += blocks
        form.append(self._number(head_layers(head, in_channels=channels, num_classes=1, in_size=ANY_SIZE)))
        return tuple(form)

    def _walk_stage(self, index: int, in_channels: int, point: Sequence[int]) -> tuple[Form, int]:
        """Give the numbers of a stage's blocks, none for those that change nothing, and the channels it hands on."""
        stage = self._space.stages[index].at(point)
        form: list[int] = []
        for block_index, block in enumerate(stage.blocks):
            walked = block_layers(
                block,
                scope="",
                in_channels=in_channels,
                out_channels=stage.out_channels,
                stride=stage.stride if block_index == 0 else 1,
                in_size=ANY_SIZE,
            )
            if walked:
                form.append(self._number(walked))
                in_channels = stage.out_channels
        return tuple(form), in_channels

    def _number(self, walked: Iterable[Layer]) -> int:
        rows = tuple(tuple(layer_row(layer)) for layer in walked)
        return self._numbers.setdefault(rows, len(self._numbers))
