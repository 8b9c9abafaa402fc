"""How is a block's class written down in plain PyTorch?"""

from collections.abc import Iterable, Mapping
from textwrap import dedent

from effsearch.results.export.torch_blocks import ACTIVATION_CLASSES, CLASSES, LINE, BlockClass, Part


def conv_norm_text(*, default: str, momentum: float, epsilon: float) -> str:
    """Give the class of a convolution with its norm and activation."""
    return dedent(f'''\
        class ConvNorm(nn.Sequential):
            """Convolution, batch norm, activation."""

            def __init__(
                self,
                in_channels: int,
                out_channels: int,
                kernel_size: int = 1,
                stride: int = 1,
                *,
                groups: int = 1,
                activation: type[nn.Module] = {ACTIVATION_CLASSES[default]},
            ) -> None:
                super().__init__()
                padding = kernel_size // 2
                self.conv = nn.Conv2d(
                    in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False
                )
                self.norm = nn.BatchNorm2d(out_channels, eps={epsilon!r}, momentum={momentum!r})
                self.activation = activation()
        ''')


def gate_text(shared: Mapping[str, str]) -> str:
    """Give the class of the squeeze-excite; what is not shared by all blocks is an argument."""
    given = [f"{field}: type[nn.Module]" for field in ("se_activation", "se_gate") if field not in shared]
    made = {
        field: f"{ACTIVATION_CLASSES[shared[field]] if field in shared else field}()"
        for field in ("se_activation", "se_gate")
    }
    init = "\n".join(_init_lines("channels: int", "squeezed: int", *(["*", *given] if given else [])))
    return f'''\
class SqueezeExcite(nn.Module):
    """Weighs each channel by what two 1x1 convolutions make of the means of all channels."""

{init}
        super().__init__()
        self.squeeze = nn.Conv2d(channels, squeezed, 1)
        self.activation = {made["se_activation"]}
        self.excite = nn.Conv2d(squeezed, channels, 1)
        self.weigh = {made["se_gate"]}

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3), keepdim=True)
        return x * self.weigh(self.excite(self.activation(self.squeeze(means))))
'''


DROP_PATH = dedent('''\
    def drop_path(x: Tensor, rate: float, is_training: bool) -> Tensor:
        """Zeroes whole samples at random in training and scales the others up (stochastic depth)."""
        if not is_training or rate == 0:
            return x
        kept = torch.rand(len(x), 1, 1, 1, device=x.device) >= rate
        return x * kept.to(x.dtype) / (1 - rate)
    ''')

POOL_AND_PAD = dedent('''\
    class PoolAndPad(nn.Module):
        """Averages over stride x stride pixels and appends zero channels."""

        def __init__(self, stride: int, num_new_channels: int) -> None:
            super().__init__()
            self.pool = nn.AvgPool2d(stride, ceil_mode=True, count_include_pad=False)
            self.num_new_channels = num_new_channels

        def forward(self, x: Tensor) -> Tensor:
            return functional.pad(self.pool(x), (0, 0, 0, 0, 0, self.num_new_channels))
    ''')


def shortcut_text(kinds: Iterable[str]) -> str:
    """Give the function that makes what a block adds to its output, for these kinds of shortcuts."""
    made = {
        "pool": "PoolAndPad(stride, out_channels - in_channels)",
        "project": "ConvNorm(in_channels, out_channels, 1, stride, activation=nn.Identity)",
    }
    lines = [
        "def make_shortcut(skip: str, in_channels: int, out_channels: int, stride: int) -> nn.Module | None:",
        '    """Gives what leads a block\'s input around it; None: nothing does."""',
    ]
    for kind, text in made.items():
        if kind in kinds:
            lines += [f'    if skip == "{kind}":', f"        return {text}"]
    lines.append('    return nn.Identity() if skip == "identity" else None')
    return "\n".join(lines) + "\n"


def class_text(
    block_class: BlockClass, *, default: str, shared_gate: Mapping[str, str], has_drop_path: bool
) -> str:
    """Give the class of a block kind.

    Args:
        block_class: The class and its blocks.
        default: The activation that `ConvNorm` has by default.
        shared_gate: Fields of the squeeze-excite that all blocks of the network share.
        has_drop_path: Whether the network drops blocks at random in training.
    """
    arguments = block_class.arguments(shared_gate)
    body = []
    for part in block_class.parts:
        attribute = f"self.{part.layer or 'gate'}"
        body.append(f"{attribute} = {_part_text(block_class, part, arguments, default, shared_gate)}")
    drops = has_drop_path and block_class.skip != "none"
    if block_class.skip == "same":
        body.append("self.has_skip = stride == 1 and in_channels == out_channels")
    elif block_class.skip == "given":
        body.append("self.shortcut = make_shortcut(skip, in_channels, out_channels, stride)")
    if drops:
        body.append("self.drop_rate = 0.0  # the network sets it")
    if block_class.is_residual:
        body.append(f"self.activation = {_activation(block_class, 'activation', arguments)}()")
    doc = CLASSES[block_class.name][0].format(gate=", squeeze-excite" if block_class.has_gate else "")
    doc += {"none": ".", "same": "; a skip where the shape stays.", "given": "; a shortcut as given."}[
        block_class.skip
    ]
    lines = [f"class {block_class.name}(nn.Module):", f'    """{doc}"""', ""]
    lines += _signature(block_class, arguments)
    lines.append("        super().__init__()")
    lines += [line for text in body for line in _wrap(text)]
    lines += ["", "    def forward(self, x: Tensor) -> Tensor:"]
    return "\n".join(lines + _forward(block_class, drops=drops)) + "\n"


