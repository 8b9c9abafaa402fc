"""What does a network look like as one file of plain PyTorch?

The file needs torch and nothing else. It holds a class for each block kind that the network has, the network as one
row of calls, and the initialisers of `proxy_train.build`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from textwrap import wrap

from effsearch import __version__
from effsearch.results.export.features import Feature
from effsearch.results.export.names import Names
from effsearch.results.export.placed import PlacedBlock, placed_stages
from effsearch.results.export.preprocessing_text import constants_text, torch_text
from effsearch.results.export.torch_blocks import (
    ACTIVATION_CLASSES,
    LINE,
    BlockClass,
    block_classes,
    block_names,
    class_of,
    shared_gate,
)
from effsearch.results.export.torch_classes import (
    DROP_PATH,
    POOL_AND_PAD,
    class_text,
    conv_norm_text,
    gate_text,
    shortcut_text,
)
from effsearch.results.export.torch_network import build_text, network_text
from effsearch.results.export.words import backbone_words, cost_words
from effsearch.space.preprocessing import Preprocessing
from effsearch.space.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class _Parts:
    """The blocks that a file has, and the classes that stand for them."""

    stages: list[list[PlacedBlock]]
    classes: list[BlockClass]
    has_expansions: bool
    shared: dict[str, str]

    def class_of(self, block: PlacedBlock) -> str:
        return class_of(block, has_expansions=self.has_expansions)


def torch_source(
    spec: ModelSpec,
    *,
    name: str,
    module: str,
    features: Sequence[Feature] = (),
    preprocessing: Preprocessing | None = None,
) -> str:
    """Give the file's text.

    Args:
        spec: Network to write down.
        name: What people call it.
        module: Name of the file, without `.py`.
        features: Maps to give in place of class scores; then there is no head.
        preprocessing: What becomes of an image before, where that is known.
    """
    parts = _parts(spec, features)
    blocks = [block for stage in parts.stages for block in stage]
    shortcuts = {block.shortcut for one in parts.classes if one.skip == "given" for block in one.blocks}
    has_drop_path = spec.drop_path_rate > 0 and any(one.skip != "none" for one in parts.classes)
    default = spec.stem.activation
    sections = [
        _imports(
            spec,
            shortcuts,
            has_features=bool(features),
            has_drop_path=has_drop_path,
            resizes=preprocessing is not None,
        )
    ]
    if preprocessing is not None:
        sections[0] += "\n\n" + constants_text(preprocessing, has_classes=not features)
        sections.append(torch_text(preprocessing))
    sections.append(conv_norm_text(default=default, momentum=spec.norm_momentum, epsilon=spec.norm_epsilon))
    if any(block.squeezed for block in blocks):
        sections.append(gate_text(parts.shared))
    if "pool" in shortcuts:
        sections.append(POOL_AND_PAD)
    if shortcuts:
        sections.append(shortcut_text(shortcuts))
    if has_drop_path:
        sections.append(DROP_PATH)
    sections += [
        class_text(one, default=default, shared_gate=parts.shared, has_drop_path=has_drop_path)
        for one in parts.classes
    ]
    sections.append(
        network_text(
            spec,
            rows=[_calls(stage, parts, default=default) for stage in parts.stages],
            strides=[stage[0].stride for stage in parts.stages],
            features=features,
            num_blocks=sum(map(len, placed_stages(spec))) if has_drop_path else 0,
        )
    )
    sections.append(
        build_text(spec, has_linear=not features, has_bias=any(block.squeezed for block in blocks))
    )
    docs = _docs(spec, parts, name=name, module=module, features=features, preprocessing=preprocessing)
    return docs + "\n" + "\n\n".join(section.rstrip("\n") + "\n" for section in sections)


def torch_names(spec: ModelSpec, *, features: Sequence[Feature] = ()) -> Names:
    """Give what the file's state dict calls each module."""
    parts = _parts(spec, features)
    names = {"stem.conv": "stem.conv", "stem.conv_norm": "stem.norm"}
    for stage_index, stage in enumerate(parts.stages):
        for block_index, block in enumerate(stage):
            names |= block_names(block, parts.class_of(block), f"stages.{stage_index}.{block_index}")
    if features:
        return names
    if spec.head.out_channels:
        names |= {"head.conv": "head.conv", "head.conv_norm": "head.norm"}
    if spec.head.hidden_features:
        names["head.hidden"] = "hidden"
    return names | {"head.classifier": "classifier"}


def _parts(spec: ModelSpec, features: Sequence[Feature]) -> _Parts:
    stages = placed_stages(spec)
    if features:
        stages = stages[: max(feature.stage for feature in features) + 1]
    blocks = [block for stage in stages for block in stage]
    return _Parts(
        stages, block_classes(stages), any("expand" in block.layers for block in blocks), shared_gate(blocks)
    )


