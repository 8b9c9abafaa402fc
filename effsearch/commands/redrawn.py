"""What of a run can be written again from the rest of it, so that a full disk at the end costs no result?

Pictures and tables for people. That one of them cannot be written is a warning; specs and reports are another matter.
"""

import contextlib
from collections.abc import Callable, Iterator

from effsearch.space.errors import WriteError


@contextlib.contextmanager
def redrawn_by(command: str, *, done: str, say: Callable[[str], None]) -> Iterator[None]:
    """Say what could not be written in here, and go on.

    Args:
        command: Draws it again, such as "effsearch plot runs/photos".
        done: What has ended well all the same, such as "the search".
        say: Takes the line.
    """
    try:
        yield
    except WriteError as error:
        say(f"{done} has ended well, but: {error}; {command} draws it again")
