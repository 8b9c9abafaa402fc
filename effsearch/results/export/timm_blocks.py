"""What is timm's string for a block, and what can it not say?

Kinds: `ir` MBConv, `ds` depthwise-separable (MBConv without expansion; `ir` would put a 1x1 convolution there), `dsa`
the same with an activation at its end, `er` Fused-MBConv, `cn` one convolution.
"""

from collections.abc import Sequence

from effsearch.results.export.placed import PlacedBlock, cannot, head_layers_of
from effsearch.results.export.torch_blocks import ACTIVATION_CLASSES, shared_gate
from effsearch.results.export.words import number_text
from effsearch.space.rounding import round_channels
from effsearch.space.spec import ModelSpec

TARGET = "timm"
ACTIVATIONS = {"relu": "re", "relu6": "r6", "swish": "sw", "hard_swish": "hs"}  # that a single block may have


def block_string(block: PlacedBlock, *, default: str) -> str:
    """Give a block's string without its number and stride: `ir_k3_e6_c24_se0.25`.

    Args:
        block: The block.
        default: The network's activation, which no string names.

    Raises:
        SpecError: timm has nothing that is this block.
    """
    layers, fields = block.layers, block.block
    kind = _kind(block)
    if block.stride > 2:
        raise cannot(TARGET, block.where, f"its stride is {block.stride}, not 1 or 2")
    if block.shortcut not in ("none", "identity"):
        raise cannot(
            TARGET, block.where, f'its shortcut is "{block.shortcut}"; timm adds the input as it is or not'
        )
    words = [kind, f"k{fields.kernel_size}"]
    ratio = 1.0
    if kind in ("ir", "er"):
        ratio = _expand_ratio(block)
        words.append(f"e{number_text(ratio)}")
    words.append(f"c{block.out_channels}")
    if block.squeezed:
        words.append(f"se{number_text(_se_ratio(block, ratio))}")
    if fields.activation != default:
        if fields.activation not in ACTIVATIONS:
            raise cannot(
                TARGET,
                block.where,
                f"its activation is {fields.activation}; a single block may have {_listed()}",
            )
        words.append(f"n{ACTIVATIONS[fields.activation]}")
    if "project" in layers and layers["project"].activation != "none" and kind != "dsa":
        raise cannot(
            TARGET, block.where, "an activation follows the projection, and timm has that only without a skip"
        )
    if kind == "cn" and fields.skip != "none":
        words.append("skip")
    if kind in ("ir", "ds", "er") and fields.skip == "none":
        words.append("noskip")
    return "_".join(words)


def check_ends(spec: ModelSpec, stages: Sequence[Sequence[PlacedBlock]]) -> None:
    """Refuse a stem or a head that timm does not have."""
    stem, head = spec.stem, head_layers_of(spec)
    if not stages:
        raise cannot(TARGET, "the network", "it has no blocks")
    if stem.stride != 2 or stem.has_max_pool:
        raise cannot(TARGET, "the stem", "it must have stride 2 and no pool")
    if stem.activation == "none":
        raise cannot(TARGET, "the stem", "it has no activation")
    if "hidden" in head:
        raise cannot(TARGET, "the head", "it has a hidden linear layer")
    if "conv" in head and head["conv"].activation != stem.activation:
        raise cannot(
            TARGET,
            "the head",
            f"its activation is {head['conv'].activation}, the stem's {stem.activation}; timm has one for both",
        )


def squeeze_excite_text(blocks: Sequence[PlacedBlock]) -> str:
    """Give what timm is to make squeeze-excites with, "" for its own way.

    Raises:
        SpecError: Blocks differ in what timm has once for the whole network.
    """
    gated = [block for block in blocks if block.squeezed]
    shared = shared_gate(gated)
    if gated and "se_gate" not in shared:
        other = next(block for block in gated if block.block.se_gate != gated[0].block.se_gate)
        raise cannot(TARGET, other.where, "its gate is not that of other blocks, and timm has one for all")
    words = []
    if gated and shared["se_gate"] != "sigmoid":
        words.append(f"gate_layer={ACTIVATION_CLASSES[shared['se_gate']]}")
    if any(block.block.se_activation != block.block.activation for block in gated):
        if "se_activation" not in shared:
            other = next(block for block in gated if block.block.se_activation != block.block.activation)
            raise cannot(
                TARGET,
                other.where,
                "inside its squeeze-excite the activation is neither the block's own nor one for all blocks",
            )
        words.append(f"force_act_layer={ACTIVATION_CLASSES[shared['se_activation']]}")
    return f"partial(SqueezeExcite, {', '.join(words)})" if words else ""


def _kind(block: PlacedBlock) -> str:
    layers = block.layers
    if "expand" in layers:
        return "ir"
    if "depthwise" in layers:
        ends_active = layers["project"].activation != "none"
        # timm's block with an activation at its end has it from the block, and never a skip
        fits = layers["project"].activation == block.block.activation and block.shortcut == "none"
        return "dsa" if ends_active and fits else "ds"
    if "fused" in layers and "project" in layers:
        return "er"
    if list(layers) in (["conv"], ["conv", "add"], ["fused"], ["fused", "add"]):
        return "cn"
    why = (
        "one convolution with squeeze-excite"
        if {"conv", "fused"} & set(layers) and "squeeze" in layers
        else "there is no such kind of block"
    )
    raise cannot(TARGET, block.where, why)


def _expand_ratio(block: PlacedBlock) -> float:
    for ratio in (block.block.expand_ratio, block.expanded / block.in_channels):
        if round_channels(block.in_channels * ratio) == block.expanded:
            return ratio
    raise cannot(TARGET, block.where, f"its inner width of {block.expanded} is no multiple of eight")


def _se_ratio(block: PlacedBlock, expand_ratio: float) -> float:
    """Give the share that timm, by expansion and width, rounds to the squeezed width."""
    width = block.layers["squeeze"].in_channels
    for share in (block.block.se_ratio, block.squeezed / width * expand_ratio):
        if round(width * (share / expand_ratio)) == block.squeezed:
            return share
    raise cannot(TARGET, block.where, f"no share rounds to its squeeze-excite's width of {block.squeezed}")


def _listed() -> str:
    return ", ".join(ACTIVATIONS)
