"""Of which classes does a network consist in plain PyTorch, and how is each block called up?

A class stands for all blocks of one kind in one network, and has only what these need: what is the same in all of
them is written into the class, what differs is an argument.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from effsearch.results.export.names import Names
from effsearch.results.export.placed import PlacedBlock

LINE = 110  # characters, at most, in what is written
ACTIVATION_CLASSES = {
    "none": "nn.Identity",
    "relu": "nn.ReLU",
    "relu6": "nn.ReLU6",
    "swish": "nn.SiLU",
    "hard_swish": "nn.Hardswish",
    "gelu": "nn.GELU",
    "sigmoid": "nn.Sigmoid",
    "hard_sigmoid": "nn.Hardsigmoid",
}


@dataclass(frozen=True, slots=True)
class Part:
    """One attribute of a block class, a convolution with its norm or (without a name) the squeeze-excite."""

    layer: str  # as in the layer walk; "" for squeeze and excite
    ins: str
    outs: str = ""
    has_kernel: bool = False
    has_stride: bool = False
    is_depthwise: bool = False


GATE_FIELDS = ("se_activation", "se_gate")

CLASSES: dict[str, tuple[str, tuple[Part, ...]]] = {
    "MBConv": (
        "1x1 widening, depthwise convolution{gate}, 1x1 narrowing",
        (
            Part("expand", "in_channels", "expanded"),
            Part("depthwise", "expanded", "expanded", True, True, True),
            Part("", "expanded"),
            Part("project", "expanded", "out_channels"),
        ),
    ),
    "DepthwiseSeparable": (
        "Depthwise convolution{gate}, 1x1 convolution",
        (
            Part("depthwise", "in_channels", "in_channels", True, True, True),
            Part("", "in_channels"),
            Part("project", "in_channels", "out_channels"),
        ),
    ),
    "FusedMBConv": (
        "Widening convolution{gate}, 1x1 narrowing",
        (
            Part("fused", "in_channels", "expanded", True, True),
            Part("", "expanded"),
            Part("project", "expanded", "out_channels"),
        ),
    ),
    "ConvBlock": (
        "One convolution{gate}",
        (Part("conv", "in_channels", "out_channels", True, True), Part("", "out_channels")),
    ),
    "GatedConv": (
        "Squeeze-excite, one convolution",
        (Part("", "in_channels"), Part("conv", "in_channels", "out_channels", True, True)),
    ),
    "Bottleneck": (
        "1x1 narrowing, convolution, 1x1 widening{gate}",
        (
            Part("reduce", "in_channels", "inner"),
            Part("conv", "inner", "inner", True, True),
            Part("restore", "inner", "out_channels"),
            Part("", "out_channels"),
        ),
    ),
    "BasicBlock": (
        "Two convolutions{gate}",
        (
            Part("conv1", "in_channels", "out_channels", True, True),
            Part("conv2", "out_channels", "out_channels", True),
            Part("", "out_channels"),
        ),
    ),
}


def class_of(block: PlacedBlock, *, has_expansions: bool) -> str:
    """Give the class that stands for a block; "ConvNorm" for an identity that projects.

    Args:
        block: Any block.
        has_expansions: Whether any MBConv of the network expands; if none does, all are depthwise-separable.
    """
    names = block.layers
    if "depthwise" in names:
        return "MBConv" if block.block.kind == "mbconv" and has_expansions else "DepthwiseSeparable"
    if "fused" in names and "project" in names:
        return "FusedMBConv"
    if "fused" in names:
        return "GatedConv" if "squeeze" in names else "ConvBlock"
    kinds = {"conv": "ConvBlock", "bottleneck": "Bottleneck", "basic": "BasicBlock", "identity": "ConvNorm"}
    return kinds[block.block.kind]


def block_names(block: PlacedBlock, class_name: str, prefix: str) -> Names:
    """Give the names of a block's modules in its class, `prefix` before each."""
    names = {}
    for layer in block.layers.values():
        if layer.kind not in ("conv", "linear"):
            continue
        if layer.branch == "gate":
            names[f"{block.scope}.{layer.name}"] = f"{prefix}.gate.{layer.name}"
            continue
        attribute = "conv" if class_name in ("ConvBlock", "GatedConv") else layer.name
        inside = prefix if class_name == "ConvNorm" else f"{prefix}.{attribute}"
        names[f"{block.scope}.{layer.name}"] = f"{inside}.conv"
        names[f"{block.scope}.{layer.name}_norm"] = f"{inside}.norm"
    return names


@dataclass(frozen=True)
class BlockClass:
    """One class, and the blocks of a network that it stands for."""

    name: str
    blocks: Sequence[PlacedBlock]

    @cached_property
    def parts(self) -> tuple[Part, ...]:
        """The attributes that some block needs."""
        return tuple(part for part in CLASSES[self.name][1] if part.layer or self.has_gate)

    @cached_property
    def has_gate(self) -> bool:
        """Whether some block has a squeeze-excite."""
        return any(block.squeezed for block in self.blocks)

    @property
    def is_residual(self) -> bool:
        """Whether an activation follows the addition."""
        return self.name in ("Bottleneck", "BasicBlock")

    @property
    def has_projection(self) -> bool:
        """Whether the last convolution may have an activation of its own."""
        return any(part.layer == "project" for part in self.parts)

    @cached_property
    def skip(self) -> str:
        """Which blocks add their input: "none", "same" (wherever the shape stays) or "given" (as each says)."""
        shortcuts = {block.shortcut for block in self.blocks}
        if shortcuts == {"none"}:
            return "none"
        return "same" if all(block.has_plain_skip for block in self.blocks) else "given"

    def values(self, field: str) -> set[str]:
        """Give what a field of `BlockSpec` that names an activation or a gate comes to, over all blocks with it."""
        return {
            getattr(block.block, field) for block in self.blocks if block.squeezed or field not in GATE_FIELDS
        }

    def arguments(self, shared: Mapping[str, str]) -> list[str]:
        """Give the fields that are arguments of the class, because its blocks differ in them.

        Args:
            shared: Fields of the squeeze-excite that are alike in the whole network, and no argument anywhere.
        """
        fields = ["activation", "projection_activation"] if self.has_projection else ["activation"]
        fields += [field for field in GATE_FIELDS if field not in shared]
        return [field for field in fields if len(self.values(field)) > 1]


def block_classes(stages: Sequence[Sequence[PlacedBlock]]) -> list[BlockClass]:
    """Give the classes of a network in the order of `CLASSES`, each with its blocks."""
    blocks = [block for stage in stages for block in stage]
    has_expansions = any("expand" in block.layers for block in blocks)
    of_class: dict[str, list[PlacedBlock]] = {name: [] for name in CLASSES}
    for block in blocks:
        name = class_of(block, has_expansions=has_expansions)
        if name in of_class:
            of_class[name].append(block)
    return [BlockClass(name, found) for name, found in of_class.items() if found]


def shared_gate(blocks: Sequence[PlacedBlock]) -> dict[str, str]:
    """Give the fields of the squeeze-excite that are alike in all blocks that have one."""
    values = {
        field: {getattr(block.block, field) for block in blocks if block.squeezed} for field in GATE_FIELDS
    }
    return {field: found.pop() for field, found in values.items() if len(found) == 1}
