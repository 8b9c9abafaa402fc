import errno
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from effsearch.results import owner as owner_module
from effsearch.results.owner import Owner, is_alive, read_owner, this_process
from effsearch.results.run_lock import HELD_SUFFIX, acquire_lock, claimed_run
from effsearch.space.errors import RunError


def test_an_owner_comes_back_from_its_file() -> None:
    mine = this_process()
    assert read_owner(mine.to_text()) == mine
    assert mine.process == os.getpid()
    assert is_alive(mine)
    assert read_owner("process 12 on box\n") == Owner(process=12, host="box")  # of an older version
    assert read_owner("") is None
    assert read_owner("process one on box\n") is None
    assert str(Owner(process=12, host="box", boot="0123456789")) == "process 12 on box (boot 01234567)"


def test_a_number_that_another_process_has_now_is_no_owner() -> None:
    mine = this_process()
    if not mine.started:
        pytest.skip("this system does not say when a process began")
    assert (
        is_alive(Owner(process=mine.process, host=mine.host, boot=mine.boot, started=mine.started - 1))
        is False
    )


def test_an_owner_of_an_earlier_start_of_the_machine_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    boot = tmp_path / "boot_id"
    boot.write_text("now\n")
    monkeypatch.setattr(owner_module, "BOOT_ID", boot)
    here = socket.gethostname()
    assert is_alive(Owner(process=os.getpid(), host=here, boot="now"))
    assert is_alive(Owner(process=os.getpid(), host=here, boot="before")) is False
    assert is_alive(Owner(process=os.getpid(), host="elsewhere", boot="before")) is None


def test_a_system_that_tells_neither_boot_nor_start_goes_by_the_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owner_module, "BOOT_ID", tmp_path / "missing")
    monkeypatch.setattr(owner_module, "_start_of", lambda process: None)
    mine = this_process()
    assert (mine.boot, mine.started) == ("", 0)
    assert read_owner(mine.to_text()) == mine
    assert is_alive(mine)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert is_alive(Owner(process=gone.pid, host=mine.host)) is False


def refuse_flock(*_: object) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


def test_without_flock_a_second_file_is_the_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("effsearch.results.run_lock.fcntl.flock", refuse_flock)
    path = tmp_path / "run.lock"
    held = tmp_path / f"run.lock{HELD_SUFFIX}"
    lock = acquire_lock(path)
    with pytest.raises(
        RunError, match=rf"in use by process {os.getpid()} on .*where that has ended, delete .*held"
    ):
        acquire_lock(path)
    lock.release()
    assert not held.exists()
    acquire_lock(path).release()


def test_without_flock_a_dead_owner_is_none_and_one_elsewhere_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("effsearch.results.run_lock.fcntl.flock", refuse_flock)
    path, held = tmp_path / "run.lock", tmp_path / f"run.lock{HELD_SUFFIX}"
    mine = this_process()
    held.write_text(Owner(process=mine.process, host=mine.host, boot="before", started=1).to_text())
    acquire_lock(path).release()
    held.write_text(Owner(process=1, host="elsewhere", boot="b", started=1).to_text())
    with pytest.raises(RunError, match=r"in use by process 1 on elsewhere \(boot b\)"):
        acquire_lock(path)
    held.write_text("")  # made a moment ago, and not yet written
    with pytest.raises(RunError, match="in use by another process"):
        acquire_lock(path)


def test_a_lock_that_fails_otherwise_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("effsearch.results.run_lock.fcntl.flock", fail)
    with pytest.raises(RunError, match=r"cannot lock .*run\.lock: Input/output error"):
        acquire_lock(tmp_path / "run.lock")


def test_a_lock_file_that_is_replaced_before_it_is_locked_is_locked_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last owner takes the file of a run that came to nothing away: a lock on that would let two in."""
    import fcntl

    path = tmp_path / "run.lock"
    flock, calls = fcntl.flock, []

    def replaced(descriptor: int, operation: int) -> None:
        calls.append(descriptor)
        if len(calls) == 1:
            path.unlink()
        flock(descriptor, operation)

    monkeypatch.setattr("effsearch.results.run_lock.fcntl.flock", replaced)
    lock = acquire_lock(path)
    assert len(calls) == 2
    assert read_owner(path.read_text()) == this_process()
    lock.release()


def test_a_claim_keeps_others_out_and_is_taken_over(tmp_path: Path) -> None:
    run = tmp_path / "deep" / "run"
    code = "import sys, pathlib; from effsearch.results.run_lock import acquire_lock; "
    code += "acquire_lock(pathlib.Path(sys.argv[1]) / 'run.lock')"

    def second() -> str:
        return subprocess.run([sys.executable, "-c", code, str(run)], capture_output=True, text=True).stderr

    with claimed_run(run):
        assert f"in use by process {os.getpid()}" in second()
        lock = acquire_lock(run / "run.lock")
        assert f"in use by process {os.getpid()}" in second()
        (run / "settings.json").write_text("{}")
        lock.release()
    assert second() == ""
    assert sorted(os.listdir(run)) == ["run.lock", "settings.json"]


def test_a_claim_that_came_to_no_run_leaves_nothing(tmp_path: Path) -> None:
    with claimed_run(tmp_path / "deep" / "run"):
        pass
    assert os.listdir(tmp_path) == []
    with pytest.raises(ZeroDivisionError), claimed_run(tmp_path / "run"):
        raise ZeroDivisionError
    assert os.listdir(tmp_path) == []


def test_what_is_no_run_is_not_touched_by_a_claim(tmp_path: Path) -> None:
    (tmp_path / "cat.jpg").touch()
    with claimed_run(tmp_path), claimed_run(None), claimed_run(tmp_path / "cat.jpg" / "run"):
        assert os.listdir(tmp_path) == ["cat.jpg"]
    assert os.listdir(tmp_path) == ["cat.jpg"]


def test_a_folder_that_cannot_be_made_is_said_at_once(tmp_path: Path) -> None:
    (tmp_path / "dangling").symlink_to("nowhere/else")
    with (
        pytest.raises(RunError, match=r"cannot write .*dangling: File exists"),
        claimed_run(tmp_path / "dangling"),
    ):
        pass
    (tmp_path / "file").write_text("")
    with claimed_run(tmp_path / "file" / "run"):  # the command says that it is no folder, in words of its own
        pass
