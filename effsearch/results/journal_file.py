"""How does a run get its Optuna journal back after a crash?

The journal is a copy of what the ledger says, one operation a line. Optuna cannot read one with a torn line that
something was appended to, so what is torn is cut off before it is opened.
"""

import os
from pathlib import Path

from effsearch.results.atomic import write_error
from effsearch.results.line_file import (
    Lines,
    Mended,
    mend_tail,
    read_bytes,
    read_object,
    refuse_damage,
    split_lines,
)
from effsearch.results.run_files import JOURNAL_FILE


def read_journal_lines(path: Path) -> tuple[bytes, Lines]:
    """Give a journal's content and what of it is whole; no file is an empty one.

    Raises:
        RunError: It cannot be read.
    """
    content = read_bytes(path)
    return content, split_lines(content, lambda line: read_object(line, ("op_code", "worker_id")))


def require_sound_journal(run: Path | None) -> None:
    """Refuse a run whose journal is damaged, before anything costs time; a torn tail is mended when it is opened.

    Raises:
        RunError: It is damaged before its last operation, or cannot be read.
    """
    if run is not None:
        path = run / JOURNAL_FILE
        refuse_damage(path, read_journal_lines(path)[1])


def mend_journal(path: Path) -> Mended:
    """Cut a journal back to its last whole operation; whoever calls has the journal's lock.

    Raises:
        RunError: It cannot be read or written, or is damaged before its last operation.
    """
    content, lines = read_journal_lines(path)
    refuse_damage(path, lines)
    if not content:
        return Mended(None, 0)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND)
    except OSError as error:
        raise write_error(path, error) from error
    try:
        return mend_tail(path, descriptor, content, lines)
    finally:
        os.close(descriptor)
