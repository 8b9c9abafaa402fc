"""How is a search space written down?

    schema_version: 1
    name: mine
    resolution: 224                      # optional: the size at which the budget is counted
    tied: {activation: [relu, swish]}    # one decision for every place that says $activation
    defaults: {kind: mbconv, se_ratio: [0, 0.25]}
    stem: {out_channels: 32, activation: $activation}
    stages:
      - {stride: 2, base: {channels: 24, repeats: 2}, channels: [x.75, x1, x1.25], repeats: [-1, 0, +1]}
      - {stride: 2, channels: 64, repeats: [1, 2], any_of: [{kernel_size: 3, expand_ratio: [3, 6]},
                                                            {kernel_size: 5, expand_ratio: 6}]}
      - {stride: 2, channels: 96, layers: [{any_of: [{kind: identity}, {kind: mbconv}]}, {kind: mbconv}]}
    head: {out_channels: 1280, activation: $activation}

Each field is a value or a list of choices. `any_of` ties choices that go together. `xN` multiplies the base's
channels (to multiples of eight), and repeats are offsets where the base has repeats.
"""

import dataclasses
import itertools
import math
from typing import Any

from effsearch.space.errors import SpecError
from effsearch.space.located_yaml import Document, Path, parse_yaml, show_value
from effsearch.space.rounding import round_channels
from effsearch.space.search_space import Dimension, Label, SearchSpace, Slot, StageTemplate, combine
from effsearch.space.spec import MAX_BLOCKS, MAX_CHANNELS, BlockSpec, HeadSpec, StageSpec, StemSpec
from effsearch.space.text import check_schema_version, construct

_TOP_KEYS = (
    "schema_version",
    "name",
    "resolution",
    "num_classes",
    "fixed_strides",
    "tied",
    "defaults",
    "stem",
    "stages",
    "head",
    "drop_path_rate",
    "norm_momentum",
    "norm_epsilon",
)
_BLOCK_KEYS = tuple(field.name for field in dataclasses.fields(BlockSpec))
_STAGE_KEYS = ("stride", "channels", "repeats", "base", "any_of", "layers")
_SHORT = {"kernel_size": "k", "expand_ratio": "e", "se_ratio": "se", "channels": "c", "repeats": "r"}

MAX_CHOICES = 1_000  # of one dimension
MAX_COMBINATIONS = 20_000  # of the choices in all blocks, each of which is built and checked
MAX_STAGES = MAX_BLOCKS
MAX_NAME = 100  # characters


def space_from_yaml(text: str, *, source: str = "space") -> SearchSpace:
    """Read a search space.

    Raises:
        SpecError: The text does not describe one; file, line and place are named.
    """
    return _SpaceReader(parse_yaml(text, source=source)).read()


