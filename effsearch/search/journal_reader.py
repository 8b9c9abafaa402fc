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
from effsearch.space.strict_json import json_fault, parse_json


@contextmanager
def read_journal(path: Path) -> Iterator[JournalStorage]:
    """Give the studies of a journal as a copy in memory.

    Whenever it is asked, it first takes the lines that the file has gained. What is asked later is asked of the same
    file, even where another has its name by then. To write to it is an error. Whatever it is asked once a line has
    been damaged is a `RunError` that says so, since nobody can say which of its studies still hold.

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
        yield _Copy(_WholeLines(file, path), path)


class _Copy(JournalStorage):
    """Optuna's storage, which says of a damaged journal what is wrong, as long as it is asked."""

    def __init__(self, lines: "_WholeLines", path: Path) -> None:
        self._path = path
        self._fault = ""
        super().__init__(lines)

    def _sync_with_backend(self) -> None:
        """Take the lines that the file has gained; every question to the storage begins so, under its lock."""
        if not self._fault:
            try:
                super()._sync_with_backend()
            except OSError as error:  # a disk may come back
                raise RunError(f"cannot read {self._path}: {error.strerror or error}") from error
            except RunError as error:
                self._fault = str(error)
            except Exception as error:  # Optuna meets lines that make no sense with errors of any type
                reason = f"{type(error).__name__}: {error}"
                self._fault = (
                    f"{self._path} is no journal of Optuna's ({reason}); {_repair_words(self._path)}"
                )
        if self._fault:
            raise RunError(self._fault)


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
        if num_new < 0:  # no search takes a whole line back
            raise RunError(
                f"{self._path} was cut off inside what was read of it; begin the dashboard again for what is left"
            )
        text = os.pread(descriptor, num_new, self._num_bytes)
        for line in text.split(b"\n")[:-1]:
            try:
                record = parse_json(line)
                record["op_code"]
            except (ValueError, TypeError, KeyError) as error:
                fault = json_fault(error) if isinstance(error, ValueError) else "it is no record of Optuna's"
                raise RunError(
                    f"{self._path} line {self._num_lines + 1} is damaged: {fault}; "
                    f"effsearch repair {self._path.parent} puts it aside"
                ) from None
            self._num_bytes += len(line) + 1
            self._num_lines += 1
            yield record

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        raise AssertionError("a copy of a run's studies is only read")


def _repair_words(path: Path) -> str:
    return f"effsearch repair {path.parent} says what can be done"
