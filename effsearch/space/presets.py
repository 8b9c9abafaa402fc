"""Which known networks come with effsearch?

A family file holds a base and its members, each made from the base by width and depth multipliers under the family's
own `rules`, at a resolution and dropout of its own. What a member does not name stays as the base has it, and a
member that is no scaled one brings its own `base`.
"""

import dataclasses
import difflib
from functools import cache
from importlib import resources
from typing import Any

from effsearch.space.errors import SpecError
from effsearch.space.located_yaml import Document, Path, parse_yaml, show_value
from effsearch.space.scaling import BuildRules, Multipliers, scale_depth, scale_width
from effsearch.space.spec import ModelSpec
from effsearch.space.text import check_schema_version, construct, from_document

_FAMILY_KEYS = ("schema_version", "rules", "base", "members")
_MEMBER_KEYS = ("base", "width", "depth", "resolution", "dropout_rate")
_RULE_KEYS = tuple(field.name for field in dataclasses.fields(BuildRules))


def preset_names() -> list[str]:
    """Give the names of all presets, family by family."""
    return [name for document in _families() for name in document.value["members"]]


def load_preset(name: str) -> ModelSpec:
    """Give a known network at its published resolution with 1000 classes.

    Raises:
        SpecError: There is no such preset; the nearest name is given.
    """
    return load_member(_family_of(name), name)


def preset_multipliers(name: str) -> Multipliers:
    """Give what a preset multiplies its family's base by; 1 throughout where it is the base.

    Raises:
        SpecError: There is no such preset.
    """
    document = _family_of(name)
    base = from_document(document, _base_path(document, name))
    scaled = _member_multipliers(document, name)
    return dataclasses.replace(scaled, resolution=load_member(document, name).resolution / base.resolution)


def parse_family(text: str, *, source: str) -> Document:
    """Read a family file; its members are built by `load_member`.

    Raises:
        SpecError: The text is no family; file, line and place are named.
    """
    document = parse_yaml(text, source=source)
    family = document.mapping((), document.value, _FAMILY_KEYS)
    check_schema_version(document, (), family.get("schema_version"))
    members = family.get("members")
    if not isinstance(members, dict) or not members:
        raise document.error(("members",), f"must be a mapping of networks, got {show_value(members)}")
    for name, member in members.items():
        document.mapping(("members", name), member, _MEMBER_KEYS)
        if "base" not in member and "base" not in family:
            raise document.error(("members", name), "base is missing, here and in the family")
    _family_rules(document)
    return document


def load_member(document: Document, name: str) -> ModelSpec:
    """Build one network of a family.

    Raises:
        SpecError: Its base, or what it is multiplied by, does not hold; file, line and place are named.
    """
    path: Path = ("members", name)
    member = document.value["members"][name]
    base = from_document(document, _base_path(document, name))
    rules, multipliers = _family_rules(document), _member_multipliers(document, name)
    scaled = scale_width(scale_depth(base, multipliers.depth, rules), multipliers.width, rules)
    head: dict[str, Any] = {key: member[key] for key in ("dropout_rate",) if key in member}
    whole: dict[str, Any] = {key: member[key] for key in ("resolution",) if key in member}
    try:
        return dataclasses.replace(scaled, head=dataclasses.replace(scaled.head, **head), **whole)
    except SpecError as error:
        raise document.error((*path, str(error).partition(" ")[0]), str(error)) from None


def _family_of(name: str) -> Document:
    for document in _families():
        if name in document.value["members"]:
            return document
    near = difflib.get_close_matches(name, preset_names(), n=1)
    hint = f"did you mean {near[0]}?" if near else "see effsearch presets"
    raise SpecError(f"no preset named {name!r}: {hint}")


@cache
def _families() -> tuple[Document, ...]:
    folder = resources.files("effsearch.space") / "presets"
    names = sorted(
        file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml")
    )
    return tuple(
        parse_family((folder / f"{name}.yaml").read_text("utf-8"), source=f"{name}.yaml") for name in names
    )


def _family_rules(document: Document) -> BuildRules:
    rules = document.mapping(("rules",), document.value.get("rules", {}), _RULE_KEYS)
    for key in ("has_floor", "has_fixed_ends"):
        if type(rules.get(key, True)) is not bool:
            raise document.error(("rules", key), f"must be true or false, got {show_value(rules[key])}")
    built: BuildRules = construct(document, ("rules",), BuildRules, rules)
    return built


def _base_path(document: Document, name: str) -> Path:
    has_own = "base" in document.value["members"][name]
    return ("members", name, "base") if has_own else ("base",)


def _member_multipliers(document: Document, name: str) -> Multipliers:
    member, factors = document.value["members"][name], {}
    for key in ("depth", "width"):
        factor = member.get(key, 1.0)
        if type(factor) not in (int, float):
            raise document.error(("members", name, key), f"must be a number, got {show_value(factor)}")
        factors[key] = float(factor)
    multipliers: Multipliers = construct(document, ("members", name), Multipliers, factors)
    return multipliers
