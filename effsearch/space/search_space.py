"""Which networks may a search choose from?

A space is a list of dimensions, each with its choices, and a template that turns one choice per dimension into
a `ModelSpec`. A point is a tuple of choice indices, one for each dimension. `space_text` reads the text form.
"""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from effsearch.space.block_layers import block_layers
from effsearch.space.errors import SpecError
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec

Point = tuple[int, ...]
Label = str | int | float


@dataclass(frozen=True, slots=True, kw_only=True)
class Dimension:
    """One decision, by a name such as `stage3.kernel_size`, and what may be chosen."""

    name: str
    labels: tuple[Label, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Slot:
    """A field of the template: one value for each combination of the dimensions that it hangs on.

    `Any`: a slot holds whatever its field holds, a number, a word or a `BlockSpec`.
    """

    values: tuple[Any, ...]
    dimensions: tuple[int, ...] = ()  # indices; the last one varies fastest
    radices: tuple[int, ...] = ()  # number of choices of each

    def index_at(self, point: Sequence[int] | Mapping[int, int]) -> int:
        """Give the position in `values` that a point selects."""
        index = 0
        for dimension, radix in zip(self.dimensions, self.radices, strict=True):
            index = index * radix + point[dimension]
        return index

    def at(self, point: Sequence[int]) -> Any:
        """Give the value that a point selects."""
        return self.values[self.index_at(point)]


def combine(slots: Mapping[str, Slot], make: Callable[..., Any]) -> Slot:
    """Give the slot of `make(**values)` over all combinations of the slots' dimensions."""
    radix_of: dict[int, int] = {}
    for slot in slots.values():
        radix_of |= dict(zip(slot.dimensions, slot.radices, strict=True))
    dimensions = tuple(sorted(radix_of))
    radices = tuple(radix_of[dimension] for dimension in dimensions)
    values = []
    for choice in itertools.product(*(range(radix) for radix in radices)):
        point = dict(zip(dimensions, choice, strict=True))
        values.append(make(**{name: slot.values[slot.index_at(point)] for name, slot in slots.items()}))
    return Slot(values=tuple(values), dimensions=dimensions, radices=radices)


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTemplate:
    """A stage whose fields may be choices; either one block repeated or a list of layers."""

    out_channels: Slot
    stride: Slot
    num_blocks: Slot  # a single 1 where `blocks` lists the layers
    blocks: tuple[Slot, ...]  # of BlockSpec; one entry: repeated num_blocks times

    @property
    def dimensions(self) -> tuple[int, ...]:
        """Indices of the dimensions that the stage hangs on, sorted."""
        slots = (self.out_channels, self.stride, self.num_blocks, *self.blocks)
        return tuple(sorted({dimension for slot in slots for dimension in slot.dimensions}))

    def at(self, point: Sequence[int]) -> StageSpec:
        """Give the stage that a point selects."""
        blocks = tuple(slot.at(point) for slot in self.blocks) * self.num_blocks.at(point)
        return StageSpec(
            out_channels=self.out_channels.at(point), stride=self.stride.at(point), blocks=blocks
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSpace:
    """A set of networks, described by choices."""

    name: str
    dimensions: tuple[Dimension, ...]
    stem: Slot  # of StemSpec
    stages: tuple[StageTemplate, ...]
    head: Slot  # of HeadSpec
    resolution: int | None  # None: the user's target decides
    num_classes: int | None  # None: the data decide
    has_fixed_strides: bool  # no stride comes off for small images
    drop_path_rate: float
    norm_momentum: float
    norm_epsilon: float

    @property
    def size(self) -> int:
        """Number of points; several points may encode one network."""
        return math.prod(len(dimension.labels) for dimension in self.dimensions)

    def positions(self) -> list[NDArray[np.float64] | None]:
        """Give for each dimension where its choices lie on a line, None where they are no numbers."""
        return [
            np.asarray(dimension.labels, dtype=np.float64)
            if all(isinstance(label, int | float) for label in dimension.labels)
            else None
            for dimension in self.dimensions
        ]

    def spec_at(self, point: Sequence[int], *, resolution: int, num_classes: int) -> ModelSpec:
        """Give the network at a point."""
        return ModelSpec(
            stem=self.stem.at(point),
            stages=tuple(stage.at(point) for stage in self.stages),
            head=self.head.at(point),
            resolution=resolution,
            num_classes=num_classes,
            drop_path_rate=self.drop_path_rate,
            norm_momentum=self.norm_momentum,
            norm_epsilon=self.norm_epsilon,
        )

    def labels_at(self, point: Sequence[int]) -> dict[str, Label]:
        """Give the choices of a point by the names of the dimensions."""
        return {
            dimension.name: dimension.labels[index]
            for dimension, index in zip(self.dimensions, point, strict=True)
        }

    def point_of(self, labels: Mapping[str, Label]) -> Point:
        """Give the point that some choices name.

        Raises:
            SpecError: A dimension is missing, or a label is none of its choices.
        """
        point = []
        for dimension in self.dimensions:
            if labels.get(dimension.name) not in dimension.labels:
                raise SpecError(
                    f"{dimension.name} must be one of {', '.join(map(str, dimension.labels))}, "
                    f"got {labels.get(dimension.name)!r}"
                )
            point.append(dimension.labels.index(labels[dimension.name]))
        return tuple(point)

    def find_point(self, spec: ModelSpec) -> Point | None:
        """Give a point that encodes a network, or None where the space does not hold it.

        Fields without effect are not compared: what counts is the layers that each block comes to.
        """
        parts: list[tuple[tuple[int, ...], Callable[[Sequence[int]], bool]]] = [
            (self.stem.dimensions, lambda point: self.stem.at(point) == spec.stem),
            (self.head.dimensions, lambda point: _same_head(self.head.at(point), spec.head)),
        ]
        norm = (self.norm_momentum, self.norm_epsilon)
        if len(self.stages) != len(spec.stages) or norm != (spec.norm_momentum, spec.norm_epsilon):
            return None
        in_channels = spec.stem.out_channels
        for template, stage in zip(self.stages, spec.stages, strict=True):
            parts.append((template.dimensions, _stage_test(template, stage, in_channels)))
            in_channels = stage.out_channels
        shared = self._shared_dimensions([dimensions for dimensions, _ in parts])
        point = [0] * len(self.dimensions)
        for _ in self._assignments(point, shared):
            if all(
                any(test(point) for _ in self._assignments(point, set(dimensions) - shared))
                for dimensions, test in parts
            ):
                return tuple(point)
        return None

    def _assignments(self, point: list[int], dimensions: set[int]) -> Iterator[None]:
        """Set some dimensions of `point` to each combination in turn; stopping leaves the last one set."""
        ordered = sorted(dimensions)
        for choice in itertools.product(*(range(len(self.dimensions[index].labels)) for index in ordered)):
            for index, value in zip(ordered, choice, strict=True):
                point[index] = value
            yield

    @staticmethod
    def _shared_dimensions(groups: Sequence[Sequence[int]]) -> set[int]:
        seen: set[int] = set()
        shared: set[int] = set()
        for group in groups:
            shared |= seen & set(group)
            seen |= set(group)
        return shared


def _same_head(one: HeadSpec, other: HeadSpec) -> bool:
    if not one.out_channels and not one.hidden_features:  # the activation has nothing to act on
        return (one.out_channels, one.hidden_features, one.dropout_rate) == (
            other.out_channels,
            other.hidden_features,
            other.dropout_rate,
        )
    return one == other


def _stage_test(
    template: StageTemplate, stage: StageSpec, in_channels: int
) -> Callable[[Sequence[int]], bool]:
    def layer_lists(blocks: Sequence[BlockSpec]) -> list[Any]:
        lists = []
        for index, block in enumerate(blocks):
            lists.append(
                block_layers(
                    block,
                    scope="",
                    in_channels=in_channels if index == 0 else stage.out_channels,
                    out_channels=stage.out_channels,
                    stride=stage.stride if index == 0 else 1,
                    in_size=32,
                )
            )
        return [layers for layers in lists if layers]

    wanted = layer_lists(stage.blocks)

    def test(point: Sequence[int]) -> bool:
        if template.out_channels.at(point) != stage.out_channels:
            return False
        if template.stride.at(point) != stage.stride:
            return False
        return layer_lists(template.at(point).blocks) == wanted

    return test
