"""How is the journal of a run's studies read while the run may be writing it?

Whole lines only, by a file that is open for reading: no lock is taken, nothing is made beside the file, and a line
that is torn or still being written waits until it is whole. Optuna's own backend would let a page write to the run.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path
from typing import Any  # a JSON value

from optuna.storages import JournalStorage
from optuna.storages.journal import BaseJournalBackend

from effsearch.space.errors import RunError
from effsearch.space.strict_json import parse_json


@contextmanager
def read_journal(path: Path) -> Iterator[JournalStorage]:
    """Give the studies of a journal as a copy in memory.

    Whenever it is asked, it first takes the lines that the file has gained. What is asked later is asked of the same
    file, even where another has its name by then. To write to it is an error.

    Raises:
        RunError: The file cannot be read, or is no journal.
    """
    try:
        if path.exists() and not path.is_file():
            raise RunError(f"cannot read {path}: it is no regular file")
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from error
    with file:
        try:
            storage = JournalStorage(_WholeLines(file, path))
        except RunError:
            raise
        except (
            Exception
        ) as error:  # Optuna replays what the lines say, and meets nonsense with errors of any type
            raise RunError(f"{path} is no journal of Optuna's ({type(error).__name__}: {error})") from None
        yield storage


class _WholeLines(BaseJournalBackend):
    """The lines of a file, each given once, to one storage."""

    def __init__(self, file: FileIO, path: Path) -> None:
        self._file = file
        self._path = path
        self._num_bytes = 0  # those of the lines that were given
        self._num_lines = 0

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        assert log_number_from == self._num_lines, "a storage reads on where it stopped"
        # One call, because a resume cuts a torn line off and writes on: two could read a half of each.
        descriptor = self._file.fileno()
        num_new = os.fstat(descriptor).st_size - self._num_bytes
        text = os.pread(descriptor, max(0, num_new), self._num_bytes)
        for line in text.split(b"\n")[:-1]:
            try:
                record = parse_json(line)
                record["op_code"]
            except (ValueError, TypeError, KeyError):
                raise RunError(f"{self._path}, line {self._num_lines + 1}: no record of Optuna's") from None
            self._num_bytes += len(line) + 1
            self._num_lines += 1
            yield record

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise AssertionError("a copy of a run's studies is only read")
