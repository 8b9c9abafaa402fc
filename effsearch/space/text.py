"""How is a network written down?

JSON and YAML hold the same mapping: every field by its name, equal neighbouring blocks once with `repeats`, and
a schema version. Both round-trip exactly.
"""

import dataclasses
import itertools
import json
from typing import Any

import yaml

from effsearch.space.errors import SpecError
from effsearch.space.located_yaml import Document, Path, parse_yaml, show_value
from effsearch.space.spec import MAX_BLOCKS, BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec
from effsearch.space.strict_json import parse_json

SCHEMA_VERSION = 1


def to_dict(spec: ModelSpec) -> dict[str, Any]:
    """Give the text form of a spec as nested plain values."""
    stages = []
    for stage in spec.stages:
        blocks = [
            {"repeats": len(list(run)), **dataclasses.asdict(block)}
            for block, run in itertools.groupby(stage.blocks)
        ]
        stages.append({"out_channels": stage.out_channels, "stride": stage.stride, "blocks": blocks})
    return {
        "schema_version": SCHEMA_VERSION,
        "resolution": spec.resolution,
        "num_classes": spec.num_classes,
        "stem": dataclasses.asdict(spec.stem),
        "stages": stages,
        "head": dataclasses.asdict(spec.head),
        "drop_path_rate": spec.drop_path_rate,
        "norm_momentum": spec.norm_momentum,
        "norm_epsilon": spec.norm_epsilon,
    }


def to_json(spec: ModelSpec) -> str:
    """Give a spec as indented JSON, ending in a newline."""
    return json.dumps(to_dict(spec), indent=2) + "\n"


def to_yaml(spec: ModelSpec) -> str:
    """Give a spec as YAML."""
    return yaml.safe_dump(to_dict(spec), sort_keys=False)


def from_json(text: str, *, source: str = "spec") -> ModelSpec:
    """Read a spec from JSON.

    Raises:
        SpecError: The text does not describe a network; file, line and place are named.
    """
    try:
        parse_json(text)
    except json.JSONDecodeError as error:
        raise SpecError(f"{source}, line {error.lineno}: not JSON: {error.msg}") from None
    except ValueError:  # a number or a key that is none: the other reader refuses it too, and says where
        pass
    return from_yaml(text.replace("\t", " "), source=source)  # YAML has no tabs, and JSON has none in strings


def from_yaml(text: str, *, source: str = "spec") -> ModelSpec:
    """Read a spec from YAML.

    Raises:
        SpecError: The text does not describe a network; file, line and place are named.
    """
    return from_document(parse_yaml(text, source=source))


def from_document(document: Document, path: Path = ()) -> ModelSpec:
    """Read the spec at `path` of a parsed text."""
    value = document.value
    for step in path:
        value = value[step]
    names = [field.name for field in dataclasses.fields(ModelSpec)]
    mapping = dict(document.mapping(path, value, ["schema_version", *names]))
    check_schema_version(document, path, mapping.pop("schema_version", None))
    for name in ("resolution", "num_classes", "stages"):
        if name not in mapping:
            raise document.error(path, f"{name} is missing")
    if not isinstance(mapping["stages"], list):
        raise document.error((*path, "stages"), f"must be a list, got {show_value(mapping['stages'])}")
    mapping["stages"] = _read_stages(document, (*path, "stages"), mapping["stages"])
    parts: tuple[tuple[str, type[StemSpec | HeadSpec]], ...] = (("stem", StemSpec), ("head", HeadSpec))
    for part_name, part in parts:
        if part_name in mapping:
            fields = [field.name for field in dataclasses.fields(part)]
            values = document.mapping((*path, part_name), mapping[part_name], fields)
            mapping[part_name] = construct(document, (*path, part_name), part, values)
    spec: ModelSpec = construct(document, path, ModelSpec, mapping)
    return spec


def check_schema_version(document: Document, path: Path, version: object) -> None:
    """Refuse a text of another schema than this one."""
    if version != SCHEMA_VERSION:
        came = "none" if version is None else show_value(version)
        raise document.error(
            (*path, "schema_version"), f"schema_version must be {SCHEMA_VERSION}, got {came}"
        )


def construct(document: Document, path: Path, part: Any, values: dict[str, Any]) -> Any:
    """Make a spec value, and give what it refuses the line it stands on.

    `Any`: the parts share no base; each caller knows which one it asked for.
    """
    try:
        return part(**values)
    except SpecError as error:
        message = str(error)
        name = message.partition(" ")[0]
        raise document.error((*path, name) if name in values else path, message) from None


def _read_stages(document: Document, path: Path, values: list[object]) -> tuple[StageSpec, ...]:
    """Read stages one by one, as long as they come to no more blocks than a network may have."""
    stages: list[StageSpec] = []
    num_blocks = 0
    for index, value in enumerate(values):
        stages.append(_read_stage(document, (*path, index), value))
        num_blocks += stages[-1].num_blocks
        if num_blocks > MAX_BLOCKS:
            raise document.error((*path, index), f"a network has at most {MAX_BLOCKS} blocks")
    return tuple(stages)


def _read_stage(document: Document, path: Path, value: object) -> StageSpec:
    mapping = dict(document.mapping(path, value, ["out_channels", "stride", "blocks"]))
    for name in ("out_channels", "stride", "blocks"):
        if name not in mapping:
            raise document.error(path, f"{name} is missing")
    if not isinstance(mapping["blocks"], list):
        raise document.error((*path, "blocks"), f"must be a list, got {show_value(mapping['blocks'])}")
    blocks: list[BlockSpec] = []
    block_fields = [field.name for field in dataclasses.fields(BlockSpec)]
    for index, item in enumerate(mapping["blocks"]):
        block_path = (*path, "blocks", index)
        values = dict(document.mapping(block_path, item, ["repeats", *block_fields]))
        repeats = values.pop("repeats", 1)
        if type(repeats) is not int or not 1 <= repeats <= MAX_BLOCKS:
            raise document.error((*block_path, "repeats"), f"repeats must be from 1 to {MAX_BLOCKS}")
        if len(blocks) + repeats > MAX_BLOCKS:
            raise document.error((*path, "blocks"), f"a stage has at most {MAX_BLOCKS} blocks")
        blocks += [construct(document, block_path, BlockSpec, values)] * repeats
    mapping["blocks"] = tuple(blocks)
    stage: StageSpec = construct(document, path, StageSpec, mapping)
    return stage
