"""Which space does a program mean: a name, a file, a text, a mapping, or a space?"""

from collections.abc import Mapping
from typing import Any  # whatever a mapping holds

from effsearch.space.errors import SpecError
from effsearch.space.search_space import SearchSpace


def take_space(space: object) -> tuple[SearchSpace, str]:
    """Give a search space with its text in YAML, "" where it has none."""
    import yaml

    from effsearch.commands.inputs import read_space
    from effsearch.space.space_text import space_from_yaml

    if isinstance(space, SearchSpace):
        return space, ""
    if isinstance(space, Mapping):
        try:
            text = yaml.safe_dump(_plain(space), sort_keys=False)
        except yaml.YAMLError as error:
            raise SpecError(f"space: cannot be written as YAML: {error}") from None
    elif isinstance(space, str) and "\n" in space:
        text = space
    else:
        return read_space(str(space)), ""
    return space_from_yaml(text, source="space"), text


def _plain(value: Any) -> Any:
    """Tuples as lists, and mappings as dictionaries: what YAML has."""
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value
