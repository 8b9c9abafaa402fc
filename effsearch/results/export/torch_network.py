"""How is the network itself written down in plain PyTorch: stem, rows of blocks, head?"""

from collections.abc import Sequence
from textwrap import dedent, wrap

from effsearch.results.export.features import STEM, Feature
from effsearch.results.export.torch_blocks import ACTIVATION_CLASSES, LINE
from effsearch.space.layer import strided_size
from effsearch.space.spec import ModelSpec


def network_text(
    spec: ModelSpec,
    *,
    rows: Sequence[Sequence[str]],
    strides: Sequence[int],
    features: Sequence[Feature],
    num_blocks: int,
) -> str:
    """Give the class of the network.

    Args:
        spec: The network.
        rows: For each stage the calls that make its blocks.
        strides: The stride of each stage.
        features: Maps to give in place of class scores.
        num_blocks: Blocks over which stochastic depth grows; 0 where there is none.
    """
    if features:
        lines = _backbone_start(features)
    else:
        lines = [
            "class Network(nn.Module):",
            '    """Gives the class scores (batch, num_classes) of images (batch, 3, height, width)."""',
            "",
            f"    def __init__(self, num_classes: int = {spec.num_classes}) -> None:",
            "        super().__init__()",
        ]
    stem, head = spec.stem, spec.head
    lines.append(
        f"        self.stem = ConvNorm(3, {stem.out_channels}, {stem.kernel_size}, stride={stem.stride})"
    )
    size = strided_size(spec.resolution, stem.stride)
    if stem.has_max_pool:
        size = strided_size(size, 2)
    lines.append("        self.stages = nn.Sequential(")
    for row, stride in zip(rows, strides, strict=True):
        size = strided_size(size, stride)
        lines.append(f"            nn.Sequential(  # maps of {size} x {size}")
        lines += [line for call in row for line in _call_lines(call)]
        lines.append("            ),")
    lines.append("        )")
    last_channels = _last_channels(spec)
    if not features:
        if head.out_channels:
            lines.append(
                f"        self.head = ConvNorm({last_channels}, {head.out_channels}{_unlike_stem(spec)})"
            )
            last_channels = head.out_channels
        if head.hidden_features:
            lines.append(f"        self.hidden = nn.Linear({last_channels}, {head.hidden_features})")
            lines.append(f"        self.activation = {ACTIVATION_CLASSES[head.activation]}()")
            last_channels = head.hidden_features
        lines.append(f"        self.classifier = nn.Linear({last_channels}, num_classes)")
    if num_blocks:
        lines += [
            "        blocks = [block for stage in self.stages for block in stage]",
            "        for index, block in enumerate(blocks):  # the deeper, the likelier dropped",
            f"            block.drop_rate = {spec.drop_path_rate!r} * index / {num_blocks}",
        ]
    return (
        "\n".join([*lines, "", *(_backbone_forward(spec, features) if features else _forward(spec))]) + "\n"
    )


def build_text(spec: ModelSpec, *, has_linear: bool, has_bias: bool) -> str:
    """Give the function that makes the network with fresh weights."""
    argument, passed, kind = (
        (f"num_classes: int = {spec.num_classes}", "num_classes", "Network")
        if has_linear
        else ("", "", "Backbone")
    )
    lines = [
        f"def build({argument}) -> {kind}:",
        '    """Gives the network with fresh weights, drawn as for EfficientNet; torch.manual_seed repeats them."""',
        f"    model = {kind}({passed})",
        "    for module in model.modules():",
        "        if isinstance(module, nn.Conv2d):",
        "            fan_out = module.kernel_size[0] ** 2 * module.out_channels // module.groups",
        "            nn.init.normal_(module.weight, std=sqrt(2 / fan_out))",
    ]
    if has_linear:
        lines += [
            "        elif isinstance(module, nn.Linear):",
            "            bound = 1 / sqrt(module.out_features)",
            "            nn.init.uniform_(module.weight, -bound, bound)",
        ]
    if has_linear or has_bias:
        kinds = " | ".join(["nn.Conv2d"] * has_bias + ["nn.Linear"] * has_linear)
        lines += [
            f"        if isinstance(module, {kinds}) and module.bias is not None:",
            "            nn.init.zeros_(module.bias)",
        ]
    return "\n".join([*lines, "    return model"]) + "\n"


def _call_lines(call: str) -> list[str]:
    line = f"                {call},"
    if len(line) <= LINE:
        return [line]
    inner, separator, repeats = call.removeprefix("*(").removesuffix(")").rpartition(" for ")
    if separator:
        return [f"{'':16}*(", f"{'':20}{inner}", f"{'':20}for {repeats}", f"{'':16}),"]
    name, _, arguments = call.removesuffix(")").partition("(")
    return [
        f"{'':16}{name}(",
        *wrap(arguments, LINE, initial_indent=" " * 20, subsequent_indent=" " * 20),
        f"{'':16}),",
    ]


def _forward(spec: ModelSpec) -> list[str]:
    lines = [
        "    def forward(self, images: Tensor) -> Tensor:",
        *_stem_lines(spec),
        "        x = self.stages(x)",
    ]
    if spec.head.out_channels:
        lines.append("        x = self.head(x)")
    lines.append("        x = x.mean((2, 3))")
    if spec.head.hidden_features:
        lines.append("        x = self.activation(self.hidden(x))")
    if spec.head.dropout_rate:
        lines.append(f"        x = functional.dropout(x, {spec.head.dropout_rate!r}, self.training)")
    return [*lines, "        return self.classifier(x)"]


def _backbone_start(features: Sequence[Feature]) -> list[str]:
    strides = {feature.name: feature.stride for feature in features}
    channels = {feature.name: feature.channels for feature in features}
    return dedent(f'''\
        class Backbone(nn.Module):
            """Gives the feature maps of images (batch, 3, height, width), finest first, by the names of `strides`."""

            strides = {_dict_text(strides)}
            channels = {_dict_text(channels)}

            def __init__(self) -> None:
                super().__init__()''').splitlines()


def _backbone_forward(spec: ModelSpec, features: Sequence[Feature]) -> list[str]:
    lines = ["    def forward(self, images: Tensor) -> dict[str, Tensor]:", *_stem_lines(spec)]
    by_stage = {feature.stage: feature.name for feature in features}
    start = f'{{"{by_stage[STEM]}": x}}' if STEM in by_stage else "{}"
    names = {stage: name for stage, name in by_stage.items() if stage != STEM}
    pairs = ", ".join(f'{stage}: "{name}"' for stage, name in names.items())
    return [
        *lines,
        f"        maps, names = {start}, {{{pairs}}}  # by the position of the stage that gives it",
        "        for index, stage in enumerate(self.stages):",
        "            x = stage(x)",
        "            if index in names:",
        "                maps[names[index]] = x",
        "        return maps",
    ]


def _stem_lines(spec: ModelSpec) -> list[str]:
    lines = ["        x = self.stem(images)"]
    if spec.stem.has_max_pool:
        lines.append("        x = functional.max_pool2d(x, 3, stride=2, padding=1)")
    return lines


def _unlike_stem(spec: ModelSpec) -> str:
    if spec.head.activation == spec.stem.activation:
        return ""
    return f", activation={ACTIVATION_CLASSES[spec.head.activation]}"


def _last_channels(spec: ModelSpec) -> int:
    return spec.stages[-1].out_channels


def _dict_text(values: dict[str, int]) -> str:
    return "{" + ", ".join(f'"{name}": {value}' for name, value in values.items()) + "}"
