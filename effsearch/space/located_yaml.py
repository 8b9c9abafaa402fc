"""What does a YAML text say, and on which line does it say it?

Only plain mappings, lists and scalars are read: tags construct nothing, and size and depth are bounded.
"""

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from effsearch.space.errors import SpecError

Path = tuple[str | int, ...]

MAX_TEXT = 1_000_000  # characters
MAX_NODES = 100_000  # after aliases are followed
MAX_DEPTH = 32

_TAG_PREFIX = "tag:yaml.org,2002:"
# libyaml's reader where PyYAML has it: ten times as fast, and both make the same nodes.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_MOST_SHOWN = 60  # characters of a value in a message


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed text that remembers the line of each value."""

    value: Any  # nested dict, list and scalars, as the text has them
    lines: Mapping[Path, int]  # line of each value, counted from one
    source: str  # name of the file or preset, for messages

    def error(self, path: Path, message: str) -> SpecError:
        """Give the error that names file, line and place."""
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        place = f"{show_path(path)}: " if path else ""
        return SpecError(f"{self.source}, line {self.lines.get(known, 1)}: {place}{message}")

    def mapping(self, path: Path, value: Any, known_keys: Iterable[str]) -> dict[str, Any]:
        """Give `value` as a mapping with no key but the known ones.

        Raises:
            SpecError: It is no mapping, or it has an unknown key; the nearest known one is named.
        """
        if not isinstance(value, dict):
            raise self.error(path, f"must be a mapping, got {show_value(value)}")
        keys = list(known_keys)
        for key in value:
            if key not in keys:
                near = difflib.get_close_matches(str(key), keys, n=1)
                hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(keys)}"
                raise self.error((*path, key), f"unknown key {show_value(key)}; {hint}")
        return value


def show_path(path: Path) -> str:
    """Write a path as a reader counts: stages[3] is the third stage."""
    text = ""
    for part in path:
        name = part if isinstance(part, int) or len(part) <= _MOST_SHOWN else f"{part[:_MOST_SHOWN]}..."
        text += f"[{name + 1}]" if isinstance(name, int) else f".{name}" if text else name
    return text


def show_value(value: Any) -> str:
    """Name a value that came where another kind was expected."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = repr(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


def parse_yaml(text: str, *, source: str) -> Document:
    """Parse YAML (or JSON, which is part of it) and keep the line of each value.

    Raises:
        SpecError: The text is no YAML, uses a tag, repeats a key, is too large or too deep; the line is named.
    """
    if len(text) > MAX_TEXT:
        raise SpecError(f"{source}: {len(text):,} characters are too many; at most {MAX_TEXT:,}")
    try:
        _check_bounds(text, source)  # before anything is built from it
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise SpecError(f"{source}, line {line}: {error.problem or 'not YAML'}") from None
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        raise SpecError(f"{source}: not YAML: {' '.join(str(error).split())}") from None
    if root is None:
        raise SpecError(f"{source}: the file is empty")
    lines: dict[Path, int] = {}
    value = _construct(root, (), lines, source)
    return Document(value, lines, source)


def _check_bounds(text: str, source: str) -> None:
    """Refuse what is too deep or too much while it is read, event by event, so that nothing nested is built of it."""
    depth = 0
    for number, event in enumerate(yaml.parse(text, Loader=_LOADER)):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH + 1 or number > 2 * MAX_NODES:
            raise _too_much(event.start_mark.line + 1 if event.start_mark else 1, source)


def _too_much(line: int, source: str) -> SpecError:
    return SpecError(
        f"{source}, line {line}: too many or too deeply nested values: at most {MAX_NODES:,} values, {MAX_DEPTH} deep"
    )


def _construct(node: yaml.Node, path: Path, lines: dict[Path, int], source: str) -> Any:
    line = node.start_mark.line + 1
    lines[path] = line
    if len(lines) > MAX_NODES or len(path) > MAX_DEPTH:
        raise _too_much(line, source)
    if isinstance(node, yaml.CollectionNode) and node.tag not in (_TAG_PREFIX + "map", _TAG_PREFIX + "seq"):
        raise _tag_error(node, line, source)
    if isinstance(node, yaml.MappingNode):
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
            if not isinstance(key, str):
                raise SpecError(f"{source}, line {key_node.start_mark.line + 1}: a key must be a word")
            if key in mapping:
                raise SpecError(
                    f"{source}, line {key_node.start_mark.line + 1}: key {show_value(key)} stands twice"
                )
            mapping[key] = _construct(value_node, (*path, key), lines, source)
        return mapping
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*path, index), lines, source) for index, item in enumerate(node.value)]
    assert isinstance(node, yaml.ScalarNode)
    return _scalar(node, line, source)


def _scalar(node: yaml.ScalarNode, line: int, source: str) -> Any:
    kind = node.tag.removeprefix(_TAG_PREFIX)
    text: str = node.value
    try:
        if kind == "int":
            return int(text.replace("_", ""))
        if kind == "float":
            return float(text.replace("_", ""))
        if kind == "str" and not node.style and text[:1].isdigit():  # libyaml gives "" for a plain word
            return float(text)  # 1e-3, which YAML 1.1 takes for a word
    except ValueError:
        if kind != "str":
            raise SpecError(
                f"{source}, line {line}: {show_value(text)} is not a plain decimal number"
            ) from None
    if kind == "bool":
        return text.lower() in ("true", "yes", "on")
    if kind == "null":
        return None
    if kind == "str":
        return text
    raise _tag_error(node, line, source)


def _tag_error(node: yaml.Node, line: int, source: str) -> SpecError:
    return SpecError(f"{source}, line {line}: tags such as {show_value(node.tag)} are not read")
