"""Which evaluations are finished, and what came out?

The ledger is a text file with one JSON object a line, appended and synced before the search goes on: what was
paid for is never lost, and never paid for twice. One process appends, under the lock of its run directory.
"""

import contextlib
import errno
import fcntl
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self  # Any: a JSON value

from effsearch.results.atomic import sync_folder, write_error
from effsearch.results.ledger_entry import LedgerEntry, ScoreKey, from_record, score_key, to_line
from effsearch.results.line_file import (
    Line,
    Lines,
    Mended,
    mend_tail,
    read_bytes,
    read_object,
    refuse_damage,
    split_lines,
)
from effsearch.space.errors import RunError

__all__ = ["Ledger", "LedgerEntry", "ScoreKey", "read_entries", "score_key"]


class Ledger:
    """The finished evaluations of one run, in memory and on disk; open it with `Ledger.open`."""

    def __init__(self, path: Path, descriptor: int, entries: tuple[LedgerEntry, ...], mended: Mended):
        self.path = path
        self.mended = mended  # what opening it had to cut off
        self._descriptor = descriptor
        self._parts: dict[object, Any] = {}  # of specs: thousands of networks have the same few blocks
        self._entries = [replace(entry, spec=_shared(entry.spec, self._parts)) for entry in entries]
        self._by_key: dict[ScoreKey, LedgerEntry] = {}
        for entry in self._entries:
            self._remember(entry)

    @classmethod
    def open(cls, path: Path) -> Self:
        """Lock and read a ledger, or start an empty one, and make it ready for appending.

        What a crash left behind the last whole record is cut off; the file as it was is kept beside it as `.bak`,
        and `mended` says how much went.

        Raises:
            RunError: The file cannot be read or written, is in use, or is damaged before its last record.
        """
        try:
            is_new = not path.exists()
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o666)
        except OSError as error:
            raise write_error(path, error) from error
        try:
            _lock(path, descriptor)
            if is_new:
                sync_folder(path.parent)
            content = read_bytes(path)
            lines = _split(content)
            entries = _entries_of(path, lines)
            mended = mend_tail(path, descriptor, content, lines)
        except OSError as error:
            os.close(descriptor)
            raise write_error(path, error) from error
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor, entries, mended)

    @property
    def entries(self) -> tuple[LedgerEntry, ...]:
        """All entries, oldest first."""
        return tuple(self._entries)

    def find(self, key: ScoreKey) -> LedgerEntry | None:
        """The entry of a key: its success where there is one, else its latest failure, else None."""
        return self._by_key.get(key)

    def append(self, entry: LedgerEntry) -> None:
        """Add one entry; when this returns, it is on the disk.

        Raises:
            RunError: It could not be written; the file and `entries` are as before.
        """
        self.append_all([entry])

    def append_all(self, entries: Sequence[LedgerEntry]) -> None:
        """Add entries that were computed together, with one write; when this returns, they are on the disk.

        Raises:
            RunError: They could not be written; the file and `entries` are as before.
        """
        scored: set[ScoreKey] = set()  # by these entries
        for entry in entries:
            known = self.find(entry.key)
            assert known is None or not known.has_succeeded, f"{entry.name} was scored already, as {known}"
            assert entry.key not in scored, f"{entry.name} is given twice"
            if entry.has_succeeded:
                scored.add(entry.key)
        lines = "".join(map(to_line, entries)).encode()
        try:
            self._require_in_place()
            num_bytes_before = os.fstat(self._descriptor).st_size
        except OSError as error:
            raise write_error(self.path, error) from error
        try:
            num_written = os.write(self._descriptor, lines)
            if num_written != len(lines):
                raise OSError(f"only {num_written} of {len(lines)} bytes were written; is the disk full?")
            os.fsync(self._descriptor)
        except OSError as error:
            with contextlib.suppress(OSError):  # what stays is a torn last line, which the next open cuts off
                os.ftruncate(self._descriptor, num_bytes_before)
            raise write_error(self.path, error) from error
        for entry in entries:
            kept = replace(entry, spec=_shared(entry.spec, self._parts))
            self._entries.append(kept)
            self._remember(kept)

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __len__(self) -> int:
        return len(self._entries)

    def _require_in_place(self) -> None:
        """Refuse to write to a file that has another name by now, or none: its disk was taken away."""
        try:
            is_in_place = os.path.samestat(os.stat(self.path), os.fstat(self._descriptor))
        except FileNotFoundError:
            is_in_place = False
        if not is_in_place:
            raise OSError("it was moved or its disk is gone since the run was opened; bring it back")

    def _remember(self, entry: LedgerEntry) -> None:
        known = self._by_key.get(entry.key)
        if known is None or not known.has_succeeded:
            self._by_key[entry.key] = entry


