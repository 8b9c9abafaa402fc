"""Shells are answered: the protocol of each shell, through the installed script."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from effsearch import cli
from effsearch.command_line.completion import COMPLETIONS

# The script beside this Python, as a user has it on the path.
SCRIPT = Path(sys.executable).parent / "effsearch"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two runs, and one below runs/ that is none."""
    for name in ("photos", "trained", "other"):
        (tmp_path / "runs" / name).mkdir(parents=True)
    for name in ("photos", "trained"):
        (tmp_path / "runs" / name / "settings.json").write_text("{}")
    return tmp_path


def ask(folder: Path, line: str, *, shell: str = "bash") -> subprocess.CompletedProcess[str]:
    """Press tab at the end of a line."""
    words = line.split()
    number = len(words) - (0 if line.endswith(" ") else 1)
    environment = os.environ | {"_EFFSEARCH_COMPLETE": f"complete_{shell}"}
    environment |= {"COMP_WORDS": line, "COMP_CWORD": str(number), "_TYPER_COMPLETE_ARGS": line}
    environment |= {"_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    return subprocess.run([SCRIPT], cwd=folder, env=environment, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("effsearch st", ["status"]),
        ("effsearch train --rec", ["--recipe"]),
        ("effsearch train --recipe e", ["efficientnet", "efficientnetv2"]),
        ("effsearch prune runs/", ["runs/photos", "runs/trained"]),
        ("effsearch prune --importance ", ["taylor", "magnitude", "bn"]),
        ("effsearch prune --share ", ["even", "global"]),
        ("effsearch export x --to onnx", ["onnx", "onnx-int8"]),
        ("effsearch export runs/", ["runs/photos", "runs/trained"]),
        ("effsearch scale --base mobilenet-v", ["mobilenet-v1", "mobilenet-v2", "mobilenet-v3-large"]),
        ("effsearch baseline --space mn", ["mnasnet"]),
        ("effsearch baseline --data ", ["synthetic", "cifar10"]),
        ("effsearch baseline --warm-start runs/p", ["runs/photos"]),
        ("effsearch plot runs/photos runs/t", ["runs/trained"]),
        ("effsearch baseline --data photo", []),  # the shell goes on with files
    ],
)
def test_bash_is_told_what_fits(folder: Path, line: str, words: list[str]) -> None:
    answer = ask(folder, line)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.split()[: len(words) or None] == words


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_told_the_same(folder: Path, shell: str) -> None:
    answer = ask(folder, "effsearch export runs/p", shell=shell)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "runs/photos" in answer.stdout
    assert "runs/trained" not in answer.stdout


def test_where_there_are_no_runs_none_are_named(tmp_path: Path) -> None:
    answer = ask(tmp_path, "effsearch report ")
    assert (answer.returncode, answer.stdout.strip(), answer.stderr) == (0, "", "")


def test_completing_imports_nothing_heavy(folder: Path) -> None:
    code = (
        "import os, sys, effsearch.cli as cli\n"
        "try: cli.main()\n"
        "finally: print(*({'torch', 'optuna', 'pandas', 'numpy'} & set(sys.modules)), file=sys.stderr)"
    )
    line = "effsearch export runs/"
    environment = os.environ | {"_EFFSEARCH_COMPLETE": "complete_bash", "COMP_WORDS": line, "COMP_CWORD": "2"}
    command = [sys.executable, "-c", f"import sys; sys.argv = ['effsearch']\n{code}"]
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert ended.stdout.split() == ["runs/photos", "runs/trained"]
    assert ended.stderr.strip() == ""


def test_every_completion_is_of_a_parameter_that_a_command_has() -> None:
    names = {
        parameter.name for command in cli.make_program().commands.values() for parameter in command.params
    }
    assert set(COMPLETIONS) <= names


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_for_a_shell_asks_effsearch(shell: str, tmp_path: Path) -> None:
    environment = os.environ | {"_EFFSEARCH_COMPLETE": f"source_{shell}"}
    ended = subprocess.run([SCRIPT], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert f"complete_{shell}" in ended.stdout


def test_bash_completes_with_the_script_loaded(folder: Path) -> None:
    bash = shutil.which("bash")
    assert bash
    program = (
        f'PATH="{SCRIPT.parent}:$PATH"; eval "$(_EFFSEARCH_COMPLETE=source_bash effsearch)"; '
        "COMP_WORDS=(effsearch train runs/p); COMP_CWORD=2; "
        'complete -p effsearch >&2; _effsearch_completion effsearch; echo "${COMPREPLY[@]}"'
    )
    ended = subprocess.run([bash, "-c", program], cwd=folder, capture_output=True, text=True)
    assert ended.stdout.split() == ["runs/photos"], ended.stderr


def test_installing_writes_to_the_shells_own_file(tmp_path: Path) -> None:
    """In a home of its own, asked from a bash."""
    bash = shutil.which("bash")
    assert bash
    environment = os.environ | {"HOME": str(tmp_path), "PATH": f"{SCRIPT.parent}:{os.environ['PATH']}"}
    program = "effsearch --install-completion; exit $?"
    ended = subprocess.run(
        [bash, "-c", program], cwd=tmp_path, env=environment, capture_output=True, text=True
    )
    assert "Traceback" not in ended.stderr
    assert ended.returncode == 0, ended.stderr
    assert ".bash_completions" in (tmp_path / ".bashrc").read_text()


@pytest.mark.parametrize(
    "words", [{}, {"COMP_WORDS": "effsearch st"}, {"COMP_WORDS": "x", "COMP_CWORD": "one"}]
)
def test_asking_by_hand_without_the_words_is_one_line(folder: Path, words: dict[str, str]) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COMP_")}
    environment |= words | {"_EFFSEARCH_COMPLETE": "complete_bash"}
    answer = subprocess.run([SCRIPT], cwd=folder, env=environment, capture_output=True, text=True)
    assert (answer.returncode, answer.stdout) == (2, "")
    assert len(answer.stderr.splitlines()) == 1
    assert "nothing to complete: _EFFSEARCH_COMPLETE is for the script of" in answer.stderr
