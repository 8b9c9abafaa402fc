"""What full trainings of a winner look like on the page of its search."""

from typing import Any

from effsearch.results.report.contents import read_contents
from effsearch.results.report.full_trainings import make_full_trainings
from effsearch.results.report.page import Report

from .conftest import HOSTILE, MakeRun
from .markup import Markup, page_of, words_of

ROW = {
    "network_hash": "h1",
    "accuracy": 0.8123,
    "test_accuracy": 0.8034,
    "test_top5": 0.97,
    "recipe": "fast",
    "epochs": 30,
    "resolution": 32,
    "multiply_adds": 40_000_000,
    "trained_in": "runs/photos-trained",
}


def page(make_run: MakeRun, result: dict[str, Any], noted: Any) -> Report:
    return page_of(make_run(report=result, files={"full_trainings.json": noted}))


def test_a_full_training_stands_beside_the_accuracy_of_the_proxy(
    make_run: MakeRun, result: dict[str, Any]
) -> None:
    old = ROW | {"network_hash": "h0", "trained_in": "runs/before", "accuracy": 0.5}
    report = page(make_run, result, {"trainings": [old, ROW]})
    text = words_of(report)
    assert "full_trainings" in report.sections
    assert "By the short trainings of the search it scores 65.0%" in text
    assert "trial 1 81.23% 80.34% 97.00% 32 40M fast 30 runs/photos-trained" in text
    assert "an earlier winner 50.00%" in text


def test_a_search_whose_winner_nobody_trained_has_no_such_section(
    make_run: MakeRun, result: dict[str, Any]
) -> None:
    assert make_full_trainings(read_contents(make_run(report=result))) is None


def test_what_somebody_has_put_there_is_shown_as_it_came_or_left_out(
    make_run: MakeRun, result: dict[str, Any]
) -> None:
    assert "full_trainings" not in page(make_run, result, {"trainings": [1, "two"]}).sections
    assert page(make_run, result, "{torn").unread
    for value in (HOSTILE, [HOSTILE], {HOSTILE: HOSTILE}, None, -1):
        report = page(make_run, result, {"trainings": [dict.fromkeys(ROW, value)]})
        assert "full_trainings" in report.sections
        assert "img" not in {tag for tag, _ in Markup(report.html).tags}
