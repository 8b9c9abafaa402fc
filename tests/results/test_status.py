import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from effsearch.results.run_lock import acquire_lock
from effsearch.results.status import (
    LEAST_SECONDS,
    STATUS_FILE,
    Holder,
    RunStatus,
    StatusFile,
    Step,
    read_holder,
    read_status,
)
from effsearch.space.errors import RunError
from effsearch.space.slot_status import SlotStatus

STEP = Step(what="search", done=3.0, total=10.0, text="3 trained")
SLOTS = (SlotStatus(slot=0, task="trial 1", task_seconds=2.0), SlotStatus(slot=1, num_ended=4))


class Clock:
    """A clock that moves when it is told to."""

    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_what_is_shown_comes_back(tmp_path: Path) -> None:
    clock = Clock()
    file = StatusFile(tmp_path, clock)
    file.show_step(STEP)
    file.show_slots(SLOTS)
    assert read_status(tmp_path) == RunStatus(time=1_000.0, step=STEP, slots=SLOTS)
    assert [path.name for path in tmp_path.iterdir()] == [STATUS_FILE]


def test_how_far_it_is_is_written_now_and_then_and_a_new_step_at_once(tmp_path: Path) -> None:
    clock = Clock()
    file = StatusFile(tmp_path, clock)
    file.show_step(STEP)
    clock.now += LEAST_SECONDS / 2
    file.show_step(Step(what="search", done=4.0, total=10.0, text="4 trained"))
    status = read_status(tmp_path)
    assert status is not None
    assert status.step == STEP
    confirm = Step(what="confirm", done=0.0, total=None, text="")
    file.show_step(confirm)
    status = read_status(tmp_path)
    assert status is not None
    assert status.step == confirm


def test_a_status_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    file = StatusFile(tmp_path / "gone", Clock())
    file.show_step(STEP)
    file.show_slots(SLOTS)
    assert read_status(tmp_path / "gone") is None


@pytest.mark.parametrize("content", ["{}", '{"time": 1, "step": {"what": 1}, "slots": []}', "[1]", "no"])
def test_a_file_of_something_else_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / STATUS_FILE).write_text(content)
    with pytest.raises(RunError, match=STATUS_FILE):
        read_status(tmp_path)


def test_the_holder_of_a_lock_is_alive_until_it_lets_go(tmp_path: Path) -> None:
    assert read_holder(tmp_path) is None
    lock = acquire_lock(tmp_path / "run.lock")
    assert read_holder(tmp_path) == Holder(process=os.getpid(), host=socket.gethostname(), is_alive=True)
    lock.release()
    assert read_holder(tmp_path) is None


def test_a_holder_that_was_killed_is_not_alive(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    (tmp_path / "run.lock").write_text(f"process {process.pid} on {socket.gethostname()}\n")
    holder = read_holder(tmp_path)
    assert holder is not None
    assert holder.is_alive is False


def test_nobody_here_can_tell_of_a_process_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "run.lock").write_text("process 1 on another-host\n")
    assert read_holder(tmp_path) == Holder(process=1, host="another-host", is_alive=None)


def test_a_lock_that_says_something_else_names_nobody(tmp_path: Path) -> None:
    (tmp_path / "run.lock").write_text("somebody\n")
    assert read_holder(tmp_path) is None


def test_the_file_is_plain_json(tmp_path: Path) -> None:
    StatusFile(tmp_path, Clock()).show_slots(SLOTS)
    content = json.loads((tmp_path / STATUS_FILE).read_text())
    assert content["slots"][0]["task"] == "trial 1"


def test_a_status_that_is_stopped_in_the_middle_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(path: Path, target: Path) -> None:
        raise SystemExit(143)

    monkeypatch.setattr(Path, "replace", stop)
    with pytest.raises(SystemExit):
        StatusFile(tmp_path, Clock()).show_step(STEP)
    assert os.listdir(tmp_path) == []
