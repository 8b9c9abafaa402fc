"""The page of a training."""

import json
from pathlib import Path
from typing import Any

import pytest

from effsearch.results.report.contents import read_contents
from effsearch.results.report.page import Report, make_report
from effsearch.results.report.training import make_training, training_charts
from effsearch.space.presets import load_preset
from effsearch.space.text import to_json

from .conftest import FAMILY, HOSTILE, NOW, MakeRun
from .markup import Markup

COLUMNS = (
    *("epoch", "train_loss", "val_loss", "val_accuracy", "val_top5"),
    *("average_loss", "average_accuracy", "average_top5", "learning_rate", "resolution"),
    *("magnitude", "mixup", "dropout_rate", "train_seconds", "images_per_second"),
)
ROWS = [
    (1, 2.1, 2.0, 0.25, 0.8, "", "", "", 0.1, 16, 5.0, 0.0, 0.1, 30.0, 100.0),
    (2, 1.5, 1.6, 0.45, 0.9, "", "", "", 0.05, 16, 5.0, 0.0, 0.1, 30.0, 100.0),
    (3, 1.2, 1.4, 0.55, 0.95, 1.3, 0.575, 0.96, 0.01, 32, 15.0, 0.2, 0.3, 90.0, 50.0),
]
HISTORY = "\n".join([",".join(COLUMNS), *(",".join(map(str, row)) for row in ROWS)]) + "\n"
SETTINGS = {
    "network": "small",
    "data": "photos",
    "training": {"name": "fast", "num_epochs": 3, "augment": {"flips": True}, "magnitude": [5.0, 15.0]},
}
RESULT = {
    "best": {"epoch": 3, "weights": "average", "accuracy": 0.575, "top5": 0.96, "loss": 1.3},
    "test": {"accuracy": 0.5612, "top5": 0.9501, "loss": 1.35, "images": 2000},
    "multiply_adds": 59_000_000,
    "params": 1_500_000,
    "notes": ["trained at 32 px in place of 224"],
}


def training(make_run: MakeRun, **given: Any) -> Path:
    files = {"history.csv": HISTORY, "specs/trained.json": to_json(load_preset("efficientnet-b0"))}
    return make_run(**{"command": "train", "settings": SETTINGS, "report": RESULT, "files": files} | given)


def page(run: Path, state: str = "ended") -> Report:
    return make_report(read_contents(run), state=state, now=NOW)


def text_of(report: Report) -> str:
    return " ".join("".join(Markup(report.html).text).split())


def test_a_training_has_result_curves_network_recipe_and_commands(make_run: MakeRun) -> None:
    report = page(training(make_run))
    assert report.sections == ("result", "training", "network", "recipe", "repeat")
    text = text_of(report)
    for words in (
        "Training of small on photos",
        "56.12%",
        "top-5 95.01%, of 2000 images",
        "57.50%",
        "3, averaged weights",
        "trained at 32 px in place of 224",
        "augment.flips",
        "5.0, 15.0",
        "effsearch export run --to torch",
        "MBConv",
    ):
        assert words.lower() in text.lower(), words


def test_curves_are_the_columns_of_the_table_and_empty_ones_are_left_out(make_run: MakeRun) -> None:
    view = make_training(read_contents(training(make_run)))
    assert view is not None
    charts = training_charts(view)
    assert sorted(charts) == ["curve-accuracy", "curve-loss", "curve-rate", "curve-size"]
    assert charts["curve-loss"]["x"] == [1, 2, 3]
    assert charts["curve-loss"]["lines"] == [
        ["training", [2.1, 1.5, 1.2]],
        ["validation", [2.0, 1.6, 1.4]],
        ["validation, averaged weights", [None, None, 1.3]],
    ]
    name, values = charts["curve-accuracy"]["lines"][2]
    assert (name, values[:2]) == ("top-1, averaged weights", [None, None])
    assert values[2] == pytest.approx(57.5)
    plain = "\n".join(",".join(line.split(",")[:5]) for line in HISTORY.splitlines())
    view = make_training(read_contents(training(make_run, name="plain", files={"history.csv": plain})))
    assert view is not None
    assert [name for name, _ in training_charts(view)["curve-loss"]["lines"]] == ["training", "validation"]


def test_stages_time_and_speed_are_those_of_the_epochs(make_run: MakeRun) -> None:
    view = make_training(read_contents(training(make_run)))
    assert view is not None
    assert [(one.first_epoch, one.last_epoch, one.resolution) for one in view.stages] == [
        (1, 2, 16),
        (3, 3, 32),
    ]
    assert view.train_seconds == 150
    assert view.images_per_second == pytest.approx((30 * 100 * 2 + 90 * 50) / 150)


def test_a_training_that_goes_on_says_how_far_it_is(make_run: MakeRun) -> None:
    text = text_of(page(training(make_run, report=None), state="stopped"))
    assert "no test image has been looked at" in text
    assert "After 3 epochs it is right on 57.50%" in text
    begun = page(training(make_run, name="begun", report=None, files={}), state="running")
    assert "No epoch has ended yet" in text_of(begun)


def test_what_is_damaged_is_named_or_left_out(make_run: MakeRun) -> None:
    files = {"history.csv": "epoch,val_loss,train_loss\n1,nan,inf\nx,,1.5\n", "specs/trained.json": "{"}
    report = page(training(make_run, files=files, report={"best": 3, "test": "no", "notes": 5}))
    assert any("trained.json" in line for line in report.unread)
    assert "NaN" not in report.html.split('id="data"')[1].split("</script>")[0]


def test_nothing_that_a_training_says_becomes_markup(make_run: MakeRun) -> None:
    bad = HOSTILE
    run = training(
        make_run,
        settings=SETTINGS | {"network": bad, "data": bad, "training": {bad: bad, "x": {bad: [bad]}}},
        report={
            "best": {"accuracy": bad, "epoch": bad},
            "test": {"accuracy": bad, "images": bad},
            "notes": [bad],
        },
        files={
            "history.csv": f'epoch,"{bad.replace(chr(34), chr(34) * 2)}"\n1,"{bad.replace(chr(34), "")}"\n'
        },
    )
    report = page(run)
    assert not [tag for tag, _ in Markup(report.html).tags if tag in ("img", "iframe", "object")]
    assert len(Markup(report.html).scripts) == 3
    json.loads(report.html.split('id="data">')[1].split("</script>")[0])


def test_a_trained_family_s_accuracies_stand_on_the_page_of_its_search(make_run: MakeRun) -> None:
    measured = {
        "accuracy": 0.7123,
        "test_accuracy": 0.7011,
        "test_top5": 0.98,
        "recipe": "fast",
        "epochs": 30,
    }
    rows = [dict(row) for row in FAMILY["family"]]
    rows[0] |= measured | {"trained_in": "runs/one"}
    family = dict(FAMILY) | {"family": rows, "base_trained": measured | {"accuracy": 0.6001}}
    text = text_of(page(make_run(files={"family/family.json": family})))
    assert "71.23%" in text
    assert "60.01%" in text
    assert "After full training" in text
    assert "After full training" not in text_of(page(make_run("two", files={"family/family.json": FAMILY})))
