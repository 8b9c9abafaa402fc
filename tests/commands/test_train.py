"""`effsearch train` as a user meets it: what it leaves, how it goes on, and what it refuses."""

import csv
import dataclasses
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from effsearch.commands.placement import Placement
from effsearch.commands.training import beginning
from effsearch.commands.training.options import TrainOptions
from effsearch.proxy_train.full import loop
from effsearch.results.plots.collect import _families_of
from effsearch.results.run_dir import RunDir
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.outcome import OutOfMemory, TrainingFailed
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec
from effsearch.space.text import from_json, to_json

from ..conftest import Done, Effsearch, refuses, write_colours
from .conftest import one_score, train_by

SPEC = ModelSpec(
    stem=StemSpec(out_channels=8),
    stages=(
        StageSpec(out_channels=8, stride=2, blocks=(BlockSpec(expand_ratio=2, se_ratio=0.25),)),
        StageSpec(out_channels=12, stride=2, blocks=(BlockSpec(expand_ratio=2),)),
    ),
    head=HeadSpec(out_channels=16, dropout_rate=0.2),
    resolution=48,
    num_classes=10,
    drop_path_rate=0.1,
)
Train = Callable[..., Done]


@pytest.fixture
def train(effsearch: Effsearch) -> Train:
    """Trains the network on coloured noise for three epochs, into `run`."""
    write_colours(Path("colours"))
    Path("net.json").write_text(to_json(SPEC))

    def call(*words: str, run: str = "run") -> Done:
        plain = ("--data", "colours", "--epochs", "3", "--batch-size", "32", "--device", "cpu")
        return effsearch("train", "net.json", *plain, "--run", run, *words)

    return call


def rows_of(run: str) -> list[dict[str, str]]:
    with Path(run, "history.csv").open() as file:
        return list(csv.DictReader(file))


def same_files(one: str, other: str) -> bool:
    """Tell whether two runs have the same weights, averages and momenta, to the bit."""
    for name in ("last", "best"):
        first, second = (load_file(Path(run, "checkpoints", f"{name}.safetensors")) for run in (one, other))
        if first.keys() != second.keys() or not all(torch.equal(first[key], second[key]) for key in first):
            return False
    return True


def stop_in_epoch(monkeypatch: pytest.MonkeyPatch, epoch: int, stop: Callable[[], object]) -> None:
    """Has the training do something else in the place of an epoch, from 1."""
    train_epoch = loop.train_epoch

    def instead(state: Any, *rest: Any, **more: Any) -> Any:
        if len(state.rows) + 1 == epoch:
            stop()
        return train_epoch(state, *rest, **more)

    monkeypatch.setattr(loop, "train_epoch", instead)


def fail_with(error: BaseException) -> Callable[[], object]:
    def fail() -> None:
        raise error

    return fail


def test_a_training_reports_what_it_came_to_and_leaves_it_behind(train: Train) -> None:
    report = train("--json").json
    assert report["network"] == "net"
    assert (report["resolution"], report["classes"], report["epochs"]) == (12, 3, 3)
    assert report["test"]["images"] > 0
    assert 0 <= report["test"]["accuracy"] <= report["test"]["top5"] == 1.0
    rows = rows_of("run")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert {row["resolution"] for row in rows} == {"12"}
    assert rows[0]["average_accuracy"] == ""  # the fast recipe averages nothing
    best = max(float(row["val_accuracy"]) for row in rows)
    assert report["best"]["accuracy"] == best
    settings = json.loads(Path("run", "settings.json").read_text())
    assert settings["command"] == "train"
    assert settings["settings"]["training"]["num_epochs"] == 3
    spec = from_json(Path(report["spec_path"]).read_text())
    assert count_cost(spec).multiply_adds == report["multiply_adds"]
    assert set(load_file(report["weights"])) >= {"stem.conv.weight", "head.classifier.bias"}
    assert json.loads(Path("run", "report.json").read_text()) == report


def test_the_table_and_what_is_said_meanwhile(train: Train, effsearch: Effsearch) -> None:
    ended = train()
    assert "test top-1" in ended.out
    assert "trained at 12 px in place of 48, the first 2 stride(s) removed" in ended.out
    assert "epoch 3 of 3: loss" in ended.err
    assert "own kernels" in ended.err
    assert effsearch("status", "run").out.splitlines()[0] == "train in run: ended"
    assert "trainings" not in effsearch("status", "run").out