def _calls(stage: Sequence[PlacedBlock], parts: _Parts, *, default: str) -> list[str]:
    """Give the calls that make a stage's blocks, equal neighbours in one."""
    by_name = {one.name: one for one in parts.classes}
    calls = []
    for call, run in groupby(
        _call(block, by_name.get(parts.class_of(block)), parts, default=default) for block in stage
    ):
        repeats = len(list(run))
        calls.append(call if repeats == 1 else f"*({call} for _ in range({repeats}))")
    return calls


def _call(block: PlacedBlock, block_class: BlockClass | None, parts: _Parts, *, default: str) -> str:
    words = [str(block.in_channels), str(block.out_channels)]
    if block_class is None:  # an identity that projects
        words += [f"stride={block.stride}"] if block.stride > 1 else []
        words += ["activation=nn.Identity"] if default != "none" else []
        return f"ConvNorm({', '.join(words)})"
    if block_class.name in ("MBConv", "FusedMBConv"):
        words.append(f"expanded={block.expanded}")
    if block_class.name == "Bottleneck":
        words.append(f"inner={block.layers['reduce'].out_channels}")
    words.append(f"kernel_size={block.block.kernel_size}")
    if block.stride > 1:
        words.append(f"stride={block.stride}")
    if block.squeezed:
        words.append(f"squeezed={block.squeezed}")
    if block_class.skip == "given" and block.shortcut != "none":
        words.append(f'skip="{block.shortcut}"')
    words += [
        f"{field}={ACTIVATION_CLASSES[getattr(block.block, field)]}"
        for field in block_class.arguments(parts.shared)
        if block.squeezed or not field.startswith("se_")
    ]
    return f"{block_class.name}({', '.join(words)})"


def _imports(
    spec: ModelSpec, shortcuts: Iterable[str], *, has_features: bool, has_drop_path: bool, resizes: bool
) -> str:
    lines = [
        "from math import sqrt",
        "",
        *(["import torch"] if has_drop_path else []),
        "from torch import Tensor, nn",
    ]
    has_dropout = spec.head.dropout_rate > 0 and not has_features
    if "pool" in shortcuts or spec.stem.has_max_pool or has_dropout or resizes:
        lines.append("from torch.nn import functional")
    return "\n".join(lines)


def _docs(
    spec: ModelSpec,
    parts: _Parts,
    *,
    name: str,
    module: str,
    features: Sequence[Feature],
    preprocessing: Preprocessing | None,
) -> str:
    what = backbone_words(features) if features else cost_words(spec)
    lines = [
        *wrap(f"{name}: {what}.", LINE - 3),
        "",
        f"Written by effsearch {__version__}; needs torch and nothing else.",
        "",
        f"    from {module} import {'build' if preprocessing is None else 'build, preprocess'}",
        "",
        "    model = build()  # fresh weights",
        f'    model.load_state_dict(safetensors.torch.load_file("{module}.safetensors"))  # or these, where exported',
        *_use_lines(preprocessing, has_classes=not features),
        "",
        "Modules with weights, for block B of stage S, both counted from 0:",
        "",
        *(f"    {line}" for line in _module_names(spec, parts, has_head=not features)),
    ]
    return '"""' + "\n".join(lines) + '\n"""\n'


def _use_lines(preprocessing: Preprocessing | None, *, has_classes: bool) -> list[str]:
    if preprocessing is None:
        return []
    lines = [
        "    model.eval()",
        "    given = model(preprocess(images))  # of bytes, (batch, 3, height, width)",
    ]
    return [*lines, "    names = [CLASSES[place] for place in given.argmax(1)]"] if has_classes else lines


def _module_names(spec: ModelSpec, parts: _Parts, *, has_head: bool) -> list[str]:
    """Give the names in the state dict, as patterns."""
    blocks = [block for stage in parts.stages for block in stage]
    convs = list(dict.fromkeys(part.layer for one in parts.classes for part in one.parts if part.layer))
    if any(block.shortcut == "project" for block in blocks):
        convs.append("shortcut")
    names = ["stem.conv, stem.norm"]
    names += [f"stages.S.B.{conv}.conv, stages.S.B.{conv}.norm" for conv in convs]
    if any(block.squeezed for block in blocks):
        names.append("stages.S.B.gate.squeeze, stages.S.B.gate.excite")
    if any(parts.class_of(block) == "ConvNorm" for block in blocks):
        names.append("stages.S.B.conv, stages.S.B.norm")
    if has_head:
        names += ["head.conv, head.norm"] if spec.head.out_channels else []
        names += ["hidden"] if spec.head.hidden_features else []
        names.append("classifier")
    return names
