from datetime import UTC, datetime
from pathlib import Path

import pytest

from effsearch.results import run_log
from effsearch.results.leftovers import find_leftovers, sweep_leftovers
from effsearch.results.run_dir import create_or_resume
from effsearch.results.run_log import RunLog
from effsearch.space.errors import RunError


def read(run: Path) -> str:
    return (run / "run.log").read_text()


def start(run: Path, *words: str) -> "run_log.RunLog":
    with create_or_resume(
        run,
        command="baseline",
        settings={},
        free_settings=frozenset(),
        now=datetime.now(UTC),
        runs_root=run.parent,
        command_line=["effsearch", *words],
    ) as directory:
        return directory.log


def test_starts_and_ends_are_noted_without_passwords(tmp_path: Path) -> None:
    start(tmp_path / "run", "--storage", "postgresql://me:sesame@host/db")
    start(tmp_path / "run", "again")
    text = read(tmp_path / "run")
    assert "sesame" not in text
    lines = text.splitlines()
    assert ["started" in lines[0], lines[1].endswith("ended"), "resumed" in lines[2]] == [True, True, True]
    assert "postgresql://me:***@host/db" in lines[0]
    assert datetime.fromisoformat(lines[0].split()[0]).tzinfo is not None


def test_an_error_is_a_line_and_a_bug_or_debugging_a_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(error: BaseException) -> None:
        with create_or_resume(
            tmp_path / "run",
            command="baseline",
            settings={},
            free_settings=frozenset(),
            now=datetime.now(UTC),
            runs_root=tmp_path,
        ):
            (tmp_path / "run" / "run.log").unlink()
            raise error

    def fail(error: BaseException) -> str:
        with pytest.raises(type(error)):
            break_off(error)
        return read(tmp_path / "run")

    monkeypatch.delenv(run_log.DEBUG_VARIABLE, raising=False)
    assert "failed: the disk is full" in fail(RunError("the disk is full"))
    assert "Traceback" not in read(tmp_path / "run")
    assert "Traceback" in fail(ZeroDivisionError("a bug"))
    monkeypatch.setenv(run_log.DEBUG_VARIABLE, "1")
    assert "Traceback" in fail(RunError("the disk is full"))
    assert "stopped: interrupted" in fail(KeyboardInterrupt())
    assert "stopped: exit code 143" in fail(SystemExit(143))


def test_a_stack_leaves_out_the_line_that_is_said_anyway_and_nothing_else() -> None:
    def fail(error: BaseException) -> str:
        try:
            try:
                raise KeyError("what led to it")
            except KeyError as cause:
                raise error from cause
        except BaseException as caught:
            return run_log.stack_of(caught)

    error = RunError("two\nlines")
    error.add_note("in the worker:\nTraceback ...")
    text = fail(error)
    assert text.endswith("raise error from cause\nin the worker:\nTraceback ...\n")
    assert "KeyError: 'what led to it'" in text
    assert "two" not in text
    assert "boom" in fail(ExceptionGroup("boom", [ValueError("a part")]))


def test_a_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_log, "MOST_BYTES", 2_000)
    log = RunLog(tmp_path)
    for number in range(500):
        log.note(f"line {number}")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.log", "run.log.1"]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 4_000
    assert "line 499" in read(tmp_path)


def test_a_log_that_cannot_be_written_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    RunLog(tmp_path / "missing").note("a line")
    assert capsys.readouterr() == ("", "")


def test_what_a_killed_process_left_half_written_is_swept_by_the_next_owner(tmp_path: Path) -> None:
    run = tmp_path / "run"
    start(run)
    left = [
        ".best.json.0123abcd.tmp",
        "specs/.best.json.0123abcd.tmp",
        ".status.json.part",
        "checkpoints/a.1.f.part",
    ]
    left += ["supernet/.round000-replica0.safetensors.part"]
    kept = [".gitkeep", "notes.tmp", "specs/best.json", "checkpoints/a.1.f.safetensors", "notes.part"]
    for name in (*left, *kept):
        (run / name).parent.mkdir(exist_ok=True)
        (run / name).touch()
    assert sorted(find_leftovers(run)) == sorted(run / name for name in left)
    start(run)
    assert [name for name in left if (run / name).exists()] == []
    assert [name for name in kept if not (run / name).exists()] == []
    assert sweep_leftovers(tmp_path / "missing") == 0
