"""Which space did a run search?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any  # a JSON value

from effsearch.commands.inputs import read_space
from effsearch.results.run_files import SPACE_FILE
from effsearch.space.canonical import space_hash
from effsearch.space.errors import SpecError, UsageError
from effsearch.space.search_space import SearchSpace


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