def _signature(block_class: BlockClass, arguments: list[str]) -> list[str]:
    names = {name for part in block_class.parts for name in (part.ins, part.outs)}
    keywords = [f"{width}: int" for width in ("expanded", "inner") if width in names]
    keywords += ["kernel_size: int", "stride: int = 1"]
    if block_class.has_gate:
        everywhere = all(block.squeezed for block in block_class.blocks)
        keywords.append("squeezed: int" if everywhere else "squeezed: int = 0")
    if block_class.skip == "given":
        keywords.append('skip: str = "none"')
    keywords += [
        f"{argument}: type[nn.Module]"
        for argument in arguments
        if argument not in ("se_activation", "se_gate")
    ]
    # Blocks without a squeeze-excite do not name its activations.
    keywords += [
        f"{argument}: type[nn.Module] = nn.Identity"
        for argument in arguments
        if argument in ("se_activation", "se_gate")
    ]
    return _init_lines("in_channels: int", "out_channels: int", "*", *keywords)


def _init_lines(*arguments: str) -> list[str]:
    one_line = f"    def __init__(self, {', '.join(arguments)}) -> None:"
    if len(one_line) <= LINE:
        return [one_line]
    return ["    def __init__(", *(f"        {name}," for name in ("self", *arguments)), "    ) -> None:"]


def _part_text(
    block_class: BlockClass, part: Part, arguments: list[str], default: str, shared: Mapping[str, str]
) -> str:
    if not part.layer:
        words = [part.ins, "squeezed"]
        words += [
            f"{field}={_activation(block_class, field, arguments)}"
            for field in ("se_activation", "se_gate")
            if field not in shared
        ]
        everywhere = all(block.squeezed for block in block_class.blocks)
        return f"SqueezeExcite({', '.join(words)})" + (
            "" if everywhere else " if squeezed else nn.Identity()"
        )
    words = [part.ins, part.outs]
    if part.has_kernel:
        words.append("kernel_size")
    if part.has_stride:
        words.append("stride")
    if part.is_depthwise:
        words.append(f"groups={part.ins}")
    activation = "nn.Identity"
    if part.layer not in ("restore", "conv2"):
        field = "projection_activation" if part.layer == "project" else "activation"
        activation = _activation(block_class, field, arguments)
    if activation != ACTIVATION_CLASSES[default]:
        words.append(f"activation={activation}")
    text = f"ConvNorm({', '.join(words)})"
    if part.layer == "expand" and not all("expand" in block.layers for block in block_class.blocks):
        text += " if expanded != in_channels else nn.Identity()"
    return text


def _activation(block_class: BlockClass, field: str, arguments: list[str]) -> str:
    if field in arguments:
        return field
    return ACTIVATION_CLASSES[next(iter(block_class.values(field)))]


def _forward(block_class: BlockClass, *, drops: bool) -> list[str]:
    text = "x"
    for part in block_class.parts:
        text = f"self.{part.layer or 'gate'}({text})"
    dropped = "drop_path(y, self.drop_rate, self.training)" if drops else "y"
    after = "self.activation({})" if block_class.is_residual else "{}"
    if block_class.skip == "none":
        return [f"        return {after.format(text)}"]
    lines = [f"        y = {text}"]
    if block_class.skip == "same":
        if not block_class.is_residual:
            return [*lines, f"        return x + {dropped} if self.has_skip else y"]
        return [*lines, f"        return self.activation(x + {dropped} if self.has_skip else y)"]
    lines += ["        if self.shortcut is not None:", f"            y = {dropped} + self.shortcut(x)"]
    return [*lines, f"        return {after.format('y')}"]


def _wrap(text: str) -> list[str]:
    line = f"        {text}"
    if len(line) <= LINE:
        return [line]
    name, _, value = text.partition(" = ")
    lines = value.replace(" if ", "\nif ").replace(" else ", "\nelse ").splitlines()
    return [f"        {name} = (", *(f"            {line}" for line in lines), "        )"]
