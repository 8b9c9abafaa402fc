"""Where is the network behind a row of the result?"""

import json

from effsearch.results.bounded_files import read_bounded
from effsearch.results.json_files import MOST_BYTES
from effsearch.results.ledger import LedgerEntry
from effsearch.results.report.contents import RunContents
from effsearch.results.report.headline import NetworkRow
from effsearch.results.run_files import SPECS_FOLDER, TRAINED_SPEC
from effsearch.results.spec_files import check_spec_file
from effsearch.space.spec import ModelSpec
from effsearch.space.text import from_json


def read_trained_spec(contents: RunContents) -> ModelSpec | None:
    """Give the network of a train run as it was trained; None where it is not there.

    Raises:
        SpecError: It is there and does not hold.
        OSError: Its file cannot be read.
    """
    path = contents.run / SPECS_FOLDER / f"{TRAINED_SPEC}.json"
    if not path.is_file():
        return None
    return from_json(path.read_text("utf-8", errors="replace"), source=str(path))


def read_spec(contents: RunContents, named: NetworkRow | LedgerEntry | None) -> ModelSpec | None:
    """Give the network that a row or an entry names; None where neither files nor ledger have it.

    The file that the run wrote for a row is found by its name alone: a run that was moved is read where it lies now.

    Raises:
        SpecError: It is there and does not hold.
        OSError: Its file cannot be read.
    """
    if isinstance(named, NetworkRow) and named.spec_file:
        path = contents.run / SPECS_FOLDER / named.spec_file
        if path.is_file():
            check_spec_file(path)
            text = read_bounded(path, most_bytes=MOST_BYTES).decode(errors="replace")
            return from_json(text, source=str(path))
    if named is None:
        return None
    entries = [named] if isinstance(named, LedgerEntry) else contents.entries
    for entry in entries:
        if entry.spec and entry.network_hash == named.network_hash:
            return from_json(json.dumps(entry.spec), source=f"ledger, {entry.name}")
    return None
