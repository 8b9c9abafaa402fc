"""The examples in Python, and the code in docs/python.md, run as they stand."""

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import effsearch

from .conftest import write_colours

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples"
TEXT = (ROOT / "docs" / "python.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path) -> Path:
    monkeypatch.setenv("EFFSEARCH_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_photos(folder: Path) -> None:
    """A folder of small JPEGs with three classes."""
    write_colours(folder / "png", side=16, num_images=60)
    for path in (folder / "png").rglob("*.png"):
        target = folder / "photos" / path.parent.name / f"{path.stem}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.open(path).save(target)


def test_the_own_space_is_searched_for_large_kernels(here: Path) -> None:
    run = runpy.run_path(str(EXAMPLES / "own_space.py"))["main"]()
    kernels = [block.kernel_size for stage in run.best.spec.stages for block in stage.blocks]
    assert run.best.accuracy == kernels.count(5) / len(kernels) >= 0.6
    assert run.best.cost.multiply_adds <= 30_000_000


def test_the_own_training_loop_learns_bars(here: Path) -> None:
    run = runpy.run_path(str(EXAMPLES / "own_training_loop.py"))["main"](engine="inline")
    assert run.best.accuracy > 0.5  # chance is a third
    assert run.settings["training"]["train_fn"] == "<run_path>:train"


@pytest.mark.slow
def test_own_images_go_all_the_way(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_photos(here)
    monkeypatch.setattr(sys, "argv", ["own_images.py", "photos", "0.3"])
    runpy.run_path(str(EXAMPLES / "own_images.py"))
    out = capsys.readouterr().out
    assert re.search(r"^test accuracy \d+\.\d%$", out, re.MULTILINE)
    assert {"photos.png", "photos_network.py", "photos_network.safetensors"} <= {
        path.name for path in here.iterdir()
    }
    assert len(list(Path("runs/photos/family").glob("*.json"))) == 3


def test_own_images_calls_what_there_is() -> None:
    """Quickly, without running it: every name of effsearch's is there, and every option of its calls."""
    import ast
    import inspect

    tree = ast.parse((EXAMPLES / "own_images.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    found = [one for one in calls if ast.unparse(one.func).startswith("effsearch.") and one.keywords]
    assert len(found) >= 5
    for call in found:
        function: Any = getattr(effsearch, ast.unparse(call.func).removeprefix("effsearch."))
        assert {one.arg for one in call.keywords} <= set(inspect.signature(function).parameters)


@pytest.mark.parametrize("number", range(1, len(BLOCKS)))
def test_the_code_of_the_page_runs(number: int, here: Path) -> None:
    exec(compile(BLOCKS[number], f"docs/python.md, block {number}", "exec"), {"__name__": "page"})


@pytest.mark.slow
def test_the_first_code_of_the_page_runs_with_less_time(here: Path) -> None:
    write_photos(here)
    code = BLOCKS[0].replace("minutes=60", "minutes=0.3").replace("epochs=30", "epochs=1")
    assert code.count("minutes=0.3") == code.count("epochs=1") == 1
    exec(compile(code, "docs/python.md", "exec"), {"__name__": "page"})
    assert Path("photos_network.py").exists()


def test_every_link_of_the_page_leads_to_a_file() -> None:
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", TEXT) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).exists()] == []
