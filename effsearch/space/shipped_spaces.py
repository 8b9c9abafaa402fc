"""Which search spaces come with effsearch?"""

import difflib
from importlib import resources

from effsearch.space.errors import SpecError
from effsearch.space.search_space import SearchSpace
from effsearch.space.space_text import space_from_yaml


def shipped_space_names() -> list[str]:
    """Give the names of the shipped spaces."""
    folder = resources.files("effsearch.space") / "spaces"
    return sorted(file.name.removesuffix(".yaml") for file in folder.iterdir() if file.name.endswith(".yaml"))


def load_shipped_space(name: str) -> SearchSpace:
    """Read a shipped space.

    Raises:
        SpecError: There is no shipped space of that name.
    """
    if name not in shipped_space_names():
        near = difflib.get_close_matches(name, shipped_space_names(), n=1)
        hint = f"did you mean {near[0]}? Or " if near else ""
        raise SpecError(
            f"no search space {name!r}: {hint}give a file or one of {', '.join(shipped_space_names())}"
        )
    file = resources.files("effsearch.space") / "spaces" / f"{name}.yaml"
    return space_from_yaml(file.read_text("utf-8"), source=file.name)
