"""What a crash or a bad disk does to ledger and journal; the whole of it is `benchmarks/robustness/torn_files.py`."""

import fcntl
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from effsearch.results.journal_file import mend_journal
from effsearch.results.ledger import Ledger, read_entries
from effsearch.results.ledger_entry import to_line
from effsearch.results.line_file import Mended
from effsearch.space.errors import RunError

from .conftest import MakeEntry

JOURNAL = b"".join(
    json.dumps({"op_code": code, "worker_id": "w", "text": "x" * 40}).encode() + b"\n" for code in range(5)
)


def open_ledger(path: Path) -> Mended:
    with Ledger.open(path) as ledger:
        return ledger.mended


@pytest.fixture(params=["ledger", "journal"])
def kind(request: pytest.FixtureRequest, make_entry: MakeEntry) -> tuple[bytes, Callable[[Path], Mended]]:
    if request.param == "journal":
        return JOURNAL, mend_journal
    return "".join(to_line(make_entry(seed=seed)) for seed in range(5)).encode(), open_ledger


def test_cut_at_any_byte_only_the_torn_record_goes(
    tmp_path: Path, kind: tuple[bytes, Callable[[Path], Mended]]
) -> None:
    content, mend = kind
    path = tmp_path / "file"
    ends = [index + 1 for index, byte in enumerate(content) if byte == 10]
    for size in {
        *range(ends[1], ends[2], 7),
        *(end - 1 for end in ends),
        *ends,
        *(end + 1 for end in ends[:-1]),
    }:
        path.write_bytes(content[:size])
        mended = mend(path)
        whole = [end for end in ends if end - 1 <= size]  # a record that lacks its newline alone is whole
        assert path.read_bytes() == content[: whole[-1] if whole else 0]
        is_torn = size not in (*ends, *(end - 1 for end in ends))
        assert mended.num_dropped == is_torn
        if mended.backup is not None:
            assert mended.backup.read_bytes() == content[:size]
            mended.backup.unlink()
        assert mend(path) == Mended(None, 0)


@pytest.mark.parametrize("seed", range(20))
def test_any_tail_of_rubbish_goes_and_nothing_else(
    tmp_path: Path, kind: tuple[bytes, Callable[[Path], Mended]], seed: int
) -> None:
    content, mend = kind
    rng = np.random.default_rng(seed)
    tail = rng.bytes(int(rng.integers(1, 300)))
    tails = [
        tail,
        b"\0" * len(tail),
        b"\n" * 3,
        b"[" * 20_000,
        b'{"half": 1\n' * 3 + tail,
        b"null\n",
        b"{}\n7\n",
    ]
    path = tmp_path / "file"
    path.write_bytes(content + tails[seed % len(tails)])
    mended = mend(path)
    assert path.read_bytes() == content
    assert mended.backup is not None
    assert mended.words(path).startswith(f"{path}: what follows the last whole record was torn")


def test_damage_before_the_last_record_is_refused_by_its_line_and_left_alone(
    tmp_path: Path, kind: tuple[bytes, Callable[[Path], Mended]]
) -> None:
    content, mend = kind
    lines = content.splitlines(keepends=True)
    lines[1] = b"\0" * 30 + b"\n"
    lines[3] = b"{\n"
    path = tmp_path / "file"
    path.write_bytes(b"".join(lines) + b"torn")
    with pytest.raises(
        RunError,
        match=rf"file line 2 is damaged: no JSON at character 1 \(expected value\), and 1 more line; "
        rf"effsearch repair {tmp_path} puts it aside",
    ):
        mend(path)
    assert path.read_bytes() == b"".join(lines) + b"torn"
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_an_empty_file_and_no_file_are_whole(
    tmp_path: Path, kind: tuple[bytes, Callable[[Path], Mended]]
) -> None:
    _, mend = kind
    assert mend(tmp_path / "file") == Mended(None, 0)
    (tmp_path / "file").write_bytes(b"")
    assert mend(tmp_path / "file") == Mended(None, 0)


def test_a_ledger_is_locked_while_it_is_open(tmp_path: Path, make_entry: MakeEntry) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger.open(path) as ledger:
        ledger.append(make_entry())
        with pytest.raises(RunError, match="is in use by another process"):
            Ledger.open(path)
        assert len(read_entries(path)) == 1
    Ledger.open(path).close()


def test_a_file_system_without_locks_will_do(
    tmp_path: Path, make_entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with Ledger.open(tmp_path / "ledger.jsonl") as ledger:
        ledger.append(make_entry())


def test_a_tail_that_cannot_be_cut_is_one_line(
    tmp_path: Path, kind: tuple[bytes, Callable[[Path], Mended]], monkeypatch: pytest.MonkeyPatch
) -> None:
    content, mend = kind
    path = tmp_path / "file"
    path.write_bytes(content + b"torn")

    def fail(*_: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.ftruncate", fail)
    with pytest.raises(RunError, match=r"cannot write .*file: Input/output error"):
        mend(path)
