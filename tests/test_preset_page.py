"""docs/presets.md is what its script prints, and the counts agree with what was published."""

import runpy
from pathlib import Path
from typing import Any

import pytest

from effsearch.space.cost import count_cost
from effsearch.space.presets import load_preset, preset_names

ROOT = Path(__file__).parents[1]

# How far multiply-adds may lie from the published figure, which is rounded to two digits where it is rounded.
BOUNDS = {
    "efficientnet-b": 0.05,
    "efficientnet-lite": 0.06,
    "efficientnetv2": 0.01,
    "mnasnet": 0.01,
    "mobilenet": 0.015,
    "resnet": 0.001,
}


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "benchmarks" / "preset_table.py"))


def test_the_page_of_presets_is_up_to_date(script: dict[str, Any]) -> None:
    assert (ROOT / "docs" / "presets.md").read_text("utf-8") == script["preset_page"]()


def test_multiply_adds_are_near_the_published_ones(script: dict[str, Any]) -> None:
    published = script["PUBLISHED"]
    unpublished = {"efficientnet-b8", "efficientnet-l2", "efficientnetv2-xl"}
    assert set(preset_names()) == {*published, *unpublished}
    for name, figures in published.items():
        bound = max((prefix for prefix in BOUNDS if name.startswith(prefix)), key=len)
        counted = count_cost(load_preset(name)).multiply_adds
        assert counted == pytest.approx(figures.multiply_adds * 1e9, rel=BOUNDS[bound]), name
