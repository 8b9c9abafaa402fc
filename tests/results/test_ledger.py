import os
import subprocess
import sys
from pathlib import Path

import pytest

from effsearch.results.ledger import Ledger, read_entries
from effsearch.results.ledger_entry import to_line
from effsearch.space.errors import RunError

from .conftest import MakeEntry


def test_what_was_appended_is_there_when_opened_again(tmp_path: Path, make_entry: MakeEntry) -> None:
    path = tmp_path / "ledger.jsonl"
    entries = tuple(make_entry(seed=seed) for seed in range(3))
    with Ledger.open(path) as ledger:
        for entry in entries:
            ledger.append(entry)
        assert ledger.entries == entries
    with Ledger.open(path) as ledger:
        assert ledger.entries == entries
        assert len(ledger) == 3
        assert (ledger.mended.num_dropped, ledger.mended.backup) == (0, None)
    assert os.listdir(tmp_path) == ["ledger.jsonl"]


def test_an_entry_is_one_write_and_one_sync(
    tmp_path: Path, make_entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    writes, syncs = [], []
    write, sync = os.write, os.fsync
    with Ledger.open(tmp_path / "ledger.jsonl") as ledger:
        monkeypatch.setattr(os, "write", lambda fd, data: (writes.append(data), write(fd, data))[1])
        monkeypatch.setattr(os, "fsync", lambda fd: (syncs.append(fd), sync(fd))[1])
        ledger.append(make_entry())
    assert writes == [to_line(make_entry()).encode()]
    assert len(syncs) == 1


def test_entries_computed_together_are_one_write_and_one_sync(
    tmp_path: Path, make_entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries = [make_entry(seed=seed, kind="screen", val_accuracy=None) for seed in range(5)]
    writes, syncs = [], []
    write, sync = os.write, os.fsync
    with Ledger.open(tmp_path / "ledger.jsonl") as ledger:
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda fd, data: (writes.append(data), write(fd, data))[1])
            patch.setattr(os, "fsync", lambda fd: (syncs.append(fd), sync(fd))[1])
            ledger.append_all(entries)
            ledger.append_all([])
        assert ledger.entries == tuple(entries)
        assert ledger.find(entries[3].key) == entries[3]
    assert writes[0] == "".join(map(to_line, entries)).encode()
    assert b"".join(writes[1:]) == b""
    assert len(syncs) == len(writes)
    assert read_entries(tmp_path / "ledger.jsonl") == tuple(entries)


def test_of_entries_together_all_are_written_or_none(
    tmp_path: Path, make_entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.jsonl"
    write = os.write
    entries = [make_entry(seed=seed) for seed in (2, 3, 4)]
    with Ledger.open(path) as ledger:
        ledger.append(make_entry(seed=1))
        before = path.read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda fd, data: write(fd, data[: len(data) // 2]))
            with pytest.raises(RunError, match=r"cannot write .*only \d+ of \d+ bytes were written"):
                ledger.append_all(entries)
        assert path.read_bytes() == before
        assert len(ledger) == 1
        assert ledger.find(entries[0].key) is None
        ledger.append_all(entries)
    assert len(read_entries(path)) == 4


def test_a_key_twice_among_entries_together_is_a_bug(tmp_path: Path, make_entry: MakeEntry) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger.open(path) as ledger:
        with pytest.raises(AssertionError, match="again is given twice"):
            ledger.append_all([make_entry(), make_entry(name="again")])
        ledger.append(make_entry())
        with pytest.raises(AssertionError, match="again was scored already"):
            ledger.append_all([make_entry(seed=1), make_entry(name="again")])
    assert len(read_entries(path)) == 1


def test_find_gives_the_success_or_else_the_latest_failure(tmp_path: Path, make_entry: MakeEntry) -> None:
    first, second, success = make_entry(failure="first"), make_entry(failure="second"), make_entry()
    with Ledger.open(tmp_path / "ledger.jsonl") as ledger:
        assert ledger.find(success.key) is None
        ledger.append(first)
        ledger.append(second)
        assert ledger.find(success.key) == second
        ledger.append(success)
        assert ledger.find(success.key) == success
    with Ledger.open(tmp_path / "ledger.jsonl") as ledger:
        assert ledger.find(success.key) == success
        assert len(ledger) == 3


def test_scoring_a_key_twice_is_a_bug(tmp_path: Path, make_entry: MakeEntry) -> None:
    with Ledger.open(tmp_path / "ledger.jsonl") as ledger:
        ledger.append(make_entry())
        with pytest.raises(AssertionError, match="trial 13 was scored already"):
            ledger.append(make_entry(name="trial 13", val_accuracy=0.9))
        assert len(ledger) == 1
    assert len(read_entries(tmp_path / "ledger.jsonl")) == 1


def test_a_line_torn_at_any_byte_costs_that_line_only(tmp_path: Path, make_entry: MakeEntry) -> None:
    path = tmp_path / "ledger.jsonl"
    first, second, third = (make_entry(seed=seed) for seed in (1, 2, 3))
    whole, torn = to_line(first).encode(), to_line(second).encode()
    for num_bytes in [*range(1, len(torn) - 1, 97), len(torn) - 2]:
        content = whole + torn[:num_bytes]
        path.write_bytes(content)
        assert read_entries(path) == (first,)
        assert path.read_bytes() == content, "a reader changes nothing"
        with Ledger.open(path) as ledger:
            assert ledger.entries == (first,)
            assert ledger.mended.num_dropped == 1
            assert ledger.mended.backup is not None
            assert ledger.mended.backup.read_bytes() == content
            ledger.mended.backup.unlink()
            ledger.append(third)
        assert read_entries(path) == (first, third)


@pytest.mark.parametrize("tail", [b"\0" * 64, b"garbage\n", b"\xff\xfe{\n", b"\n"])
def test_rubbish_at_the_end_is_cut_off(tmp_path: Path, make_entry: MakeEntry, tail: bytes) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_bytes(to_line(make_entry()).encode() + tail)
    with Ledger.open(path) as ledger:
        assert ledger.mended.num_dropped == 1
    assert path.read_bytes() == to_line(make_entry()).encode()
    assert (tmp_path / "ledger.jsonl.bak").read_bytes().endswith(tail)


def test_a_whole_record_without_its_newline_is_kept(tmp_path: Path, make_entry: MakeEntry) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text(to_line(make_entry(seed=1)) + to_line(make_entry(seed=2)).rstrip("\n"))
    assert len(read_entries(path)) == 2
    with Ledger.open(path) as ledger:
        assert ledger.mended.num_dropped == 0
        ledger.append(make_entry(seed=3))
    assert [entry.seed for entry in read_entries(path)] == [1, 2, 3]


def test_an_older_backup_is_never_overwritten(tmp_path: Path, make_entry: MakeEntry) -> None:
    path = tmp_path / "ledger.jsonl"
    (tmp_path / "ledger.jsonl.bak").write_text("older")
    path.write_text(to_line(make_entry()) + "{")
    Ledger.open(path).close()
    assert (tmp_path / "ledger.jsonl.bak").read_text() == "older"
    assert (tmp_path / "ledger.jsonl.bak2").read_text().endswith("\n{")


def test_damage_in_the_middle_names_the_line_and_changes_nothing(
    tmp_path: Path, make_entry: MakeEntry
) -> None:
    path = tmp_path / "ledger.jsonl"
    content = to_line(make_entry(seed=1)) + '{"half": \n' + to_line(make_entry(seed=2))
    path.write_text(content)
    with pytest.raises(
        RunError, match=r"ledger\.jsonl line 2 is damaged: .*effsearch repair .* puts it aside"
    ):
        Ledger.open(path)
    with pytest.raises(RunError, match="line 2 is damaged"):
        read_entries(path)
    assert path.read_text() == content
    assert os.listdir(tmp_path) == ["ledger.jsonl"]


def test_a_record_of_another_schema_is_refused_even_at_the_end(tmp_path: Path, make_entry: MakeEntry) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text(to_line(make_entry()).replace('"schema_version": 1', '"schema_version": 7', 1))
    with pytest.raises(RunError, match=r"line 1: schema_version 7 cannot be read.*use a newer one"):
        Ledger.open(path)


def test_a_key_that_was_scored_on_two_lines_is_refused(tmp_path: Path, make_entry: MakeEntry) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text(to_line(make_entry()) + to_line(make_entry(seed=1)) + to_line(make_entry(name="again")))
    with pytest.raises(RunError, match="line 3 scores what line 1 has scored; effsearch repair"):
        Ledger.open(path)


def test_a_full_disk_leaves_ledger_and_memory_as_they_were(
    tmp_path: Path, make_entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.jsonl"
    write = os.write
    with Ledger.open(path) as ledger:
        ledger.append(make_entry(seed=1))
        before = path.read_bytes()
        with monkeypatch.context() as patch:
            patch.setattr(os, "write", lambda fd, data: write(fd, data[:20]))
            with pytest.raises(RunError, match=r"cannot write .*only 20 of \d+ bytes were written"):
                ledger.append(make_entry(seed=2))
        assert path.read_bytes() == before
        assert len(ledger) == 1
        ledger.append(make_entry(seed=2))
    assert len(read_entries(path)) == 2


def test_a_sync_that_fails_is_a_write_that_failed(
    tmp_path: Path, make_entry: MakeEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: int) -> None:
        raise OSError(5, "Input/output error")

    with Ledger.open(tmp_path / "ledger.jsonl") as ledger:
        monkeypatch.setattr(os, "fsync", fail)
        with pytest.raises(RunError, match=r"cannot write .*ledger\.jsonl: Input/output error"):
            ledger.append(make_entry())
        assert ledger.entries == ()
    assert (tmp_path / "ledger.jsonl").read_bytes() == b""


def test_no_file_is_no_records(tmp_path: Path) -> None:
    assert read_entries(tmp_path / "ledger.jsonl") == ()


def test_a_ledger_that_cannot_be_read_or_made_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"cannot read .*: Is a directory"):
        read_entries(tmp_path)
    with pytest.raises(RunError, match=r"cannot write .*missing/ledger.jsonl: No such file"):
        Ledger.open(tmp_path / "missing" / "ledger.jsonl")


def test_ledger_and_run_directory_load_no_heavy_library() -> None:
    code = (
        "import sys, effsearch.results.ledger, effsearch.results.run_dir, effsearch.results.trials, "
        "effsearch.results.plots.front, effsearch.results.plots.save\n"
        "print(sorted({'pandas', 'matplotlib', 'torch', 'optuna'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_ledger_whose_disk_is_gone_takes_no_more(tmp_path: Path, make_entry: MakeEntry) -> None:
    """A moved or unmounted file could still be written to, where nobody would look for it."""
    run, away = tmp_path / "run", tmp_path / "away"
    run.mkdir()
    with Ledger.open(run / "ledger.jsonl") as ledger:
        ledger.append(make_entry(seed=1))
        run.rename(away)
        with pytest.raises(RunError, match=r"cannot write .*ledger\.jsonl: it was moved or its disk is gone"):
            ledger.append(make_entry(seed=2))
        run.mkdir()
        (run / "ledger.jsonl").touch()
        with pytest.raises(RunError, match="it was moved or its disk is gone"):
            ledger.append(make_entry(seed=2))
        assert len(ledger) == 1
    assert len(read_entries(away / "ledger.jsonl")) == 1