@pytest.mark.parametrize("recipe", ["efficientnet", "efficientnetv2"])
def test_the_papers_recipes_train_too_and_keep_the_network_s_regularisation(
    train: Train, recipe: str
) -> None:
    report = train("--recipe", recipe, "--json").json
    rows = rows_of("run")
    assert rows[0]["average_accuracy"] != ""
    assert from_json(Path(report["spec_path"]).read_text()).drop_path_rate == 0.1
    sizes = [row["resolution"] for row in rows]
    assert sizes == (["12", "12", "12"] if recipe == "efficientnet" else ["5", "9", "12"])


@pytest.mark.parametrize(("number", "stop"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("recipe", ["fast", "efficientnetv2"])
def test_a_training_that_was_stopped_goes_on_to_the_same_weights(
    train: Train, recipe: str, number: signal.Signals, stop: int
) -> None:
    words = ("--recipe", recipe)
    assert train(*words, run="whole").code == 0
    before = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.MonkeyPatch.context() as patch:
            stop_in_epoch(patch, 3, lambda: os.kill(os.getpid(), number))
            ended = train(*words)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert ended.code == stop
    assert "stopped after epoch 2: the same command with --run run goes on from there" in ended.err
    assert len(rows_of("run")) == 2
    assert train(*words).code == 0
    assert same_files("whole", "run")
    assert len(rows_of("run")) == 3


def test_a_training_that_has_ended_is_not_tested_again(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    report = train("--json").json
    stop_in_epoch(monkeypatch, 1, lambda: pytest.fail("nothing is trained"))
    monkeypatch.setattr(
        "effsearch.commands.training.train.score_fully", lambda *all_, **more: pytest.fail("nor tested")
    )
    again = train("--json")
    assert again.json == report
    assert "no test image is looked at again" in again.err


def test_other_settings_are_refused(train: Train) -> None:
    assert train().code == 0
    refuses(train("--lr", "0.01"), 2, "--lr was 0.2, now 0.01")
    refuses(train("--seed", "3"), 2, "--seed was 0, now 3")
    assert train("--tensorboard").code in (0, 2)  # which changes no weight; 2 where the package is missing


def test_a_damaged_checkpoint_is_one_line(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_in_epoch(patch, 2, fail_with(KeyboardInterrupt()))
        assert train().code == 130
    path = Path("run", "checkpoints", "last.safetensors")
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    refuses(train(), 1, "last.safetensors are damaged", "effsearch repair run --yes puts it aside")


@pytest.mark.parametrize(("name", "is_gone"), [("best", False), ("best", True), ("last", False)])
def test_a_training_that_was_stopped_and_damaged_begins_anew_after_repair(
    train: Train, effsearch: Effsearch, name: str, is_gone: bool
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        stop_in_epoch(patch, 3, fail_with(KeyboardInterrupt()))
        assert train().code == 130
    path = Path("run", "checkpoints", f"{name}.safetensors")
    damage(path, is_gone=is_gone)
    refuses(train(), 1, f"run/checkpoints/{name}.safetensors", "effsearch repair run --yes")
    assert "the training starts anew" in effsearch("repair", "run", "--yes").out
    ended = train()
    assert ended.code == 0
    assert "epoch 1 of 3" in ended.err


def damage(path: Path, *, is_gone: bool = False) -> None:
    """Flips a bit of a file, or deletes it."""
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    if is_gone:
        path.unlink()


@pytest.mark.parametrize("is_gone", [False, True])
def test_a_training_that_has_ended_and_lost_its_weights_is_refused_and_begins_anew_after_repair(
    train: Train, effsearch: Effsearch, is_gone: bool
) -> None:
    report = train("--json").json
    best = Path(report["weights"])
    whole = {name: tensor.clone() for name, tensor in load_file(best).items()}  # the file's pages change
    damage(best, is_gone=is_gone)
    fault = "it is missing" if is_gone else "its SHA-256 is another"
    words = (f"run/checkpoints/best.safetensors cannot be used: {fault}", "effsearch repair run --yes")
    refuses(train(), 1, *words)
    refuses(effsearch("export", "run", "--to", "safetensors", "--out", "w.safetensors"), 1, *words)
    refuses(effsearch("train", "run", "--run", "next", "--device", "cpu"), 1, *words)
    assert "report.json" in effsearch("repair", "run", "--yes").out
    assert not Path("run", "report.json").exists()
    refuses(
        effsearch("export", "run", "--to", "torch"),
        2,
        "no result yet; the same effsearch train command with --run run",
    )
    again = train("--json")
    assert "epoch 1 of 3" in again.err
    assert again.json["test"] == report["test"]
    found = load_file(best)
    assert all(torch.equal(found[name], tensor) for name, tensor in whole.items())


def test_best_weights_of_another_training_are_found_out(train: Train, effsearch: Effsearch) -> None:
    assert train().code == 0
    assert train("--seed", "1", run="other").code == 0
    shutil.copy("other/checkpoints/best.safetensors", "run/checkpoints/best.safetensors")
    refuses(train(), 1, "it is not the one that last.safetensors names", "effsearch repair run")
    assert "last.safetensors" in effsearch("repair", "run").out


def test_a_training_that_has_ended_needs_no_state_to_go_on_from(train: Train, effsearch: Effsearch) -> None:
    report = train("--json").json
    damage(Path(report["last"]))
    assert train("--json").json == report
    assert "ended without it" in effsearch("repair", "run", "--yes").out
    assert train("--json").json == report


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TrainingFailed("the loss became nan in epoch 1"), ("the loss became nan", "give a lower --lr")),
        (OutOfMemory("out of memory: no"), ("out of memory", "give --accumulate 2")),
    ],
)
def test_a_training_that_fails_is_one_line(
    train: Train, monkeypatch: pytest.MonkeyPatch, error: Exception, words: tuple[str, ...]
) -> None:
    stop_in_epoch(monkeypatch, 1, fail_with(error))
    refuses(train(), 1, *words)


def test_weights_are_taken_over_with_a_new_classifier(train: Train) -> None:
    assert train(run="first").code == 0
    write_colours(Path("two"), names=("red", "blue"))
    ended = train("--init", "first/checkpoints/best.safetensors", "--data", "two", run="second")
    assert ended.code == 0
    assert "the classifier is new, the file's tells 3 classes apart" in ended.err
    report = json.loads(Path("second", "report.json").read_text())
    assert report["init"]["file_classes"] == 3
    same = train("--init", "first/checkpoints/last.safetensors", run="third")
    assert "by effsearch's names, all that the network has" in same.err


def test_parts_of_a_batch_are_trained(train: Train) -> None:
    assert train("--accumulate", "4").code == 0
    assert json.loads(Path("run", "settings.json").read_text())["settings"]["num_parts"] == 4


@pytest.mark.skipif(importlib.util.find_spec("tensorboard") is None, reason="tensorboard is not installed")
def test_tensorboard_gets_every_epoch_once(train: Train) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with pytest.MonkeyPatch.context() as patch:
        stop_in_epoch(patch, 3, fail_with(KeyboardInterrupt()))
        assert train("--tensorboard").code == 130
    assert train("--tensorboard").code == 0
    events = EventAccumulator("run/tensorboard")
    events.Reload()
    told = {event.step: event.value for event in events.Scalars("val_accuracy")}
    assert told == pytest.approx({int(row["epoch"]): float(row["val_accuracy"]) for row in rows_of("run")})


def test_tensorboard_that_is_missing_is_one_line(train: Train, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        "importlib.util.find_spec",
        lambda name, *rest: None if name == "tensorboard" else find_spec(name, *rest),
    )
    refuses(train("--tensorboard"), 2, "pip install 'effsearch[tensorboard]'")
    assert not Path("run").exists()


def baseline_run(folder: Path, *, num_removed: int = 1, seed: int = 7) -> None:
    """Write what a finished baseline search leaves, as far as a training reads it, with a family of two."""
    for name in ("specs", "family"):
        (folder / name).mkdir(parents=True)
    fidelity = {"num_images": 10, "num_epochs": 1, "resolution": 12, "num_removed_strides": num_removed}
    settings = {"data": "colours", "seed": seed, "fidelity": fidelity | {"width": 1.0}}
    stored = {"schema_version": 1, "command": "baseline", "created": "2026-01-01T00:00:00+00:00"}
    (folder / "settings.json").write_text(json.dumps(stored | {"settings": settings}))
    (folder / "report.json").write_text(json.dumps({"best": {"name": "trial 1"}}))
    (folder / "specs" / "best.json").write_text(to_json(SPEC))
    rows = []
    for phi, resolution in ((1, 64), (2, 96)):
        spec = dataclasses.replace(SPEC, resolution=resolution)
        (folder / "family" / f"best-phi{phi}.json").write_text(to_json(spec))
        rows.append({"name": f"best-phi{phi}", "phi": phi, "multiply_adds": count_cost(spec).multiply_adds})
    (folder / "family" / "family.json").write_text(json.dumps({"base": "best", "family": rows}))


def test_a_run_s_winner_is_trained_on_its_data_splits_and_strides(effsearch: Effsearch) -> None:
    write_colours(Path("colours"))
    baseline_run(Path("search"))
    words = ("--epochs", "1", "--batch-size", "32", "--device", "cpu", "--run", "run", "--json")
    report = effsearch("train", "search", *words).json
    assert report["network"] == "search"
    assert report["data"] == "colours"
    assert report["notes"] == ["trained at 12 px in place of 48, the first 1 stride(s) removed"]
    settings = json.loads(Path("run", "settings.json").read_text())["settings"]
    assert (settings["split_seed"], settings["seed"], settings["num_removed_strides"]) == (7, 0, 1)


def test_a_search_notes_what_its_winner_came_to_and_its_page_shows_it(effsearch: Effsearch) -> None:
    write_colours(Path("colours"))
    baseline_run(Path("search"))
    words = ("train", "search", "--batch-size", "32", "--device", "cpu", "--json", "--run")
    first = effsearch(*words, "one", "--epochs", "1").json
    effsearch(*words, "one", "--epochs", "1")  # ended before: the same again
    second = effsearch(*words, "two", "--epochs", "2").json
    noted = json.loads(Path("search", "full_trainings.json").read_text())["trainings"]
    assert [(row["trained_in"], row["test_accuracy"]) for row in noted] == [
        (one["run"], one["test"]["accuracy"]) for one in (first, second)
    ]
    assert {row["network_hash"] for row in noted} == {network_hash(SPEC)}
    assert "full_trainings" in effsearch("report", "search", "--json").json["sections"]
    assert "Trained fully" in Path("search", "report.html").read_text("utf-8")
    Path("search", "full_trainings.json").unlink()
    Path("search", "full_trainings.json").mkdir()
    ended = effsearch(*words, "two", "--epochs", "2")
    assert ended.code == 0
    assert "it is not noted in search: " in ended.err
    effsearch("train", "two", *words[2:], "three", "--epochs", "1")  # no search's winner any more
    assert not list(Path("two").glob("full_trainings*"))


def test_what_is_noted_is_of_the_run_and_the_winner_that_the_training_began_with(
    effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_colours(Path("colours"))
    baseline_run(Path("runs", "search"))
    Path("runs", "latest").symlink_to("search")  # it leads to the training as soon as that begins
    write_result = RunDir.write_result

    def go_on_meanwhile(run: RunDir, report: dict[str, Any]) -> None:
        write_result(run, report)
        Path("runs", "search", "specs", "best.json").write_text(
            to_json(dataclasses.replace(SPEC, stem=StemSpec(out_channels=16)))
        )

    monkeypatch.setattr(RunDir, "write_result", go_on_meanwhile)
    words = ("--epochs", "1", "--batch-size", "32", "--device", "cpu", "--json")
    report = effsearch("train", "runs/latest", *words).json
    assert report["network"] == "search"
    (noted,) = json.loads(Path("runs/search/full_trainings.json").read_text())["trainings"]
    assert (noted["trained_in"], noted["network_hash"]) == (report["run"], network_hash(SPEC))
    assert not Path(report["run"], "full_trainings.json").exists()


def test_the_run_that_searched_the_coefficients_stands_for_its_family(
    effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_colours(Path("colours"))
    baseline_run(Path("search"))
    shutil.rmtree("search/family")
    Path("net.json").write_text(to_json(SPEC))
    search = (
        "--images",
        "60",
        "--epochs",
        "1",
        "--seeds",
        "1",
        "--trials",
        "1",
        "--workers",
        "1",
        "--phi",
        "1",
    )
    with pytest.MonkeyPatch.context() as patch:
        train_by(patch, one_score)
        Path("newest").symlink_to(
            "search"
        )  # as `latest` is, which leads to what grows as soon as that begins
        of_search = ("scale", "--base", "newest", *search, "--run", "grown")
        assert effsearch(*of_search).code == 0
        Path("newest").unlink()
        by_itself = (
            "scale",
            "--base",
            "net.json",
            "--data",
            "colours",
            "--out",
            "nets",
            *search,
            "--run",
            "own",
        )
        assert effsearch(*by_itself).code == 0
        words = ("--family", "--epochs", "1", "--batch-size", "32", "--device", "cpu", "--json")
        report = effsearch("train", "grown", *words).json
        assert [one["run"].split("/")[:-1] for one in report["trained"]] == 2 * [
            ["search", "family", "trained"]
        ]
        settings = json.loads(Path(report["trained"][0]["run"], "settings.json").read_text())["settings"]
        assert settings["split_seed"] == 7  # the search's: its test images stay unseen
        again = effsearch("train", "search", *words)
        assert again.err.count("has ended before") == 2
        report = effsearch("train", "own", *words).json
        assert [one["run"].split("/")[:-1] for one in report["trained"]] == 2 * [["nets", "trained"]]
        assert report["trained"][0]["data"] == "colours"
        assert json.loads(Path("nets/family.json").read_text())["base_trained"]["accuracy"] >= 0
        Path("nets/family.json").unlink()
        refuses(effsearch("train", "own", *words), 2, "the family of own is not at nets/family.json", "scale")
        Path("own/specs/base.json").unlink()
        refuses(
            effsearch("train", "own", *words),
            2,
            "own does not say where its family is: the same effsearch scale",
        )
        assert effsearch(*by_itself).code == 0
        assert effsearch("train", "own", *words).code == 0
        Path("own/report.json").unlink()
        refuses(effsearch("train", "own", *words), 2, "has no result yet")


def test_a_family_is_trained_member_by_member_and_its_record_says_so(effsearch: Effsearch) -> None:
    write_colours(Path("colours"))
    baseline_run(Path("search"))
    words = ("train", "search", "--family", "--epochs", "1", "--batch-size", "32", "--device", "cpu")
    with pytest.MonkeyPatch.context() as patch:
        # The second member never gets to train; what the others came to is kept.
        seen: list[int] = []
        stop_in_epoch(patch, 1, lambda: seen.append(1) if len(seen) < 2 else fail_with(KeyboardInterrupt())())
        assert effsearch(*words).code == 130
    (family,) = _families_of(Path("search"))
    assert [member.accuracy is not None for member in family.members] == [True, False]
    ended = effsearch(*words, "--json")
    report = ended.json
    assert [one["resolution"] for one in report["trained"]] == [12, 16, 24]
    assert ended.err.count("has ended before") == 2
    (family,) = _families_of(Path("search"))
    assert [member.accuracy for member in family.members] == [
        one["best"]["accuracy"] for one in report["trained"][1:]
    ]
    record = json.loads(Path("search", "family", "family.json").read_text())
    assert record["base_trained"]["test_accuracy"] == report["trained"][0]["test"]["accuracy"]
    assert "images of 12 px are enlarged to 24" in report["trained"][2]["notes"]
    assert "best-phi2" in effsearch(*words).out
    shutil.rmtree("search/family")
    refuses(effsearch(*words), 2, "has no family yet: run effsearch scale --base search first")


def test_few_images_get_a_smaller_batch_unless_one_is_named(effsearch: Effsearch) -> None:
    write_colours(Path("colours"), num_images=20)  # 48 of 60 train
    Path("net.json").write_text(to_json(SPEC))
    ended = effsearch("train", "net.json", "--data", "colours", "--epochs", "1", "--run", "run")
    assert ended.code == 0, ended.err
    assert "in batches of 32" in ended.err


@pytest.mark.parametrize(
    ("line", "code", "word"),
    [
        ("train", 2, "network"),
        ("train efficientnet-b9", 2, "did you mean"),
        ("train nowhere.json", 2, "no spec file"),
        ("train efficientnet-b0 --data nowhere", 2, "no data at nowhere"),
        ("train efficientnet-b0 --recipe slow", 2, "--recipe"),
        ("train efficientnet-b0 --resolution 4", 2, "--resolution must be from 8 to 1024, got 4"),
        ("train efficientnet-b0 --family", 2, "needs a baseline or scale run with a family"),
        ("train net.json --data colours --epochs 0", 2, "--epochs must be from 1"),
        ("train net.json --data colours --lr nan", 2, "--lr must be from 0"),
        ("train net.json --data colours --batch-size 1", 2, "--batch-size must be from 2"),
        ("train net.json --data colours --batch-size 500", 2, "is more than there are training images"),
        (
            "train net.json --data colours --batch-size 32 --accumulate 5",
            2,
            "does not go into --accumulate 5",
        ),
        ("train net.json --data colours --batch-size 32 --init gone.pth", 2, "--init: no file at gone.pth"),
        ("train net.json --data colours --batch-size 32 --init net.json", 2, "cannot be read as weights"),
        ("train net.json --data colours --batch-size 32 --run /proc/run", 1, "cannot write"),
    ],
)
def test_bad_input_gets_one_line(effsearch: Effsearch, line: str, code: int, word: str) -> None:
    write_colours(Path("colours"), num_images=20)
    Path("net.json").write_text(to_json(SPEC))
    refuses(effsearch(*line.split()), code, word)
    assert not Path("runs").exists()


@pytest.mark.slow
def test_torchrun_trains_one_network_with_two_processes_and_goes_on(train: Train, cache: Path) -> None:
    assert train(run="alone").code == 0
    words = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "2",
        "-m",
        "--",
        "effsearch.cli",
    ]
    words += [
        "train",
        "net.json",
        "--data",
        "colours",
        "--epochs",
        "3",
        "--batch-size",
        "32",
        "--device",
        "cpu",
    ]
    environment = os.environ | {"EFFSEARCH_CACHE": str(cache), "OMP_NUM_THREADS": "1"}
    for said in ("epoch 3 of 3", "has ended before"):
        ended = subprocess.run(
            [*words, "--run", "run", "--json"], env=environment, capture_output=True, text=True, timeout=300
        )
        assert ended.returncode == 0, ended.stderr
        assert said in ended.stderr
        assert ended.stderr.count("run: run") == 1  # one of the two speaks
        assert json.loads(ended.stdout)["processes"] == 2
    assert len(rows_of("run")) == 3


def test_data_is_the_same_however_its_path_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the splits were drawn anew, and a winner tested on images that it was found with."""
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Path("others").mkdir()
    monkeypatch.setattr(beginning, "data_of_base", lambda base: "photos")
    monkeypatch.setattr(beginning, "stored_setting", lambda run, name: 7)
    base: Any = SimpleNamespace(run=Path("run"))

    def settled(data: str | None) -> tuple[str, int]:
        options = TrainOptions(
            network="run", data=data, placement=Placement(num_workers=1), runs_root=Path("runs")
        )
        return beginning.data_and_seed(options, base)

    for same in (None, "photos", "photos/", "./photos", str(tmp_path / "photos")):
        assert settled(same) == ("photos", 7)
    assert settled("others") == ("others", 0)


def test_what_regularises_a_training_is_among_its_settings(train: Train) -> None:
    assert train("--recipe", "efficientnetv2").code == 0
    spec = json.loads(Path("net.json").read_text())
    spec["drop_path_rate"] = 0.5
    Path("net.json").write_text(json.dumps(spec))
    refuses(train("--recipe", "efficientnetv2"), 2, "drop_path_rate was 0.1, now 0.5")


def test_a_training_is_exported_as_it_was_trained_and_as_nothing_else(
    train: Train, effsearch: Effsearch
) -> None:
    best = train("--json").json["weights"]
    done = effsearch("export", "run", "--to", "torch", "--out", "small.py", "--json").json
    assert (done["weights"], done["resolution"], done["max_difference"] < 1e-6) == (best, 12, True)
    assert Path("small.safetensors").is_file()
    spec = str(Path("run", "specs", "trained.json"))
    assert effsearch("export", spec, "--to", "safetensors", "--weights", best).code == 0
    own = dataclasses.replace(SPEC, num_classes=3)  # the same shapes, and two strides that were removed
    Path("net3.json").write_text(to_json(own))
    refuses(
        effsearch("export", "net3.json", "--to", "torch", "--weights", best),
        2,
        "of another network, whose strides",
    )
    trained = from_json(Path(spec).read_text())
    regularised = dataclasses.replace(trained, drop_path_rate=0.3, norm_momentum=0.01)
    Path("net4.json").write_text(to_json(regularised))
    assert effsearch("export", "net4.json", "--to", "torch", "--weights", best).code == 0


def test_a_run_that_began_with_weights_goes_on_without_naming_them_again(train: Train) -> None:
    assert train("--epochs", "1", run="first").code == 0
    shutil.copy("first/checkpoints/best.safetensors", "begin.safetensors")
    report = train("--init", "begin.safetensors", "--json").json
    assert train("--json").json == report
    Path("begin.safetensors").unlink()  # all that is needed lies in the run by now
    assert train("--json").json == report
    Path("begin.safetensors").write_bytes(Path("first/checkpoints/last.safetensors").read_bytes())
    refuses(train(), 2, "the SHA-256 of --init was")


def test_a_training_at_chance_level_says_so_and_what_to_try(train: Train) -> None:
    ended = train("--epochs", "1", "--lr", "1e-9")
    assert ended.code == 0, ended.err
    assert "nothing was learned: the best weights score" in ended.out
    assert "try more --epochs (these were 1), another --lr (the peak was 1e-09)" in ended.out
    assert "nothing was learned" not in train(run="longer").out


def test_on_other_images_what_another_training_has_left_is_gone_on_from_at_the_whole_rate(
    train: Train, effsearch: Effsearch
) -> None:
    assert train().code == 0
    write_colours(Path("others"), num_images=80)
    words = ("--epochs", "1", "--batch-size", "32", "--device", "cpu", "--run", "on", "--json")
    report = effsearch("train", "run", "--data", "others", *words).json
    assert not any("of the recipe's rate" in line for line in report["notes"])
    first, second = (
        json.loads(Path(run, "settings.json").read_text())["settings"]["training"] for run in ("run", "on")
    )
    assert second["learning_rate"] == first["learning_rate"]


def test_a_training_is_begun_with_what_another_has_left(train: Train, effsearch: Effsearch) -> None:
    """On the same images in the same splits, so that its test images are unseen here too."""
    assert train("--seed", "5").code == 0
    words = ("--epochs", "1", "--batch-size", "32", "--device", "cpu", "--run", "on", "--json")
    report = effsearch("train", "run", *words).json
    settings = json.loads(Path("on", "settings.json").read_text())["settings"]
    assert (settings["split_seed"], settings["seed"], settings["data"]) == (5, 0, "colours")
    assert settings["init"] == "run/checkpoints/best.safetensors"
    assert effsearch("train", "run", *words).json == report
    first = json.loads(Path("run", "settings.json").read_text())["settings"]["training"]
    assert (
        settings["training"]["learning_rate"] == first["learning_rate"] / 4
    )  # what was learned is not undone
    assert any("gone on from at 0.25 of the recipe's rate" in line for line in report["notes"])
    other = (*words[:4], "--device", "cpu", "--init", "run/checkpoints/last.safetensors", "--run", "other")
    assert "of the recipe's rate" not in effsearch("train", "run", *other).err
    assert (
        effsearch("train", "run", *other[:6], "--run", "other").code == 0
    )  # it goes on at the rate it began with
    named = effsearch("train", "run", "--init", "run/checkpoints/last.safetensors", *words)
    refuses(named, 2, "init was run/checkpoints/best.safetensors")
    Path("run", "report.json").unlink()
    refuses(effsearch("train", "run", *words[:-2], "third"), 2, "has no result yet")
