import json
from pathlib import Path
from typing import Any

import pytest

from effsearch.results.plots.collect_surface import collect_surface
from effsearch.results.plots.surface import Surface, SurfacePoint, draw_surface
from effsearch.space.errors import RunError, UsageError


def row(alpha: float, beta: float, gamma: float, expected: float, **changes: Any) -> dict[str, Any]:
    triple = {"alpha": alpha, "beta": beta, "gamma": gamma}
    found = {"triples": [triple], "expected": expected, "accuracies": [expected], "is_in_set": True}
    return triple | found | changes


BEST = row(1.0, 1.25, 1.15, 0.52)
REPORT: dict[str, Any] = {
    "base": "mine",
    "coefficients": {"alpha": 1.0, "beta": 1.25, "gamma": 1.15},
    "trials": 2,
    "trainings": 5,
    "candidates": [BEST, row(1.2, 1.1, 1.15, 0.48, is_in_set=False)],
    "untrained": [row(1.4, 1.2, 1.0, 0.5, accuracies=[])],
    "left_out": [{"alpha": 1.8, "beta": 1.0, "gamma": 1.05, "off": 0.07}],
    "interval": {"alpha": [1.0, 1.4], "beta": [1.1, 1.3], "gamma": [1.0, 1.2]},
    "set_networks": 2,
    "reachable_networks": 3,
    "seed_deviation": 0.007,
}


def run_with(folder: Path, **changes: Any) -> Path:
    (folder / "report.json").write_text(json.dumps(REPORT | changes))
    return folder


def test_points_winner_interval_and_the_papers_triple_are_read(tmp_path: Path) -> None:
    surface = collect_surface(run_with(tmp_path))
    assert surface.winner == SurfacePoint(
        alpha=1.0, beta=1.25, gamma=1.15, expected=0.52, is_trained=True, is_in_set=True
    )
    assert [(one.is_trained, one.is_in_set) for one in surface.points] == [
        (True, True),
        (True, False),
        (False, True),
    ]
    assert (surface.beta_interval, surface.gamma_interval) == ((1.1, 1.3), (1.0, 1.2))
    assert surface.left_out == ((1.0, 1.05),)
    assert surface.paper == (1.1, 1.15)
    assert surface.title == "Coefficients of mine: 2 networks, 5 trainings"
    assert "2 of 3 networks cannot be told apart" in surface.note


def test_the_papers_triple_is_drawn_only_where_it_was_compared(tmp_path: Path) -> None:
    assert collect_surface(run_with(tmp_path, candidates=[BEST])).paper is None


def test_a_search_that_goes_on_has_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="has no result yet: let it finish with effsearch scale --run"):
        collect_surface(tmp_path)


@pytest.mark.parametrize(
    "changes", [{"candidates": []}, {"interval": {"beta": [1.0]}}, {"left_out": [3]}, {"untrained": None}]
)
def test_a_report_that_does_not_hold_is_one_line(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(
        RunError, match=r"report\.json(: there must be an object| is no report of a coefficient search)"
    ):
        collect_surface(run_with(tmp_path, **changes))


def test_the_picture_has_each_kind_of_point_where_it_lies(tmp_path: Path) -> None:
    axes, bar = draw_surface(collect_surface(run_with(tmp_path))).axes
    places = {
        one.get_label(): one.get_offsets().tolist()
        for one in axes.collections
        if not str(one.get_label()).startswith("_")
    }
    assert places["cost missed"] == [[1.0, 1.05]]
    assert places["not told apart from the winner"] == [[1.25, 1.15]]
    assert places["worse"] == [[1.1, 1.15]]
    assert places["the paper's"] == [[1.1, 1.15]]
    assert places["winner: 1, 1.25, 1.15"] == [[1.25, 1.15]]
    assert bar.get_ylabel() == "expected accuracy (%)"


def test_one_point_is_a_picture_too() -> None:
    point = SurfacePoint(alpha=2.0, beta=1.0, gamma=1.0, expected=0.5, is_trained=True, is_in_set=True)
    interval = (1.0, 1.0)
    surface = Surface(
        title="t", points=(point,), left_out=(), winner=point, beta_interval=interval, gamma_interval=interval
    )
    assert len(draw_surface(surface).axes) == 2
