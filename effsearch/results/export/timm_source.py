"""How is a network written down for timm's EfficientNet?

One string for each run of like blocks, in timm's own shorthand, with channels as they are. Three things hold for the
whole network there: the stem's and the head's activation, what a squeeze-excite's gate is, and its inner activation.

Source:
    timm 1.0, `timm/models/_efficientnet_builder.py`, `_efficientnet_blocks.py` and `efficientnet.py`.
"""

from collections.abc import Sequence
from itertools import groupby

from effsearch.results.export.features import STRIDES, Feature
from effsearch.results.export.names import Names
from effsearch.results.export.namings import timm_modules
from effsearch.results.export.placed import PlacedBlock, placed_stages
from effsearch.results.export.preprocessing_text import timm_text
from effsearch.results.export.timm_blocks import block_string, check_ends, squeeze_excite_text
from effsearch.results.export.torch_blocks import ACTIVATION_CLASSES
from effsearch.results.export.words import backbone_words, builder_docs, cost_words
from effsearch.space.preprocessing import Preprocessing
from effsearch.space.spec import ModelSpec


def timm_source(
    spec: ModelSpec,
    *,
    name: str,
    module: str,
    features: Sequence[Feature] = (),
    preprocessing: Preprocessing | None = None,
) -> str:
    """Give the text of a file that builds the network with timm, with its `pretrained_cfg` where that is known.

    Raises:
        SpecError: timm cannot express it; the block and the reason are named.
    """
    stages = placed_stages(spec)
    rows = _arch_def(spec, stages)
    blocks = [block for stage in stages for block in stage]
    squeeze_excite = squeeze_excite_text(blocks)
    total_stride = spec.stem.stride
    for stage in stages:
        total_stride *= stage[0].stride
    kind = "EfficientNetFeatures" if features else "EfficientNet"
    arguments = [
        "block_args=decode_arch_def(ARCH_DEF),",
        *([] if features else ["num_classes=num_classes,", f"num_features={spec.head.out_channels},"]),
        f"stem_size={spec.stem.out_channels},",
        f"stem_kernel_size={spec.stem.kernel_size},",
        "fix_stem=True,",
        "round_chs_fn=int,  # channels are as they stand",
        *([f"output_stride={total_stride},  # nothing is dilated"] if total_stride > 32 else []),
        f"act_layer={ACTIVATION_CLASSES[spec.stem.activation]},",
        f"norm_layer=partial(nn.BatchNorm2d, eps={spec.norm_epsilon!r}, momentum={spec.norm_momentum!r}),",
        *([f"se_layer={squeeze_excite},"] if squeeze_excite else []),
        *([] if features else [f"drop_rate={spec.head.dropout_rate!r},"]),
        f"drop_path_rate={spec.drop_path_rate!r},",
        *([f"out_indices={_out_indices(spec, stages)},"] if features else []),
    ]
    se_import = ", SqueezeExcite" if squeeze_excite else ""
    argument = "" if features else f"num_classes: int = {spec.num_classes}"
    doc = (
        f"the feature maps at strides {', '.join(str(feature.stride) for feature in features)}, as a list"
        if features
        else "the network with fresh weights"
    )
    indented = "\n        ".join(arguments)
    listed = "\n    ".join("[" + ", ".join(f'"{text}"' for text in row) + "]," for row in rows)
    what = backbone_words(features) if features else cost_words(spec)
    made = f"""{kind}(
        {indented}
    )"""
    constants, last = "", f"    return {made}"
    if preprocessing is not None:
        constants = timm_text(preprocessing, has_classes=not features) + "\n\n"
        last = f"    model = {made}\n    model.pretrained_cfg = PRETRAINED_CFG\n    return model"
    docs = builder_docs(what, name=name, library="timm", module=module)
    return f'''{docs}

from functools import partial

from timm.models.efficientnet import {kind}{se_import}, decode_arch_def
from torch import nn

{constants}ARCH_DEF = [
    {listed}
]


def build({argument}) -> {kind}:
    """Gives {doc}."""
{last}
'''


def timm_names(spec: ModelSpec, *, features: Sequence[Feature] = ()) -> Names:
    """Give timm's name of each module.

    Raises:
        SpecError: timm cannot express the network.
    """
    _arch_def(spec, placed_stages(spec))
    names = timm_modules(spec)
    return {ours: theirs for ours, theirs in names.items() if not (features and ours.startswith("head."))}


def _arch_def(spec: ModelSpec, stages: Sequence[Sequence[PlacedBlock]]) -> list[list[str]]:
    """Give timm's strings, stage by stage, like neighbours as one with their number."""
    check_ends(spec, stages)
    squeeze_excite_text([block for stage in stages for block in stage])  # raises where blocks differ
    rows = []
    for stage in stages:
        strings = [block_string(block, default=spec.stem.activation) for block in stage]
        row = []
        for string, run in groupby(strings):
            kind, _, rest = string.partition("_")
            row.append(f"{kind}_r{len(list(run))}_s{stage[0].stride}_{rest}")
        rows.append(row)
    return rows


def _out_indices(spec: ModelSpec, stages: Sequence[Sequence[PlacedBlock]]) -> tuple[int, ...]:
    """Give the positions of the maps at strides 4 to 32 among those that timm finds: one before each stride."""
    stride = spec.stem.stride
    found = [stride] if stages[0][0].stride > 1 else []
    for index, stage in enumerate(stages):
        stride *= stage[0].stride
        if index + 1 == len(stages) or stages[index + 1][0].stride > 1:
            found.append(stride)
    return tuple(index for index, stride in enumerate(found) if stride in STRIDES)
