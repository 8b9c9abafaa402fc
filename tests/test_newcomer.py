"""The way from photographs to ONNX, as its page has it: every command runs, and says what the page says."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text("utf-8")
PAGE = (ROOT / "docs" / "newcomer.md").read_text("utf-8")


def transcript() -> Iterator[tuple[str, list[str]]]:
    """Each command of the page with the lines that it shows below it."""
    for block in re.findall(r"```console\n(.*?)```", PAGE, flags=re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            whole = part.replace("\\\n", "")
            command, _, said = whole.partition("\n")
            yield " ".join(command.split()), said.splitlines()


def shape(line: str) -> str:
    """A line without what differs between two runs: numbers, units, times, which network won, column widths."""
    line = line.replace(" (shorter training)", "")
    line = re.sub(r"\b[0-9a-f]{64}\b", "HASH", line)
    line = re.sub(r"(?<= MB in )\S+$", "FOLDER", line)
    line = re.sub(r"[+-]?\d[\d,.]*(e-\d+)?\s?[kMG]?B?(?![a-z0-9])%?", "#", line)
    line = re.sub(r"#% to #%|#% to #|# to #|(?<=│)\s+-\s+(?=│)", "#", line)
    line = re.sub(r"\b(beach|forest|night)\b", "CLASS", line)
    return re.sub(r"[\s━─]+", " ", line).strip()


def is_comparable(line: str) -> bool:
    """Whether every run says this: progress, plans and how many networks time allowed are its own affair."""
    own = (
        r"screening|screen:|search:|train:|ladder|proxy|time was up|a shorter|a dearer|\d+ networks|built cost|"
        r"\.\.\.|│ (trial|efficientnet|mnasnet)|the winner scores|give more"
    )
    return bool(line.strip()) and re.match(f"({own})", line) is None


def test_the_page_shows_its_commands_with_what_they_say() -> None:
    commands = [command for command, _ in transcript()]
    assert [command.split()[1] for command in commands if command.startswith("effsearch")] == [
        *("baseline", "scale", "report", "train", "export")
    ]
    compared = [line for _, said in transcript() for line in said if is_comparable(line)]
    assert len(compared) >= 20


def test_the_readmes_way_to_onnx_is_a_part_of_the_page() -> None:
    section = README.partition("## From photographs to ONNX\n")[2].partition("\n## ")[0]
    commands = [
        " ".join(line.partition("#")[0].split())
        for line in section.replace("\\\n", "").splitlines()
        if line.startswith("    ") and not line.strip().startswith("pip")
    ]
    assert len(commands) >= 4
    on_page = [command for command, _ in transcript()]
    assert [command for command in commands if command not in on_page] == []


@pytest.mark.slow
def test_the_page_runs_as_written(tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    environment = os.environ | {"EFFSEARCH_CACHE": str(tmp_path / "cache"), "PYTHONPATH": str(ROOT)}
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    for command, said in transcript():
        ended = subprocess.run(
            shlex.split(command), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, f"{command}\n{ended.stderr}"
        spoken = ended.stdout + ended.stderr
        shapes = {shape(line) for line in spoken.splitlines()}
        missing = [line for line in said if is_comparable(line) and shape(line) not in shapes]
        assert missing == [], f"{command}\n{spoken}"
    assert (tmp_path / "photos.onnx").stat().st_size > 100_000