def read_entries(path: Path) -> tuple[LedgerEntry, ...]:
    """The whole records of a ledger, which may be growing; the file is left alone, no file is no records.

    Raises:
        RunError: The file cannot be read, or is damaged before its last record.
    """
    return _entries_of(path, _split(read_bytes(path)))


def torn_tail(path: Path) -> str:
    """Say what is torn at the end of a ledger that nobody is writing; "" where all of it is whole.

    Raises:
        RunError: The file cannot be read.
    """
    num_torn = _split(read_bytes(path)).num_torn_lines
    if not num_torn:
        return ""
    what, them = ("1 torn record", "it") if num_torn == 1 else (f"{num_torn} torn lines", "them")
    again = "it" if num_torn == 1 else "what they were of"
    where = f"{what} at the end of {path.name}"
    return f"{where}: the next call of the run's command cuts {them} off and trains {again} again"


def read_ledger_lines(path: Path) -> tuple[bytes, Lines, tuple[Line, ...]]:
    """Give a ledger's content, what of it is whole, and the whole lines that are no entries or score a key again.

    Raises:
        RunError: The file cannot be read.
    """
    content = read_bytes(path)
    lines = _split(content)
    scored: dict[ScoreKey, int] = {}
    wrong = []
    for line in lines.records:
        try:
            entry = from_record(line.record)
        except ValueError as error:
            wrong.append(replace(line, fault=str(error)))
            continue
        if entry.has_succeeded and scored.setdefault(entry.key, line.number) != line.number:
            wrong.append(replace(line, fault=f"it scores what line {scored[entry.key]} has scored"))
    return content, lines, tuple(wrong)


def _shared(value: Any, parts: dict[object, Any]) -> Any:
    """Give an equal JSON value whose mappings and lists are those of earlier ones, as far as there are equal ones."""
    if isinstance(value, Mapping):
        value = {sys.intern(key): _shared(one, parts) for key, one in value.items()}
        key: object = tuple((name, id(one)) for name, one in value.items())
    elif isinstance(value, list | tuple):
        value = [_shared(one, parts) for one in value]
        key = (list, *map(id, value))
    else:
        key = (type(value), value)
    return parts.setdefault(key, value)


def _split(content: bytes) -> Lines:
    return split_lines(content, lambda line: read_object(line, ("schema_version",)))


def _entries_of(path: Path, lines: Lines) -> tuple[LedgerEntry, ...]:
    refuse_damage(path, lines)
    entries: list[LedgerEntry] = []
    line_of_success: dict[ScoreKey, int] = {}
    for line in lines.lines:
        try:
            entry = from_record(line.record)
        except ValueError as error:
            raise RunError(f"{path} line {line.number}: {error}") from error
        if entry.has_succeeded:
            first = line_of_success.setdefault(entry.key, line.number)
            if first != line.number:
                raise RunError(
                    f"{path} line {line.number} scores what line {first} has scored; "
                    f"effsearch repair {path.parent} puts it aside"
                )
        entries.append(entry)
    return tuple(entries)


def _lock(path: Path, descriptor: int) -> None:
    """Lock a ledger until it is closed: whoever has its run has this too, unless something has gone wrong."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise RunError(f"{path} is in use by another process; wait for it to end") from error
    except OSError:
        pass  # a network file system without such locks: the run's own lock knows what to do there
