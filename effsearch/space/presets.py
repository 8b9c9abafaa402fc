"""Which known networks come with effsearch?"""

import dataclasses
import difflib
from functools import cache
from importlib import resources

from effsearch.space.errors import SpecError
from effsearch.space.located_yaml import Document, parse_yaml
from effsearch.space.scaling import Multipliers, scale_depth, scale_width
from effsearch.space.spec import ModelSpec
from effsearch.space.text import check_schema_version, from_document

_MEMBER_KEYS = ("width", "depth", "resolution", "dropout_rate")


def preset_names() -> list[str]:
    """Give the names of all presets, family by family."""
    return [name for document in _families() for name in document.value["members"]]


def load_preset(name: str) -> ModelSpec:
    """Give a known network at its published resolution with 1000 classes.

    Raises:
        SpecError: There is no such preset; the nearest name is given.
    """
    for document in _families():
        if name in document.value["members"]:
            return _load_member(document, name)
    near = difflib.get_close_matches(name, preset_names(), n=1)
    hint = f"did you mean {near[0]}?" if near else "see effsearch presets"
    raise SpecError(f"no preset named {name!r}: {hint}")


@cache
def _families() -> tuple[Document, ...]:
    folder = resources.files("effsearch.space") / "presets"
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".yaml")), key=lambda f: f.name)
    documents = tuple(parse_yaml(file.read_text("utf-8"), source=file.name) for file in files)
    for document in documents:
        mapping = document.mapping((), document.value, ("schema_version", "base", "members"))
        check_schema_version(document, (), mapping["schema_version"])
        for name, member in mapping["members"].items():
            document.mapping(("members", name), member, _MEMBER_KEYS)
    return documents


def _load_member(document: Document, name: str) -> ModelSpec:
    member = document.value["members"][name]
    multipliers = Multipliers(depth=float(member["depth"]), width=float(member["width"]))
    spec = from_document(document, ("base",))
    spec = scale_width(scale_depth(spec, multipliers.depth), multipliers.width)
    head = dataclasses.replace(spec.head, dropout_rate=member["dropout_rate"])
    return dataclasses.replace(spec, resolution=member["resolution"], head=head)
