"""What did an earlier run of the same space find?"""

from pathlib import Path

from effsearch.commands.recorder import SEARCH_KINDS
from effsearch.results.evaluations import from_entry
from effsearch.results.ledger import read_entries
from effsearch.results.run_files import LEDGER_FILE, read_settings
from effsearch.space.canonical import space_hash
from effsearch.space.errors import UsageError
from effsearch.space.outcome import Evaluation
from effsearch.space.search_space import SearchSpace


def read_earlier(run: Path, space: SearchSpace) -> list[Evaluation]:
    """Give the trainings of an earlier run that say something about a space: of its points, with a score.

    Raises:
        UsageError: There is no such run, it searched another space, or it has no score.
    """
    stored = read_settings(run)
    if stored.command != "baseline":
        raise UsageError(f"{run} is a {stored.command} run; --warm-start takes a baseline run")
    if stored.settings.get("space_hash") != space_hash(space):
        raise UsageError(
            f"{run} searched another space ({stored.settings.get('space')}); --warm-start needs the same one"
        )
    found = [
        from_entry(entry)
        for entry in read_entries(run / LEDGER_FILE)
        if entry.kind in SEARCH_KINDS and entry.has_succeeded and entry.point
    ]
    if not found:
        raise UsageError(f"{run} has no score of a network of the space yet; nothing to start from")
    return found
