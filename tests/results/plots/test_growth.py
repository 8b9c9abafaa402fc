import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from effsearch.results.plots.collect_growth import collect_growth
from effsearch.results.plots.growth import Growth, draw_growth
from effsearch.space.errors import RunError

RECORD: dict[str, Any] = {
    "base": "mine",
    "rule": "strict",
    "coefficients": {"alpha": 1.2, "beta": 1.1, "gamma": 1.15},
    "family": [
        {"phi": 1.0, "nominal_multiply_adds": 200, "multiply_adds": 260},
        {"phi": 2.0, "nominal_multiply_adds": 400, "multiply_adds": 390},
    ],
    "between": [[1.0, 200, 260], [1.5, 283, 300], [2.0, 400, 390]],
}


def written(folder: Path, **changes: Any) -> Path:
    (folder / "family.json").write_text(json.dumps(RECORD | changes))
    return folder


def test_a_familys_costs_are_read_from_its_record(tmp_path: Path) -> None:
    growth = collect_growth(written(tmp_path))
    assert growth == Growth(
        title="mine scaled: strict, alpha 1.2, beta 1.1, gamma 1.15",
        phis=(1.0, 2.0),
        nominal=(200.0, 400.0),
        built=(260, 390),
        between=((1.0, 200.0, 260), (1.5, 283.0, 300), (2.0, 400.0, 390)),
    )


def test_a_rule_without_coefficients_has_its_name_alone(tmp_path: Path) -> None:
    growth = collect_growth(written(tmp_path, rule="official", coefficients=None, between=[]))
    assert (growth.title, growth.between) == ("mine scaled: official", ())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"family": []}, r"family\.json holds no family; write it anew with effsearch scale"),
        ({"family": [{"phi": "one"}]}, r"family\.json: phi must be a number, got 'one'"),
        ({"between": [[1.0, 2.0]]}, r"family\.json: built must be a whole number of at least 1, got None"),
    ],
)
def test_a_record_that_does_not_hold_is_one_line(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(RunError, match=message):
        collect_growth(written(tmp_path, **changes))


def test_the_panels_show_costs_and_how_far_they_are_apart(tmp_path: Path) -> None:
    figure = draw_growth(collect_growth(written(tmp_path)))
    costs, offs = figure.axes
    assert costs.get_yscale() == "log"
    (nominal, between, members) = costs.get_lines()
    assert list(nominal.get_ydata()) == [200.0, 283.0, 400.0]
    assert list(between.get_ydata()) == [260, 300, 390]
    assert list(members.get_ydata()) == [260, 390]
    assert np.allclose(offs.get_lines()[-1].get_ydata(), [30.0, -2.5])
    low, high = offs.get_ylim()
    assert low < -2.5 < 30 < high


def test_a_family_that_keeps_its_promise_still_has_an_axis() -> None:
    growth = Growth(title="t", phis=(1.0,), nominal=(100.0,), built=(100,))
    _, offs = draw_growth(growth).axes
    assert offs.get_ylim()[0] < 0 < offs.get_ylim()[1]
