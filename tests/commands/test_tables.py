"""What the tables say below their rows."""

from typing import Any

import pytest

from effsearch.commands.baseline.survey import describe_ladder, promotion_words
from effsearch.commands.baseline.tables import print_baseline
from effsearch.results.operators import count_operators
from effsearch.search.fidelity import continue_rungs, make_rungs
from effsearch.space.outcome import Fidelity


def row(name: str, *, pixels: int | None, rung: int = 1) -> dict[str, Any]:
    known = {} if pixels is None else {"trained_resolution": pixels}
    return known | {
        "name": name,
        "accuracy": 0.5,
        "accuracies": [0.5],
        "expected_score": 0.5,
        "rung": rung,
        "multiply_adds": 1000,
        "params": 100,
        "activations": 100,
        "spec_path": f"{name}.json",
    }


def report(best: dict[str, Any], *anchors: dict[str, Any]) -> dict[str, Any]:
    return {
        "best": best,
        "winners": [best],
        "finalists": [best],
        "anchors": list(anchors),
        "objective": "accuracy",
        "second_objective": None,
        "latency": None,
        "owed": 0,
        "untrained_anchors": [],
        "trials": 3,
        "failures": 0,
        "promoted": 0,
        "stopped_by": "trials",
        "operators": count_operators([]),
        "warnings": [],
        "certificate": None,
        "explanation": [],
    }


def test_anchors_that_were_trained_at_other_pixels_are_named(capsys: pytest.CaptureFixture[str]) -> None:
    anchors = (row("b0", pixels=24), row("a1", pixels=32), row("lower", pixels=16, rung=0))
    print_baseline(report(row("trial 1", pixels=32), *anchors))
    out = capsys.readouterr().out
    assert "trained at other pixels than the winner's 32: b0 at 24 px\n" in out
    assert "lower (shorter training)" in out


@pytest.mark.parametrize("pixels", [32, None])
def test_where_all_have_the_same_pixels_or_nobody_knows_nothing_is_said(
    capsys: pytest.CaptureFixture[str], pixels: int | None
) -> None:
    print_baseline(report(row("trial 1", pixels=pixels), row("b0", pixels=pixels)))
    assert "other pixels" not in capsys.readouterr().out


def test_a_ladder_names_every_rung_as_it_is_trained() -> None:
    top = Fidelity(num_images=192, num_epochs=10, resolution=32, num_removed_strides=0)
    fresh = make_rungs(top, num_rungs=3, reduction=3)
    assert describe_ladder(fresh) == (
        "3 rungs, 192 images x 4 epochs at 16 px, then 192 images x 6 epochs at 23 px, "
        "then 192 images x 10 epochs at 32 px"
    )
    assert describe_ladder(continue_rungs(fresh)) == (
        "3 rungs, 192 images x 4 epochs at 16 px, then 192 images x 4 epochs at 23 px, "
        "then 192 images x 7 epochs at 32 px"
    )
    assert promotion_words(3, True) == "one in 3 is promoted and goes on from its weights"
    assert promotion_words(3, False) == "one in 3 is promoted"
