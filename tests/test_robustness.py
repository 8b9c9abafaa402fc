"""What the scripts in benchmarks/robustness show, a share of it; `slow` has the whole.

Each script breaks real searches and ends with an exit code of its own where a guarantee does not hold.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).parents[1] / "benchmarks" / "robustness"


def run_script(name: str, *words: str, cache: Path) -> None:
    environment = os.environ | {"EFFSEARCH_CACHE": str(cache), "OPENBLAS_NUM_THREADS": "1"}
    ended = subprocess.run(
        [sys.executable, str(SCRIPTS / f"{name}.py"), *words, "--no-record"],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert ended.returncode == 0, ended.stdout[-3000:] + ended.stderr[-2000:]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("kills", ("--count", "4")),
        ("torn_files", ("--every", "97", "--tails", "20")),
        ("full_disk", ("--count", "3")),
        ("soak", ("--count", "150", "--most-growth", "1")),
        ("determinism", ("--same", "1", "--resumed", "2", "--trainings", "0")),
        ("drivers", ("--count", "1", "--drivers", "0")),
    ],
)
def test_a_share_of_what_a_script_shows(name: str, words: tuple[str, ...], cache: Path) -> None:
    run_script(name, *words, cache=cache)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["kills", "torn_files", "full_disk", "soak", "determinism", "drivers", "signals"]
)
def test_all_that_a_script_shows(name: str, cache: Path) -> None:
    run_script(name, cache=cache)
