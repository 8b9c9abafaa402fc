"""`effsearch scale --base PRESET`: every known network grows into a family."""

from pathlib import Path

import pytest

from effsearch.space.cost import count_cost
from effsearch.space.presets import load_preset, preset_names
from effsearch.space.text import from_json

from ..conftest import Effsearch


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_a_base_to_scale(effsearch: Effsearch, name: str) -> None:
    words = ["--base", name, "--coefficients", "1.2,1.1,1.15", "--phi", "1", "--json"]
    (member,) = effsearch("scale", *words).json["family"]
    spec = from_json(Path(member["spec_path"]).read_text("utf-8"))
    assert spec.resolution == round(load_preset(name).resolution * 1.15)
    assert member["multiply_adds"] == count_cost(spec).multiply_adds
    assert 1.5 < member["multiply_adds"] / count_cost(load_preset(name)).multiply_adds < 3.3
