"""What of a file of records, one a line, is whole, and what did a crash or a bad disk leave of the rest?

What follows the last whole record is torn: the operation that was being written, however many lines of rubbish or
NULs that makes. It is cut off, and the file as it was is kept. A line that is no record before one that is was whole
once and was damaged later; nobody can say what it held, so that is refused, and `effsearch repair` puts it aside.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any  # JSON

from effsearch.results.atomic import write_bytes_atomic, write_error
from effsearch.results.bounded_files import MIB, read_bounded
from effsearch.space.errors import RunError
from effsearch.space.strict_json import json_fault, parse_json

BACKUP_SUFFIX = ".bak"
MOST_BYTES = 1024 * MIB  # some 400,000 trainings


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a file, without its newline."""

    number: int  # from 1
    content: bytes
    fault: str  # "" where it is a record
    record: Mapping[str, Any] = field(default_factory=dict, repr=False)  # what it says, where it is one


@dataclass(frozen=True, slots=True, kw_only=True)
class Lines:
    """A file of records."""

    lines: tuple[Line, ...]  # up to the last record
    num_whole_bytes: int  # of these, with the last newline if it has one
    num_torn_lines: int  # behind them
    lacks_newline: bool  # the last record is whole, only its newline is missing

    @property
    def records(self) -> tuple[Line, ...]:
        """The lines that are records."""
        return tuple(line for line in self.lines if not line.fault)

    @property
    def damaged(self) -> tuple[Line, ...]:
        """The lines before a record that are none."""
        return tuple(line for line in self.lines if line.fault)


@dataclass(frozen=True, slots=True)
class Mended:
    """What was cut off the end of a file."""

    backup: Path | None  # the file as it was; None where nothing was wrong
    num_dropped: int  # lines

    def words(self, path: Path) -> str:
        """Say it; "" where nothing was dropped."""
        if not self.num_dropped:
            return ""
        return (
            f"{path}: what follows the last whole record was torn ({self.num_dropped} "
            f"line{'s' if self.num_dropped > 1 else ''}) and is cut off; the file as it was is {self.backup}"
        )


def read_bytes(path: Path, *, most_bytes: int = MOST_BYTES) -> bytes:
    """The content of a file; no file is no content.

    Raises:
        RunError: It cannot be read, is no file or is too large.
    """
    try:
        return read_bounded(path, most_bytes=most_bytes)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror or error}") from error


def split_lines(content: bytes, read_record: Callable[[bytes], Mapping[str, Any]]) -> Lines:
    """Tell the records of a file from what is torn or damaged.

    Args:
        content: Of the file.
        read_record: Gives what a line says, or raises a ValueError that says what is wrong with it.
    """
    parts = content.split(b"\n")
    ends_whole = parts[-1] == b""  # the text after the last newline
    if ends_whole:
        parts.pop()
    lines = [_read_line(number, part, read_record) for number, part in enumerate(parts, start=1)]
    num_lines = len(lines)
    while lines and lines[-1].fault:
        lines.pop()
    lacks_newline = bool(lines) and len(lines) == num_lines and not ends_whole
    num_bytes = sum(len(line.content) + 1 for line in lines) - lacks_newline
    return Lines(
        lines=tuple(lines),
        num_whole_bytes=num_bytes,
        num_torn_lines=num_lines - len(lines),
        lacks_newline=lacks_newline,
    )


def read_object(line: bytes, keys: tuple[str, ...]) -> dict[str, Any]:
    """Give the JSON object of a line.

    Raises:
        ValueError: It is none, or lacks one of the keys.
    """
    if not line.strip():
        raise ValueError("it is empty")
    record = parse_json(line)
    if not isinstance(record, dict) or any(key not in record for key in keys):
        raise ValueError(f"it is no JSON object with {' and '.join(keys)}")
    return record


def _read_line(number: int, content: bytes, read_record: Callable[[bytes], Mapping[str, Any]]) -> Line:
    try:
        return Line(number, content, "", read_record(content))
    except ValueError as error:  # UnicodeDecodeError is one
        return Line(number, content, json_fault(error))


def refuse_damage(path: Path, lines: Lines) -> None:
    """Refuse a file with damage before its last record.

    Raises:
        RunError: It has some; names the first line.
    """
    if not lines.damaged:
        return
    first = lines.damaged[0]
    more = len(lines.damaged) - 1
    others = f", and {more} more line{'s' if more > 1 else ''}" if more else ""
    raise RunError(
        f"{path} line {first.number} is damaged: {first.fault}{others}; effsearch repair {path.parent} puts it aside"
    )


def mend_tail(path: Path, descriptor: int, content: bytes, lines: Lines) -> Mended:
    """Cut off what follows the last whole record, once the file as it was is safe beside it.

    Args:
        path: Of the file.
        descriptor: Of the same file, open for appending.
        content: All of it.
        lines: What `split_lines` made of that.

    Raises:
        RunError: It cannot be written.
    """
    if lines.num_whole_bytes == len(content) and not lines.lacks_newline:
        return Mended(None, 0)
    backup = free_path(path.with_name(path.name + BACKUP_SUFFIX))
    write_bytes_atomic(backup, content)
    try:
        os.ftruncate(descriptor, lines.num_whole_bytes)
        if lines.lacks_newline and os.write(descriptor, b"\n") != 1:
            raise OSError("nothing was written; is the disk full?")
        os.fsync(descriptor)
    except OSError as error:
        raise write_error(path, error) from error
    return Mended(backup, lines.num_torn_lines)


def free_path(path: Path) -> Path:
    """Give a path that nothing has: `x.bak`, `x.bak2`, `x.bak3`, ..."""
    free, number = path, 2
    while os.path.lexists(free):
        free = path.with_name(f"{path.name}{number}")
        number += 1
    return free
