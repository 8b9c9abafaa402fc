import json
import subprocess
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from effsearch.results import environment
from effsearch.results.environment import cpu_model, describe_environment, git_commit, version_of


def test_an_environment_is_json_with_versions_machine_and_command() -> None:
    now = datetime(2025, 11, 21, 3, tzinfo=timezone(timedelta(hours=2)))
    found = json.loads(json.dumps(describe_environment(now=now, command_line=["effsearch", "a b"])))
    assert found["time"] == "2025-11-21T01:00:00+00:00"
    assert found["command_line"] == "effsearch 'a b'"
    assert {"python", "effsearch", "torch", "numpy", "optuna"} <= set(found["versions"])
    assert found["cpu"]
    assert 1 <= found["usable_cores"] <= found["cores"]
    assert found["memory_bytes"] > 2**20


def test_without_a_command_line_it_is_this_process_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["effsearch", "plot"])
    assert describe_environment(now=datetime.now(UTC))["command_line"] == "effsearch plot"


def test_a_package_that_is_not_there_is_said_to_be_so() -> None:
    assert version_of("no-such-package-of-effsearch") == "not installed"


def test_the_cpu_is_named_as_its_maker_does(tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Example CPU @ 3.00GHz\n")
    assert cpu_model(tmp_path / "cpuinfo") == "Example CPU @ 3.00GHz"


def test_a_cpu_without_a_name_is_at_least_an_architecture(tmp_path: Path) -> None:
    assert cpu_model(tmp_path / "missing")


def test_the_commit_is_found_and_marked_where_files_differ(tmp_path: Path) -> None:
    def git(*words: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        command = ["git", "-C", str(tmp_path), *identity, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    assert git_commit(tmp_path) == ""
    git("init", "-q")
    assert git_commit(tmp_path) == "", "a repository without a commit"
    (tmp_path / "file").write_text("1")
    git("add", "file")
    git("commit", "-qm", "first")
    git("tag", "-a", "v1", "-m", "a tag must not hide the commit")
    commit = git("rev-parse", "HEAD")
    assert git_commit(tmp_path) == commit
    (tmp_path / "file").write_text("2")
    assert git_commit(tmp_path) == f"{commit}-dirty"


def test_a_machine_without_git_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit(tmp_path) == ""


def test_a_machine_that_does_not_say_has_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: str) -> int:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr("os.sysconf", refuse)
    assert environment.memory_bytes() == 0
