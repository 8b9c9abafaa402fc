"""Searches from programs that workers cannot import, and Ctrl-C."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # each starts a program and workers that load torch

PROGRAM = textwrap.dedent(
    """
    import numpy as np
    import effsearch

    SHARE = 97

    def train(spec, fidelity, seed, images):
        return effsearch.count_cost(spec).parameters % SHARE / SHARE

    images = np.random.default_rng(0).integers(0, 256, (60, 12, 12, 3), dtype=np.uint8)
    run = effsearch.baseline(
        budget="400M-FLOPs", data=(images, np.arange(60) % 3), train_fn=train, trials=3, finalists=1, seeds=1,
        anchors=False, workers=2, run="found", progress=False,
    )
    print(len(run.trials), run.best.accuracy == max(run.trials["accuracy"]))
    """
)


@pytest.mark.parametrize("way", ["stdin", "script without a guard"])
def test_a_function_of_the_main_program_reaches_the_workers(here: Path, way: str) -> None:
    Path("program.py").write_text(PROGRAM)
    words = ["-"] if way == "stdin" else ["program.py"]
    done = subprocess.run(
        [sys.executable, *words],
        input=PROGRAM if way == "stdin" else "",
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("3 True\n", "", 0)


def test_a_module_that_workers_cannot_import_is_one_clear_line(here: Path) -> None:
    """It is pickled by name, as a function of a module is, and the module is found by the driver alone."""
    program = PROGRAM.replace("import effsearch\n", "import effsearch, sys, types\n").replace(
        "images = np",
        'm = types.ModuleType("gone"); sys.modules["gone"] = m; m.train = train\n'
        'train.__module__ = "gone"\nimages = np',
    )
    done = subprocess.run([sys.executable, "-"], input=program, capture_output=True, text=True, check=False)
    assert "a worker cannot load gone:train: ModuleNotFoundError" in done.stderr.splitlines()[-1]
