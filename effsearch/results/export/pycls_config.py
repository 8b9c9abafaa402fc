"""How is a network written down for pycls's EffNet?

A YAML of stages. pycls has MBConv alone, with one activation and one share of squeeze-excite for the whole network,
and drops blocks in training at one rate for all.

Source:
    pycls, `pycls/models/effnet.py`, `blocks.py` and `core/config.py`.
"""

from collections.abc import Callable

from effsearch import __version__
from effsearch.results.export.names import Names
from effsearch.results.export.namings import pycls_expanded, pycls_modules
from effsearch.results.export.placed import PlacedBlock, cannot, head_layers_of, placed_stages
from effsearch.results.export.preprocessing_text import pycls_lines
from effsearch.results.export.rows import Row, table_rows
from effsearch.results.export.words import cost_words, number_text
from effsearch.space.preprocessing import Preprocessing
from effsearch.space.spec import ModelSpec

TARGET = "pycls"
ACTIVATIONS = {"relu": "relu", "swish": "silu", "gelu": "gelu"}


def pycls_config(spec: ModelSpec, *, name: str, preprocessing: Preprocessing | None = None) -> str:
    """Give the text of the configuration.

    Raises:
        SpecError: pycls cannot express the network; the block and the reason are named.
    """
    rows = _rows(spec)
    lists: dict[str, list[object]] = {
        "STRIDES": [row.first.stride for row in rows],
        "DEPTHS": [len(row.blocks) for row in rows],
        "WIDTHS": [row.first.out_channels for row in rows],
        "EXP_RATIOS": [_number(row.ratio) for row in rows],
        "KERNELS": [row.first.block.kernel_size for row in rows],
    }
    lines = [
        f"# {name} for pycls: {cost_words(spec)}.",
        f"# Written by effsearch {__version__}. What is not here is pycls's own: data, optimiser, evaluation.",
        "MODEL:",
        "  TYPE: effnet",
        f"  NUM_CLASSES: {spec.num_classes}",
        f"  ACTIVATION_FUN: {ACTIVATIONS[spec.stem.activation]}",
        "EN:",
        f"  STEM_W: {spec.stem.out_channels}",
        *(f"  {key}: [{', '.join(map(str, values))}]" for key, values in lists.items()),
        f"  SE_R: {_number(_se_ratio(rows))}",
        f"  HEAD_W: {spec.head.out_channels}",
        f"  DROPOUT_RATIO: {_number(spec.head.dropout_rate)}",
    ]
    if spec.drop_path_rate:
        lines.append(
            "  # DC_RATIO stays 0: pycls drops all blocks at one rate, "
            f"and this network's grows to {spec.drop_path_rate!r}."
        )
    lines += ["BN:", f"  EPS: {_number(spec.norm_epsilon)}", f"  MOM: {_number(spec.norm_momentum)}"]
    lines += ["TRAIN:", f"  IM_SIZE: {spec.resolution}"]
    if preprocessing is not None:
        lines += pycls_lines(preprocessing, spec)
    return "\n".join(lines) + "\n"


def pycls_names(spec: ModelSpec) -> Names:
    """Give pycls's name of each module.

    Raises:
        SpecError: pycls cannot express the network.
    """
    _rows(spec)
    return pycls_modules(spec)


def _rows(spec: ModelSpec) -> list[Row]:
    stem, head = spec.stem, head_layers_of(spec)
    if (stem.kernel_size, stem.stride, stem.has_max_pool) != (3, 2, False):
        raise cannot(TARGET, "the stem", "it must be a 3x3 convolution of stride 2 without a pool")
    if stem.activation not in ACTIVATIONS:
        raise cannot(
            TARGET, "the stem", f"its activation is {stem.activation}, none of {', '.join(ACTIVATIONS)}"
        )
    if "conv" not in head or head["conv"].activation != stem.activation:
        raise cannot(
            TARGET, "the head", "it must be a 1x1 convolution with the stem's activation before the pool"
        )
    if "hidden" in head:
        raise cannot(TARGET, "the head", "it has a hidden linear layer")
    stages = placed_stages(spec)
    if not stages:
        raise cannot(TARGET, "the network", "it has no blocks")
    rows = table_rows(stages, kind_of=_kind_test(stem.activation), expanded_by=pycls_expanded)
    for row in rows:
        if not row.ratio:
            raise cannot(
                TARGET, row.first.where, f"no ratio truncates to its inner width of {row.first.expanded}"
            )
    _se_ratio(rows)
    return rows


def _kind_test(activation: str) -> Callable[[PlacedBlock], str]:
    def kind(block: PlacedBlock) -> str:
        if "depthwise" not in block.layers:
            raise cannot(TARGET, block.where, "pycls has MBConv alone")
        if not block.squeezed:
            raise cannot(TARGET, block.where, "an MBConv without squeeze-excite")
        if not block.has_plain_skip:
            why = "no skip" if block.shortcut == "none" else f'its shortcut is "{block.shortcut}"'
            raise cannot(
                TARGET, block.where, f"{why}; pycls adds the input wherever the shape stays, and nothing else"
            )
        if block.block.activation != activation or block.block.se_activation != activation:
            raise cannot(TARGET, block.where, f"an activation other than the stem's {activation}")
        if block.block.se_gate != "sigmoid":
            raise cannot(TARGET, block.where, f"its gate is {block.block.se_gate}, and not sigmoid")
        if block.block.projection_activation != "none":
            raise cannot(TARGET, block.where, "an activation follows the projection")
        return "MBConv"

    return kind


def _se_ratio(rows: list[Row]) -> float:
    """Give the one share of the input that truncates to the squeezed width in every block."""
    blocks = [block for row in rows for block in row.blocks]
    candidates = [block.block.se_ratio for block in blocks[:1]]
    candidates += [block.squeezed / block.in_channels for block in blocks]
    fits = {
        ratio: [block for block in blocks if int(block.in_channels * ratio) != block.squeezed]
        for ratio in candidates
    }
    best = min(fits, key=lambda ratio: len(fits[ratio]))
    if fits[best]:
        other = fits[best][0]
        raise cannot(
            TARGET,
            other.where,
            f"its squeeze-excite has width {other.squeezed}, and pycls has one share of the input for all, {best:g}",
        )
    return best


def _number(value: float) -> str:
    """Give a number as YAML reads it: `1e-05` would be a word there."""
    text = number_text(value)
    return text.replace("e", ".0e") if "e" in text and "." not in text else text
