"""The examples run as they stand."""

import re
import runpy
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def test_the_search_with_a_formula_prints_its_winner(capsys: pytest.CaptureFixture[str]) -> None:
    runpy.run_path(str(EXAMPLES / "search_with_a_formula.py"), run_name="__main__")
    found = re.fullmatch(r"trial \d+: (0\.\d{3}), Cost\(multiply_adds=(\d+), .*\)\n", capsys.readouterr().out)
    assert found
    assert float(found[1]) >= 0.5  # four of eight blocks; random networks have some two and a half
    assert int(found[2]) <= 60_000_000
