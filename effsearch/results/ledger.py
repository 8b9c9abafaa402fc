"""Which evaluations are finished, and what came out?

The ledger is a text file with one JSON object a line, appended and synced before the search goes on: what was
paid for is never lost, and never paid for twice. One process appends, under the lock of its run directory.
"""

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from effsearch.results.atomic import sync_folder, write_bytes_atomic, write_error
from effsearch.results.bounded_files import MIB, read_bounded
from effsearch.results.ledger_entry import LedgerEntry, ScoreKey, from_record, score_key, to_line
from effsearch.space.errors import RunError
from effsearch.space.strict_json import parse_json

__all__ = ["Ledger", "LedgerEntry", "ScoreKey", "read_entries", "score_key"]

MOST_BYTES = 1024 * MIB  # some 400,000 trainings


class Ledger:
    """The finished evaluations of one run, in memory and on disk; open it with `Ledger.open`."""

    def __init__(
        self, path: Path, entries: tuple[LedgerEntry, ...], *, backup: Path | None, num_dropped: int
    ):
        self.path = path
        self.backup = backup  # the file as it was, where its end had to be repaired
        self.num_dropped = num_dropped  # torn records cut off at the end: 0 or 1
        self._entries = list(entries)
        self._by_key: dict[ScoreKey, LedgerEntry] = {}
        for entry in entries:
            self._remember(entry)
        try:
            is_new = not path.exists()
            self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
            if is_new:
                sync_folder(path.parent)
        except OSError as error:
            raise write_error(path, error) from error

    @classmethod
    def open(cls, path: Path) -> Self:
        """Read a ledger, or start an empty one, and make it ready for appending.

        A last line that was torn by a crash is cut off; the file as it was is kept beside it as `.bak`, and
        `num_dropped` says how many records went.

        Raises:
            RunError: The file cannot be read or written, or is damaged before its last line.
        """
        content = _read(path)
        parsed = _parse(path, content)
        backup = None
        if parsed.num_whole_bytes < len(content) or parsed.lacks_newline:
            backup = _free_backup_path(path)
            write_bytes_atomic(backup, content)
            newline = b"\n" if parsed.lacks_newline else b""
            write_bytes_atomic(path, content[: parsed.num_whole_bytes] + newline)
        return cls(path, parsed.entries, backup=backup, num_dropped=parsed.num_dropped)

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
        num_bytes_before = os.fstat(self._descriptor).st_size
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
            self._entries.append(entry)
            self._remember(entry)

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

    def _remember(self, entry: LedgerEntry) -> None:
        known = self._by_key.get(entry.key)
        if known is None or not known.has_succeeded:
            self._by_key[entry.key] = entry


def read_entries(path: Path) -> tuple[LedgerEntry, ...]:
    """The whole records of a ledger, which may be growing; the file is left alone, no file is no records.

    Raises:
        RunError: The file cannot be read, or is damaged before its last line.
    """
    return _parse(path, _read(path)).entries


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parsed:
    entries: tuple[LedgerEntry, ...]
    num_whole_bytes: int  # up to the end of the last whole record
    num_dropped: int
    lacks_newline: bool  # the last record is whole, only its newline is missing


def _read(path: Path) -> bytes:
    try:
        return read_bounded(path, most_bytes=MOST_BYTES)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from error


def _parse(path: Path, content: bytes) -> _Parsed:
    lines = content.split(b"\n")
    ends_whole = lines[-1] == b""  # the text after the last newline
    if ends_whole:
        lines.pop()
    entries: list[LedgerEntry] = []
    line_of_success: dict[ScoreKey, int] = {}
    num_whole_bytes = 0
    for number, line in enumerate(lines, start=1):
        is_last = number == len(lines)
        try:
            record = parse_json(line)
        except ValueError as error:  # UnicodeDecodeError is one
            if is_last:
                return _Parsed(
                    entries=tuple(entries),
                    num_whole_bytes=num_whole_bytes,
                    num_dropped=1,
                    lacks_newline=False,
                )
            raise RunError(
                f"{path} line {number} is damaged: {error}; mend or delete that line and start again"
            ) from error
        try:
            entry = from_record(record)
        except ValueError as error:
            raise RunError(f"{path} line {number}: {error}") from error
        if entry.has_succeeded:
            first = line_of_success.setdefault(entry.key, number)
            if first != number:
                raise RunError(
                    f"{path} line {number} scores what line {first} has scored; delete one of them"
                )
        entries.append(entry)
        num_whole_bytes += len(line) + 1
    if not ends_whole:
        num_whole_bytes -= 1
    return _Parsed(
        entries=tuple(entries), num_whole_bytes=num_whole_bytes, num_dropped=0, lacks_newline=not ends_whole
    )


def _free_backup_path(path: Path) -> Path:
    backup = path.with_name(path.name + ".bak")
    number = 2
    while backup.exists():
        backup = path.with_name(f"{path.name}.bak{number}")
        number += 1
    return backup
