"""The page of a pruning."""

from pathlib import Path
from typing import Any

from effsearch.results.report.contents import read_contents
from effsearch.results.report.page import Report, make_report
from effsearch.results.report.pruning import make_pruning

from .conftest import HOSTILE, NOW, MakeRun
from .markup import Markup

COST = {"multiply_adds": 40_000_000, "params": 1_000_000, "activations": 500_000}
RECORD = {
    "before": {"accuracy": 0.7414, **COST, "multiply_adds": 80_000_000},
    "right_after": {"accuracy": 0.6042, **COST},
    "widths": [
        {"part": "stages.0.0", "kind": "mbconv", "inner": [96, 40], "squeezed": None, "out": [24, 24]},
    ],
    "kept": ["stages.1.0: its shortcut is a pool"],
}
SETTINGS = {
    "network": "small",
    "data": "photos",
    "weights": "run/checkpoints/best.safetensors",
    "budget": "41M-FLOPs",
    "budget_limits": {"multiply_adds": 41_000_000},
    "pruning": {"importance": "taylor", "ranking": "even", "num_steps": 4, "divisor": 8},
    "training": {"name": "fast", "num_epochs": 3},
}


def page(make_run: MakeRun, record: Any, **given: Any) -> Report:
    run: Path = make_run(
        **{"command": "prune", "settings": SETTINGS, "files": {"pruning.json": record}} | given
    )
    return make_report(read_contents(run), state="ended", now=NOW)


def text_of(report: Report) -> str:
    return " ".join(" ".join(Markup(report.html).text).split())


def test_a_pruning_has_accuracy_cost_and_widths_before_and_after(make_run: MakeRun) -> None:
    result = {"best": {"accuracy": 0.7312}, "test": {"accuracy": 0.7301}}
    report = page(make_run, RECORD, report=result)
    assert report.sections == ("result", "pruned", "training", "recipe", "repeat")
    text = text_of(report)
    for words in (
        "Pruning of small on photos",
        "before 74.14% 80M 1M 500k",
        "right after 60.42% 40M 1M 500k",
        "after the training 73.12% 40M",
        "stages.0.0 mbconv 96 > 40 - 24",
        "Left whole: stages.1.0: its shortcut is a pool.",
        "41M FLOPs",
        "Share of each layer even",
        "run/checkpoints/best.safetensors",
    ):
        assert words in text, words


def test_what_was_pruned_is_shown_while_the_training_goes_on(make_run: MakeRun) -> None:
    text = text_of(page(make_run, RECORD))
    assert "right after 60.42%" in text
    assert "after the training" not in text


def test_other_runs_have_no_such_section(make_run: MakeRun) -> None:
    run = make_run(command="train", settings=SETTINGS, files={"pruning.json": RECORD})
    assert make_pruning(read_contents(run)) is None
    assert make_pruning(read_contents(make_run(name="begun", command="prune", settings=SETTINGS))) is None


def test_nothing_that_a_pruning_says_becomes_markup(make_run: MakeRun) -> None:
    bad = HOSTILE
    record = {
        "before": {"accuracy": bad, "multiply_adds": [bad]},
        "right_after": bad,
        "widths": [{"part": bad, "kind": bad, "inner": [bad, bad], "squeezed": {bad: bad}, "out": bad}, bad],
        "kept": [bad],
    }
    settings = SETTINGS | {"weights": bad, "budget": bad, "pruning": {"importance": bad}}
    report = page(make_run, record, settings=settings)
    assert not [tag for tag, _ in Markup(report.html).tags if tag in ("img", "iframe", "object")]
