import json
from pathlib import Path
from typing import Any

import pytest

from effsearch.results.run_files import read_settings
from effsearch.space.errors import RunError


def run_with(tmp_path: Path, settings: dict[str, Any]) -> Path:
    content = {
        "schema_version": 1,
        "command": "baseline",
        "created": "2025-11-21T09:00:00+00:00",
        "settings": settings,
    }
    (tmp_path / "settings.json").write_text(json.dumps(content))
    return tmp_path


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seed": "7"}, r"settings\.json: the setting seed must be a whole number from 0 to .*, got '7'"),
        ({"seed": True}, "the setting seed must be a whole number"),
        (
            {"resolution": 10**9},
            "the setting resolution must be a whole number from 1 to 4,096, or null, got 1000000000",
        ),
        ({"training": [1]}, r"the setting training must be an object, got \[1\]"),
        ({"training": {"device": {}}}, r"the setting training\.device must be a text, got {}"),
        ({"fidelity": {"num_images": -1}}, r"the setting fidelity\.num_images must be a whole number from 1"),
        ({"budgets": [{"multiply_adds": "x"}]}, "the setting budgets must be a list of bounds of costs"),
        ({"minutes": -1}, "the setting minutes must be a number from 0"),
        ({"space": ["x" * 100]}, r"the setting space must be a text, got \['x{50,60}\.\.\.$"),
        ({"continues_rungs": 1}, "the setting continues_rungs must be true or false"),
    ],
)
def test_a_setting_of_another_kind_is_one_line(
    tmp_path: Path, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        read_settings(run_with(tmp_path, settings))


def test_a_setting_that_is_asked_for_and_lacks_is_one_line(tmp_path: Path) -> None:
    settings = read_settings(run_with(tmp_path, {"seed": 3})).settings
    assert settings["seed"] == 3
    assert settings.get("space") is None
    with pytest.raises(RunError, match=r"settings\.json: the settings lack space; it is no whole run"):
        settings["space"]


def test_settings_of_a_later_effsearch_pass(tmp_path: Path) -> None:
    stored = read_settings(run_with(tmp_path, {"from_the_future": {"x": [1]}, "num_seeds": None}))
    assert stored.settings == {"from_the_future": {"x": [1]}, "num_seeds": None}
