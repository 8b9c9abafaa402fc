"""What do plain PyTorch, timm, torchvision and pycls call the modules of a network?

The one place for it: exports write weights under these names, and weights that come from there are read by them.
Names are given, too, where the library has no such network, as when strides came off the front of a known one for
small images: its weights fit all the same. What a library cannot express the exports refuse; a module that it has no
name for is left out.

Source:
    timm 1.0, `timm/models/_efficientnet_blocks.py`; torchvision 0.28, `torchvision/models/efficientnet.py`; pycls,
    `pycls/models/effnet.py`.
"""

from collections.abc import Callable

from effsearch.results.export.names import Names
from effsearch.results.export.placed import PlacedBlock, placed_stages
from effsearch.results.export.rows import table_rows
from effsearch.results.export.torch_source import torch_names
from effsearch.space.rounding import round_channels
from effsearch.space.spec import ModelSpec

# timm's name of a convolution and of its norm in blocks of each kind, by the names that they have here.
_TIMM = {
    "expanding": {
        "expand": ("conv_pw", "bn1"),
        "depthwise": ("conv_dw", "bn2"),
        "project": ("conv_pwl", "bn3"),
    },
    "separable": {"depthwise": ("conv_dw", "bn1"), "project": ("conv_pw", "bn2")},
    "fused": {"fused": ("conv_exp", "bn1"), "project": ("conv_pwl", "bn2")},
    "single": {"conv": ("conv", "bn1"), "fused": ("conv", "bn1")},
}
_TIMM_GATE = {"squeeze": "se.conv_reduce", "excite": "se.conv_expand"}
_PYCLS = {"expand": "exp", "depthwise": "dwise", "project": "lin_proj"}
_PYCLS_GATE = {"squeeze": "se.f_ex.0", "excite": "se.f_ex.2"}


def timm_modules(spec: ModelSpec) -> Names:
    """Give timm's name of each module, as in its EfficientNet."""
    names = {"stem.conv": "conv_stem", "stem.conv_norm": "bn1"}
    for stage_index, stage in enumerate(placed_stages(spec)):
        for block_index, block in enumerate(stage):
            theirs = f"blocks.{stage_index}.{block_index}"
            table = _TIMM[_timm_kind(block)]
            for name in block.layers:
                ours = f"{block.scope}.{name}"
                if name in _TIMM_GATE:
                    names[ours] = f"{theirs}.{_TIMM_GATE[name]}"
                elif name in table:
                    conv, norm = table[name]
                    names |= {ours: f"{theirs}.{conv}", f"{ours}_norm": f"{theirs}.{norm}"}
    if spec.head.out_channels:
        names |= {"head.conv": "conv_head", "head.conv_norm": "bn2"}
    return names | {"head.classifier": "classifier"}


def torchvision_modules(spec: ModelSpec) -> Names:
    """Give torchvision's name of each module (EfficientNet); unlike blocks of a stage are rows of their own."""
    rows = table_rows(placed_stages(spec), kind_of=torchvision_kind, expanded_by=torchvision_expanded)
    names = _torchvision_conv("stem.conv", "features.0")
    for row_index, row in enumerate(rows):
        for block_index, block in enumerate(row.blocks):
            inside = f"features.{row_index + 1}.{block_index}.block"
            position = 0
            for layer in block.layers.values():
                if layer.name == "squeeze":
                    names[f"{block.scope}.squeeze"] = f"{inside}.{position}.fc1"
                elif layer.name == "excite":
                    names[f"{block.scope}.excite"] = f"{inside}.{position}.fc2"
                    position += 1
                elif layer.kind == "conv":
                    names |= _torchvision_conv(f"{block.scope}.{layer.name}", f"{inside}.{position}")
                    position += 1
    if spec.head.out_channels:
        names |= _torchvision_conv("head.conv", f"features.{len(rows) + 1}")
    return names | {"head.classifier": "classifier.1"}


def torchvision_kind(block: PlacedBlock) -> str:
    """Give the configuration of torchvision's that stands for a block."""
    return "MBConvConfig" if "depthwise" in block.layers else "FusedMBConvConfig"


def torchvision_expanded(in_channels: int, ratio: float) -> int:
    """Give torchvision's expanded width."""
    return round_channels(in_channels * ratio)


def pycls_modules(spec: ModelSpec) -> Names:
    """Give pycls's name of each module, as in its EffNet: unlike blocks of a stage are rows of their own."""
    rows = table_rows(placed_stages(spec), kind_of=lambda _: "MBConv", expanded_by=pycls_expanded)
    names = {"stem.conv": "stem.conv", "stem.conv_norm": "stem.bn"}
    for row_index, row in enumerate(rows):
        for block_index, block in enumerate(row.blocks):
            theirs = f"s{row_index + 1}.b{block_index + 1}"
            for name in block.layers:
                ours = f"{block.scope}.{name}"
                if name in _PYCLS_GATE:
                    names[ours] = f"{theirs}.{_PYCLS_GATE[name]}"
                elif name in _PYCLS:
                    names |= {
                        ours: f"{theirs}.{_PYCLS[name]}",
                        f"{ours}_norm": f"{theirs}.{_PYCLS[name]}_bn",
                    }
    if spec.head.out_channels:
        names |= {"head.conv": "head.conv", "head.conv_norm": "head.conv_bn"}
    return names | {"head.classifier": "head.fc"}


def pycls_expanded(in_channels: int, ratio: float) -> int:
    """Give pycls's expanded width."""
    return int(in_channels * ratio)


NAMINGS: dict[str, Callable[[ModelSpec], Names]] = {
    "torchvision": torchvision_modules,
    "timm": timm_modules,
    "torch": torch_names,
    "pycls": pycls_modules,
}
"""Whose weights can be read, and what they call the modules."""


def all_names(spec: ModelSpec) -> dict[str, Names]:
    """Give what each target calls the modules of a network, by target."""
    return {target: naming(spec) for target, naming in NAMINGS.items()}


def _timm_kind(block: PlacedBlock) -> str:
    if "expand" in block.layers:
        return "expanding"
    if "depthwise" in block.layers:
        return "separable"  # also mbconv that expands nothing
    return "fused" if "project" in block.layers else "single"  # also a fused mbconv that expands nothing


def _torchvision_conv(ours: str, theirs: str) -> Names:
    return {ours: f"{theirs}.0", f"{ours}_norm": f"{theirs}.1"}
