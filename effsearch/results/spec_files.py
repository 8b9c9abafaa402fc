"""Is a spec that a run wrote still what the run wrote?

`SHA256SUMS` beside the specs has the SHA-256 of each, as `sha256sum -c SHA256SUMS` reads it. A spec that has changed
there is refused by name; a copy of it elsewhere is anybody's to edit, and so is one that the list does not name.
"""

import hashlib
import re
from pathlib import Path

from effsearch.results.atomic import write_text_atomic
from effsearch.results.line_file import read_bytes
from effsearch.space.errors import SpecError

SUMS_FILE = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-f]{64})  (.+)")


def write_spec_file(path: Path, text: str) -> None:
    """Write a spec and its sum.

    The list has the new sum beside the old one while the spec is replaced, so a crash at any time leaves a spec whose
    sum is there.

    Raises:
        RunError: They cannot be written.
    """
    content = text if text.endswith("\n") else text + "\n"
    digest = hashlib.sha256(content.encode("utf-8", errors="backslashreplace")).hexdigest()
    others = [line for line in _sums(path.parent) if line[1] != path.name]
    known = [line for line in _sums(path.parent) if line[1] == path.name]
    if known != [(digest, path.name)]:
        _write_sums(path.parent, [*others, *known, (digest, path.name)])
    write_text_atomic(path, content)
    if known and known != [(digest, path.name)]:
        _write_sums(path.parent, [*others, (digest, path.name)])


def check_spec_file(path: Path) -> None:
    """Refuse a spec that has changed since its run wrote it.

    Raises:
        SpecError: It has.
        RunError: It or the list cannot be read.
    """
    if is_changed(path):
        raise SpecError(
            f"{path} is not as its run wrote it: {SUMS_FILE} beside it has another SHA-256; the run's command writes "
            "it anew; to use an edited one, copy it to another folder"
        )


def is_changed(path: Path) -> bool:
    """Tell whether the list beside a spec names it with another sum.

    Raises:
        RunError: They cannot be read.
    """
    known = {digest for digest, name in _sums(path.parent) if name == path.name}
    return bool(known) and hashlib.sha256(read_bytes(path)).hexdigest() not in known


def _sums(folder: Path) -> list[tuple[str, str]]:
    text = read_bytes(folder / SUMS_FILE).decode(errors="replace")
    matches = [_LINE.fullmatch(line) for line in text.splitlines()]
    return [(match[1], match[2]) for match in matches if match]


def _write_sums(folder: Path, sums: list[tuple[str, str]]) -> None:
    write_text_atomic(folder / SUMS_FILE, "".join(f"{digest}  {name}\n" for digest, name in sums))
