"""Which space did a run search, and how does the run keep it?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any  # a JSON value

from effsearch.commands.in_hand import SpaceInHand
from effsearch.commands.inputs import read_space, read_text
from effsearch.results.run_dir import RunDir
from effsearch.results.run_files import SPACE_FILE
from effsearch.space.canonical import space_hash
from effsearch.space.errors import SpecError, UsageError
from effsearch.space.search_space import SearchSpace
from effsearch.space.shipped_spaces import shipped_space_names


def write_own_space(run: RunDir, name: str) -> None:
    """Put the text of a space of the user's own into its run; a space without a text is known by its hash alone."""
    if isinstance(name, SpaceInHand):
        if name.text:
            run.write_space(name.text)
    elif name not in shipped_space_names():
        run.write_space(read_text(Path(name), what="space file"))


def read_run_space(run: Path, settings: Mapping[str, Any], space_file: str | None = None) -> SearchSpace:
    """Give the space that a run searched: the file it keeps, else the shipped one, unless the user names one.

    Raises:
        UsageError: It is not at hand, or the user's file is another space.
        SpecError: The user's file is no space.
    """
    own = run / SPACE_FILE
    name = space_file or (str(own) if own.is_file() else settings["space"])
    try:
        space = read_space(name)
    except SpecError:
        if space_file is not None:
            raise
        space = None
    if space is not None and space_hash(space) == settings["space_hash"]:
        return space
    if space_file is not None:
        raise UsageError(f"{space_file} is not the space that {run} searched, which is {settings['space']}")
    raise UsageError(
        f"{run} searched {settings['space']}, which is no space of this effsearch: put its file into the run as "
        f"{SPACE_FILE}"
    )
