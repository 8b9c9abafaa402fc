"""How is a network written down for torchvision's EfficientNet?

A table of `MBConvConfig` and `FusedMBConvConfig`. They leave little open: SiLU everywhere, squeeze-excite in every
MBConv at a quarter of its input and in no Fused-MBConv, inner widths in multiples of eight, a skip wherever the shape
stays.

Source:
    torchvision 0.28, `torchvision/models/efficientnet.py` and `ops/misc.py`.
"""

from effsearch.results.export.names import Names
from effsearch.results.export.namings import torchvision_expanded, torchvision_kind, torchvision_modules
from effsearch.results.export.placed import PlacedBlock, cannot, head_layers_of, placed_stages
from effsearch.results.export.preprocessing_text import torchvision_text
from effsearch.results.export.rows import Row, table_rows, width_inside
from effsearch.results.export.words import builder_docs, cost_words, number_text
from effsearch.space.preprocessing import Preprocessing
from effsearch.space.rounding import round_channels
from effsearch.space.spec import ModelSpec

TARGET = "torchvision"


def torchvision_source(
    spec: ModelSpec, *, name: str, module: str, preprocessing: Preprocessing | None = None
) -> str:
    """Give the text of a file that builds the network with torchvision, with its transforms where they are known.

    Raises:
        SpecError: torchvision cannot express it; the block and the reason are named.
    """
    rows = _rows(spec)
    configs = "\n    ".join(_config(row) for row in rows)
    kinds = ", ".join(sorted({row.kind for row in rows}))
    docs = builder_docs(cost_words(spec), name=name, library="torchvision", module=module)
    imported, constants = "", ""
    if preprocessing is not None:
        imported = "from torchvision import transforms\n"
        constants = torchvision_text(preprocessing) + "\n\n"
    return f'''{docs}

from functools import partial

from torch import nn
{imported}from torchvision.models.efficientnet import EfficientNet, {kinds}

{constants}STAGES = [
    {configs}
]


def build(num_classes: int = {spec.num_classes}) -> EfficientNet:
    """Gives the network with fresh weights."""
    return EfficientNet(
        STAGES,
        dropout={spec.head.dropout_rate!r},
        stochastic_depth_prob={spec.drop_path_rate!r},
        num_classes=num_classes,
        norm_layer=partial(nn.BatchNorm2d, eps={spec.norm_epsilon!r}, momentum={spec.norm_momentum!r}),
        last_channel={spec.head.out_channels},
    )
'''


def torchvision_names(spec: ModelSpec) -> Names:
    """Give torchvision's name of each module.

    Raises:
        SpecError: torchvision cannot express the network.
    """
    _rows(spec)
    return torchvision_modules(spec)


def _config(row: Row) -> str:
    first = row.first
    return (
        f"{row.kind}(expand_ratio={number_text(row.ratio)}, kernel={first.block.kernel_size}, "
        f"stride={first.stride}, input_channels={first.in_channels}, out_channels={first.out_channels}, "
        f"num_layers={len(row.blocks)}),"
    )


def _rows(spec: ModelSpec) -> list[Row]:
    stem, head = spec.stem, head_layers_of(spec)
    if (stem.kernel_size, stem.stride, stem.activation, stem.has_max_pool) != (3, 2, "swish", False):
        raise cannot(
            TARGET, "the stem", "it must be a 3x3 convolution of stride 2 with swish and without a pool"
        )
    if "conv" not in head or head["conv"].activation != "swish":
        raise cannot(TARGET, "the head", "it must be a 1x1 convolution with swish before the pool")
    if "hidden" in head:
        raise cannot(TARGET, "the head", "it has a hidden linear layer")
    stages = placed_stages(spec)
    if not stages:
        raise cannot(TARGET, "the network", "it has no blocks")
    rows = table_rows(stages, kind_of=_kind, expanded_by=torchvision_expanded)
    for row in rows:
        if not row.ratio:
            raise cannot(
                TARGET,
                row.first.where,
                f"its inner width of {width_inside(row.first)} is no multiple of eight",
            )
    return rows


def _kind(block: PlacedBlock) -> str:
    """Give the configuration that stands for a block, or raise what is in its way."""
    layers = block.layers
    if block.stride > 2:
        raise cannot(TARGET, block.where, f"its stride is {block.stride}, not 1 or 2")
    if not block.has_plain_skip:
        why = "no skip" if block.shortcut == "none" else f'its shortcut is "{block.shortcut}"'
        raise cannot(
            TARGET,
            block.where,
            f"{why}; torchvision adds the input wherever the shape stays, and nothing else",
        )
    is_depthwise = "depthwise" in layers
    if not is_depthwise and "fused" not in layers and list(layers) not in (["conv"], ["conv", "add"]):
        raise cannot(TARGET, block.where, "there is no such kind of block")
    if block.block.activation != "swish":
        raise cannot(TARGET, block.where, f"its activation is {block.block.activation}, and not swish")
    if "project" in layers and layers["project"].activation != "none":
        raise cannot(TARGET, block.where, "an activation follows the projection")
    if not is_depthwise:
        if block.squeezed:
            raise cannot(TARGET, block.where, "a Fused-MBConv with squeeze-excite")
        return torchvision_kind(block)
    if (
        round_channels(block.in_channels) != block.in_channels
        or round_channels(block.out_channels) != block.out_channels
    ):
        raise cannot(TARGET, block.where, "its channels are no multiples of eight")
    if not block.squeezed:
        raise cannot(TARGET, block.where, "an MBConv without squeeze-excite")
    if block.squeezed != max(1, block.in_channels // 4):
        raise cannot(
            TARGET,
            block.where,
            f"its squeeze-excite has width {block.squeezed}, not a quarter of the input, {block.in_channels // 4}",
        )
    if (layers["squeeze"].activation, layers["excite"].activation) != ("swish", "sigmoid"):
        raise cannot(TARGET, block.where, "its squeeze-excite has not swish and sigmoid")
    return torchvision_kind(block)