class _SpaceReader:
    """Walks the document once and collects the dimensions in the order in which they appear."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.dimensions: list[Dimension] = []
        self.tied: dict[str, Slot] = {}
        self.num_combinations = 0

    def read(self) -> SearchSpace:
        document = self.document
        top = document.mapping((), document.value, _TOP_KEYS)
        check_schema_version(document, (), top.get("schema_version"))
        for name in ("name", "stages"):
            if name not in top:
                raise document.error((), f"{name} is missing")
        tied = top.get("tied", {})
        for name, choices in document.mapping(
            ("tied",), tied, tied if isinstance(tied, dict) else ()
        ).items():
            self.check_name(("tied", name), name)
            self.tied[name] = self.slot(("tied", name), choices, name)
        defaults = document.mapping(("defaults",), top.get("defaults", {}), _BLOCK_KEYS)
        stem = self.part(("stem",), top.get("stem", {}), StemSpec)
        if not isinstance(top["stages"], list) or not top["stages"]:
            raise document.error(("stages",), "must be a list of at least one stage")
        if len(top["stages"]) > MAX_STAGES:
            raise document.error(
                ("stages",), f"{len(top['stages']):,} stages are too many; at most {MAX_STAGES:,}"
            )
        stages = tuple(
            self.stage(("stages", index), stage, defaults) for index, stage in enumerate(top["stages"])
        )
        head = self.part(("head",), top.get("head", {}), HeadSpec)
        space = SearchSpace(
            name=self.name(),
            dimensions=tuple(self.dimensions),
            stem=stem,
            stages=stages,
            head=head,
            resolution=self.optional_int("resolution"),
            num_classes=self.optional_int("num_classes"),
            has_fixed_strides=self.flag("fixed_strides"),
            drop_path_rate=top.get("drop_path_rate", 0.0),
            norm_momentum=top.get("norm_momentum", 0.01),
            norm_epsilon=top.get("norm_epsilon", 1e-3),
        )
        self.check_ends(space)
        return space

    def check_ends(self, space: SearchSpace) -> None:
        """Build the first and last point, so that what fits no network is refused here and not in a search."""
        for point in ([0] * len(space.dimensions), [len(d.labels) - 1 for d in space.dimensions]):
            try:
                space.spec_at(
                    point, resolution=space.resolution or 224, num_classes=space.num_classes or 1000
                )
            except SpecError as error:
                name = str(error).partition(" ")[0]
                raise self.document.error((name,) if name in _TOP_KEYS else (), str(error)) from None

    def name(self) -> str:
        name = self.document.value["name"]
        self.check_name(("name",), name)
        return str(name)

    def check_name(self, path: Path, name: object) -> None:
        """Refuse what could not stand in a table, on a terminal or in a plot."""
        if not isinstance(name, str) or not name.isprintable() or not 1 <= len(name.strip()) <= MAX_NAME:
            raise self.document.error(
                path, f"must be a name of 1 to {MAX_NAME} printable characters, got {show_value(name)}"
            )

    def optional_int(self, name: str) -> int | None:
        value = self.document.value.get(name)
        if value is not None and (type(value) is not int or value < 1):
            raise self.document.error((name,), f"must be a whole number above zero, got {show_value(value)}")
        return value

    def flag(self, name: str) -> bool:
        value = self.document.value.get(name, False)
        if type(value) is not bool:
            raise self.document.error((name,), f"must be true or false, got {show_value(value)}")
        return value

    def part(self, path: Path, value: Any, spec_class: Any) -> Slot:
        """Read stem or head, whose fields are those of the spec."""
        document = self.document
        mapping = document.mapping(path, value, [field.name for field in dataclasses.fields(spec_class)])
        slots = {
            name: self.slot((*path, name), choices, f"{path[-1]}.{name}") for name, choices in mapping.items()
        }
        return self.combined(path, slots, spec_class)

    def stage(self, path: Path, value: Any, defaults: dict[str, Any]) -> StageTemplate:
        document = self.document
        prefix = f"stage{int(path[-1]) + 1}"
        mapping = document.mapping(path, value, (*_STAGE_KEYS, *_BLOCK_KEYS))
        base = document.mapping((*path, "base"), mapping.get("base", {}), ("channels", "repeats"))
        for name, count in base.items():
            if type(count) is not int or count < 1:
                raise document.error(
                    (*path, "base", name), f"must be a whole number above zero, got {show_value(count)}"
                )
        own = {"stride": mapping.get("stride", 1)}
        own |= {name: mapping.get(name, base.get(name)) for name in ("channels", "repeats")}
        if "layers" in mapping:
            if own["repeats"] is not None or "any_of" in mapping:
                raise document.error(
                    (*path, "layers"), "layers stand by themselves, without repeats or any_of"
                )
            own["repeats"] = 1
        tied = self.alternatives(path, {**defaults, **mapping}, prefix) if "any_of" in mapping else {}
        slots: dict[str, Slot] = {}
        for name in ("stride", "channels", "repeats"):
            if name in tied:
                slots[name] = self.resolved((*path, name), tied[name], name, base)
                continue
            if own[name] is None:
                raise document.error(path, f"{name} is missing")
            is_plain_base = name not in mapping and name in base
            slots[name] = self.slot(
                (*path, name), own[name], f"{prefix}.{name}", field=name, base={} if is_plain_base else base
            )
        own_block = {name: mapping[name] for name in _BLOCK_KEYS if name in mapping}
        if "layers" in mapping:
            blocks = self.layer_blocks(
                (*path, "layers"), mapping["layers"], prefix, {**defaults, **own_block}
            )
        else:
            blocks = (self.block(path, {**defaults, **own_block}, tied, prefix),)
        template = StageTemplate(
            out_channels=slots["channels"], stride=slots["stride"], num_blocks=slots["repeats"], blocks=blocks
        )
        self.check_stage(path, template)
        return template

    def check_stage(self, path: Path, template: StageTemplate) -> None:
        names = {"out_channels": "channels", "stride": "stride", "num_blocks": "repeats"}
        for field, key in names.items():
            for value in getattr(template, field).values:
                if field == "num_blocks":
                    if type(value) is not int or not 1 <= value <= MAX_BLOCKS:
                        raise self.document.error(
                            (*path, key), f"repeats must come to a whole number of at least 1, got {value!r}"
                        )
                    continue
                trial = {"out_channels": 8, "stride": 1, field: value}
                try:
                    StageSpec(blocks=(BlockSpec(),), **trial)
                except SpecError as error:
                    raise self.document.error((*path, key), str(error)) from None

    def layer_blocks(self, path: Path, value: Any, prefix: str, defaults: dict[str, Any]) -> tuple[Slot, ...]:
        if not isinstance(value, list) or not value:
            raise self.document.error(path, f"must be a list of layers, got {show_value(value)}")
        blocks = []
        for index, item in enumerate(value):
            item_path, name = (*path, index), f"{prefix}.layer{index + 1}"
            mapping = self.document.mapping(item_path, item, ("any_of", *_BLOCK_KEYS))
            tied = self.alternatives(item_path, {**defaults, **mapping}, name) if "any_of" in mapping else {}
            own = {key: mapping[key] for key in mapping if key != "any_of"}
            blocks.append(self.block(item_path, {**defaults, **own}, tied, name))
        return tuple(blocks)

    def block(self, path: Path, fields: dict[str, Any], tied: dict[str, Slot], prefix: str) -> Slot:
        slots = {name: slot for name, slot in tied.items() if name in _BLOCK_KEYS}
        for name, choices in fields.items():
            if name not in slots:
                slots[name] = self.slot((*path, name), choices, f"{prefix}.{name}")
        return self.combined(path, slots, BlockSpec)

    def combined(self, path: Path, slots: dict[str, Slot], spec_class: Any) -> Slot:
        """Make a spec value for each combination of the choices that its fields hang on."""
        document = self.document
        radix_of: dict[int, int] = {}
        for slot in slots.values():
            radix_of |= zip(slot.dimensions, slot.radices, strict=True)
        self.num_combinations += math.prod(radix_of.values())
        if self.num_combinations > MAX_COMBINATIONS:
            raise document.error(
                path, f"over {MAX_COMBINATIONS:,} combinations of choices in its blocks are too many"
            )
        return combine(slots, lambda **values: construct(document, path, spec_class, values))

    def alternatives(self, path: Path, mapping: dict[str, Any], prefix: str) -> dict[str, Slot]:
        """Unfold `any_of` to concrete alternatives, one dimension for all the fields that it names."""
        document = self.document
        path = (*path, "any_of")
        if not isinstance(mapping["any_of"], list) or not mapping["any_of"]:
            raise document.error(path, f"must be a list of mappings, got {show_value(mapping['any_of'])}")
        rows: list[dict[str, Any]] = []
        labels: list[Label] = []
        for index, item in enumerate(mapping["any_of"]):
            known = ("label", "channels", "repeats", "stride", *_BLOCK_KEYS)
            values = dict(document.mapping((*path, index), item, known))
            label = values.pop("label", None)
            if label is not None:
                self.check_name((*path, index, "label"), str(label))
            choices = [value if isinstance(value, list) else [value] for value in values.values()]
            if not all(choices):
                raise document.error((*path, index), "the list of choices is empty")
            self.check_num_choices((*path, index), len(rows) + math.prod(map(len, choices)))
            for combination in itertools.product(*choices):
                row = dict(zip(values, combination, strict=True))
                rows.append(row)
                single = label is not None and all(len(choice) == 1 for choice in choices)
                labels.append(str(label) if single else self.label_of(row, label))
        if len(set(labels)) < len(labels):
            raise document.error(path, "two alternatives are the same")
        names = list(dict.fromkeys(name for row in rows for name in row))
        for index, row in enumerate(rows):
            for name in names:
                row.setdefault(name, mapping.get(name, _block_default(name)))
                if isinstance(row[name], (list, dict)) or row[name] is None:
                    raise document.error(
                        path, f"alternative {index + 1} needs its own {name}, which others here choose"
                    )
        dimension = self.add_dimension(path, f"{prefix}.any_of", labels)
        slots = {}
        for name in names:
            values_of = [row[name] for row in rows]
            if any(isinstance(value, str) and value.startswith("$") for value in values_of):
                raise document.error(path, f"{name}: a tied choice cannot stand inside any_of")
            slots[name] = Slot(values=tuple(values_of), dimensions=(dimension,), radices=(len(rows),))
        return slots

    @staticmethod
    def label_of(row: dict[str, Any], label: object) -> str:
        words = [] if label is None else [str(label)]
        for name, value in row.items():
            shown = f"{value:g}" if isinstance(value, (int, float)) else str(value)
            words.append(
                f"{_SHORT.get(name, '')}{shown}" if name in _SHORT or name == "kind" else f"{name}={shown}"
            )
        return " ".join(words)

    def slot(
        self, path: Path, choices: Any, name: str, *, field: str = "", base: dict[str, Any] | None = None
    ) -> Slot:
        """Read a value, a list of choices or the name of a tied choice."""
        document = self.document
        if isinstance(choices, str) and choices.startswith("$"):
            if choices[1:] not in self.tied:
                known = ", ".join(self.tied) or "none"
                raise document.error(path, f"{choices} is not among the tied choices: {known}")
            return self.resolved(path, self.tied[choices[1:]], field, base or {})
        if isinstance(choices, dict):
            raise document.error(path, "must be a value or a list of choices, got a mapping")
        if not isinstance(choices, list):
            return self.resolved(path, Slot(values=(choices,)), field, base or {})
        if not choices:
            raise document.error(path, "the list of choices is empty")
        for index, choice in enumerate(choices):
            if isinstance(choice, (list, dict)) or choice is None:
                raise document.error((*path, index), f"must be a single value, got {show_value(choice)}")
        values = self.resolved(path, Slot(values=tuple(choices)), field, base or {}).values
        distinct = list(dict.fromkeys(values))  # x.75 and x1 of 16 channels are one choice
        if field == "" and len(distinct) < len(values):
            raise document.error(path, "a choice stands twice")
        if len(distinct) == 1:
            return Slot(values=tuple(distinct))
        dimension = self.add_dimension(path, name, distinct)
        return Slot(values=tuple(distinct), dimensions=(dimension,), radices=(len(distinct),))

    def add_dimension(self, path: Path, name: str, labels: list[Label]) -> int:
        self.check_num_choices(path, len(labels))
        self.dimensions.append(Dimension(name=name, labels=tuple(labels)))
        return len(self.dimensions) - 1

    def check_num_choices(self, path: Path, num_choices: int) -> None:
        if num_choices > MAX_CHOICES:
            raise self.document.error(path, f"{num_choices:,} choices are too many; at most {MAX_CHOICES:,}")

    def resolved(self, path: Path, slot: Slot, field: str, base: dict[str, Any]) -> Slot:
        """Replace values that are relative to the stage's base by what they come to."""
        values = []
        for value in slot.values:
            if field == "channels" and isinstance(value, str):
                if not value.startswith("x"):
                    raise self.document.error(path, f"channels must be a number or xN, got {value!r}")
                if "channels" not in base:
                    raise self.document.error(
                        path, f"{value} needs base: {{channels: ...}} in the same stage"
                    )
                try:
                    multiplier = float(value[1:])
                except ValueError:
                    multiplier = math.nan
                if not 0 < multiplier < MAX_CHANNELS:
                    raise self.document.error(path, f"cannot read {value!r}: write it like x0.75")
                value = round_channels(base["channels"] * multiplier)
            elif field == "repeats" and "repeats" in base:
                if type(value) is not int:
                    raise self.document.error(path, f"an offset must be a whole number, got {value!r}")
                value = base["repeats"] + value
            values.append(value)
        return dataclasses.replace(slot, values=tuple(values))


def _block_default(name: str) -> Any:
    for field in dataclasses.fields(BlockSpec):
        if field.name == name:
            return field.default
    return None
