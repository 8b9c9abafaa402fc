"""Which networks and spaces does a Python program hand over in place of a name?

Each is a name that brings along what it names, so it goes wherever a name goes, and is stored with a run as a name.
"""

from effsearch.space.search_space import SearchSpace
from effsearch.space.spec import ModelSpec


class SpecInHand(str):
    """The name of a network that comes with it."""

    spec: ModelSpec

    def __new__(cls, name: str, spec: ModelSpec) -> "SpecInHand":
        """Give a name with its network."""
        made = super().__new__(cls, name)
        made.spec = spec
        return made


class SpaceInHand(str):
    """The name of a search space that comes with it, and with the text it was read from, if it was."""

    space: SearchSpace
    text: str

    def __new__(cls, space: SearchSpace, text: str = "") -> "SpaceInHand":
        """Give a space under its name."""
        made = super().__new__(cls, space.name)
        made.space, made.text = space, text
        return made
