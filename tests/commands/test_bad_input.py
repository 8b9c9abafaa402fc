"""What a user or somebody else has written wrongly ends in one line, and nothing of it runs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from effsearch.results.environment import git_commit
from effsearch.search.study_storage import absolute_url
from effsearch.space.presets import load_preset
from effsearch.space.text import to_dict

from ..conftest import Effsearch, refuses


@pytest.mark.parametrize("command", ["profile", "scale --coefficients 1.2,1.1,1.15 --base"])
def test_a_pipe_or_a_device_is_no_spec_and_is_not_waited_for(effsearch: Effsearch, command: str) -> None:
    os.mkfifo("pipe.json")
    Path("zero.yaml").symlink_to("/dev/zero")
    for name in ("pipe.json", "zero.yaml"):
        refuses(effsearch(*command.split(), name), 2, f"{name} is no spec file: it is a pipe, a device")


def test_a_file_of_gigabytes_is_no_spec(effsearch: Effsearch) -> None:
    Path("net.json").touch()
    os.truncate("net.json", 10**10)
    refuses(effsearch("profile", "net.json"), 2, "net.json is no spec file: it has 10,000,000,000 bytes")


def test_a_spec_may_begin_with_a_mark_and_end_its_lines_as_windows_does(effsearch: Effsearch) -> None:
    text = json.dumps(to_dict(load_preset("mobilenet-v3-small")), indent=1).replace("\n", "\r\n")
    Path("net.json").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert effsearch("profile", "net.json", "--json").json["multiply_adds"] == 56_510_400


@pytest.mark.parametrize("words", [["profile"], ["export", "--to", "safetensors"], ["train"]])
def test_a_network_that_no_memory_holds_is_refused_before_it_is_built(
    effsearch: Effsearch, words: list[str]
) -> None:
    spec = to_dict(load_preset("resnet-18"))
    for stage in spec["stages"]:
        stage["out_channels"] = 65_536
    Path("net.json").write_text(json.dumps(spec))
    ended = effsearch(*words, "net.json")
    refuses(ended, 2)
    assert "too large" in ended.err or "too long" in ended.err


def test_what_a_name_would_have_a_terminal_do_is_shown_and_not_done(effsearch: Effsearch) -> None:
    ended = effsearch("profile", "\x1b]0;owned\x07\x1b[2J.json")
    refuses(ended, 2, "no spec file at \\x1b]0;owned\\x07\\x1b[2J.json")
    assert "\x1b" not in ended.err


def test_a_name_that_no_encoding_holds_is_shown(effsearch: Effsearch) -> None:
    refuses(effsearch("profile", "a\udcff.json"), 2, "no spec file at a\\udcff.json")


def test_more_cores_for_a_training_than_there_are_is_refused(effsearch: Effsearch) -> None:
    ended = effsearch("baseline", "--engine", "ray", "--cpus-per-trial", "4096", "--dry-run")
    refuses(ended, 2, "--cpus-per-trial 4096 is more than this machine has", "--address")


@pytest.mark.parametrize(
    ("url", "absolute"),
    [
        ("sqlite:///studies.db", "sqlite:///{here}/studies.db"),
        ("sqlite:///a/../b.db?timeout=3", "sqlite:///{here}/b.db?timeout=3"),
        ("sqlite:////tmp/s.db", "sqlite:////tmp/s.db"),
        ("postgresql://me:secret@host/name", "postgresql://me:secret@host/name"),
    ],
)
def test_a_data_base_in_a_file_is_the_same_from_every_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str, absolute: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert absolute_url(url) == absolute.format(here=tmp_path)


def test_redis_snapshots_which_are_pickles_are_not_loaded() -> None:
    from effsearch.search.study_storage import _WithoutSnapshots

    assert _WithoutSnapshots.load_snapshot(object()) is None  # type: ignore[arg-type]  # no server is asked


def test_git_runs_no_program_that_a_repository_names(tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {canary}\ncat\n")
    program.chmod(0o755)
    repository = tmp_path / "repository"
    git = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", "init", "-q", str(repository)], check=True)
    (repository / "file").write_text("one")
    subprocess.run([*git, "add", "."], check=True)
    subprocess.run([*git, "commit", "-qm", "one"], check=True)
    (repository / ".gitattributes").write_text("* filter=evil\n")
    (repository / "file").write_text("two")
    for name in ("core.fsmonitor", "filter.evil.clean"):
        subprocess.run([*git, "config", name, str(program)], check=True)
    assert len(git_commit(repository)) == 40
    assert not canary.exists()


def test_a_worker_imports_nothing_from_the_directory_it_stands_in(tmp_path: Path) -> None:
    """A worker begins as `python -c`, for which Python would look for modules in the working directory first."""
    for name in ("multiprocessing", "random", "pickle", "torch"):
        (tmp_path / f"{name}.py").write_text("open('canary', 'w')\n")
    program = (
        "import sys\n"
        "from effsearch import cli\n"
        "sys.argv = ['effsearch', '--version']\n"
        "try:\n    cli.main()\n"
        "except SystemExit:\n    pass\n"
        "from multiprocessing import get_context\n"
        "process = get_context('spawn').Process(target=print)\n"
        "process.start()\nprocess.join()\nsys.exit(process.exitcode)\n"
    )
    script = tmp_path / "elsewhere" / "script.py"
    script.parent.mkdir()
    script.write_text(f"if __name__ == '__main__':\n    {program.replace(chr(10), chr(10) + '    ')}")
    here = Path(__file__).parents[2]
    ended = subprocess.run(
        [sys.executable, str(script)], cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(here)}, check=False
    )
    assert ended.returncode == 0
    assert not (tmp_path / "canary").exists()


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (("baseline", "--sampler", "thomson"), "did you mean 'thompson'?"),
        (("baseline", "--screen", "supernett"), "did you mean 'supernet'?"),
        (("train", "net.json", "--recipe", "efficientnetv3"), "did you mean 'efficientnetv2'?"),
        (("export", "net.json", "--to", "onxx"), "did you mean 'onnx'?"),
        (("baseline", "--space", "mbconf", "--dry-run"), "did you mean mbconv?"),
        (("profile", "efficientnet-b00"), "did you mean efficientnet-b0?"),
    ],
)
def test_the_nearest_choice_is_named(effsearch: Effsearch, words: tuple[str, ...], near: str) -> None:
    ended = effsearch(*words)
    refuses(ended, 2, near)
    assert "Value error" not in ended.err


def test_what_came_is_named_where_the_parser_does_not_say_it(effsearch: Effsearch) -> None:
    refuses(effsearch("baseline", "--workers", "two"), 2, "'--workers'", "got 'two'")
    refuses(effsearch("baseline", "--seed", "-3"), 2, "'--seed'", "-3")


@pytest.mark.parametrize(
    "words",
    [
        ("profile", "NAME"),
        ("baseline", "--space", "NAME", "--dry-run"),
        ("baseline", "--config", "NAME"),
        ("baseline", "--data", "NAME", "--dry-run"),
        ("baseline", "--run", "NAME", "--dry-run", "--data", "gone"),
        ("scale", "--base", "NAME", "--coefficients", "1.2,1.1,1.15"),
        ("export", "NAME", "--to", "torch"),
        ("train", "NAME"),
        ("status", "NAME"),
        ("plot", "NAME"),
        ("report", "NAME"),
        ("explain", "NAME"),
        ("validate", "NAME"),
        ("dashboard", "NAME"),
    ],
)
def test_a_name_that_can_be_no_path_is_one_line(effsearch: Effsearch, words: tuple[str, ...]) -> None:
    for name in ("x" * 5_000, "loop/a"):
        if not Path("loop").is_symlink():
            Path("loop").symlink_to("loop")
        ended = effsearch(*(name if word == "NAME" else word for word in words))
        assert ended.code in (1, 2), ended.err
        assert "a bug in effsearch" not in ended.err
        assert ended.err.strip().splitlines()[-1].startswith("effsearch: ")
