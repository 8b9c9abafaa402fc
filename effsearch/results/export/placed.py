"""Which block stands where in a network, and which layers is it?

What every target reads. Identities that do nothing are left out, and so are stages of nothing else: positions count
what is left, as the built network does, while messages count the spec's stages and blocks, from 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from effsearch.space.errors import SpecError
from effsearch.space.layer import Layer
from effsearch.space.layers import layers
from effsearch.space.spec import BlockSpec, ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedBlock:
    """One block that does something."""

    scope: str  # as in the layer walk: "stages.2.0"
    block: BlockSpec
    in_channels: int
    out_channels: int
    stride: int
    layers: Mapping[str, Layer]  # by name, in order

    @property
    def where(self) -> str:
        """The block's place for people: "stage 3, block 1 (mbconv)"."""
        _, stage, index = self.scope.split(".")
        return f"stage {int(stage) + 1}, block {int(index) + 1} ({self.block.kind})"

    @property
    def keeps_shape(self) -> bool:
        """Whether the output could be added to the input as it is."""
        return self.stride == 1 and self.in_channels == self.out_channels

    @property
    def shortcut(self) -> str:
        """What is added to the output: "none", "identity", "pool" or "project"."""
        if "add" not in self.layers:
            return "none"
        if "shortcut" not in self.layers:
            return "identity"
        return "pool" if self.layers["shortcut"].kind == "pool_and_pad" else "project"

    @property
    def has_plain_skip(self) -> bool:
        """Whether the input is added wherever the shape stays, and nothing is added elsewhere."""
        return self.shortcut == ("identity" if self.keeps_shape else "none")

    @property
    def squeezed(self) -> int:
        """The squeeze-excite's inner width, 0 without one."""
        return self.layers["squeeze"].out_channels if "squeeze" in self.layers else 0

    @property
    def expanded(self) -> int:
        """The width of the depthwise or fused convolution's output."""
        return next(self.layers[name] for name in ("depthwise", "fused") if name in self.layers).out_channels


def placed_stages(spec: ModelSpec) -> list[list[PlacedBlock]]:
    """Give the blocks of a network, stage by stage."""
    stages: dict[str, list[PlacedBlock]] = {}
    for scope, of_scope in groupby(layers(spec), key=lambda layer: layer.scope):
        if not scope.startswith("stages."):
            continue
        _, stage_index, block_index = scope.split(".")
        stage = spec.stages[int(stage_index)]
        by_name = {layer.name: layer for layer in of_scope}
        stages.setdefault(stage_index, []).append(
            PlacedBlock(
                scope=scope,
                block=stage.blocks[int(block_index)],
                in_channels=next(iter(by_name.values())).in_channels,
                out_channels=stage.out_channels,
                stride=stage.stride if block_index == "0" else 1,
                layers=by_name,
            )
        )
    return list(stages.values())


def head_layers_of(spec: ModelSpec) -> dict[str, Layer]:
    """Give the layers of the head by name."""
    return {layer.name: layer for layer in layers(spec) if layer.scope == "head"}


def cannot(target: str, where: str, why: str) -> SpecError:
    """The one line for a network that a target cannot express."""
    return SpecError(f"{target} cannot express {where}: {why}")
