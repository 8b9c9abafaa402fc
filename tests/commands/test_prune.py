"""`effsearch prune` as a user meets it: what it leaves, how it goes on, and what it refuses."""

import dataclasses
import importlib.util
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import effsearch as package
from effsearch.proxy_train.build import build_model
from effsearch.proxy_train.full import loop
from effsearch.proxy_train.measure import check_count
from effsearch.results.export.weights import read_network
from effsearch.space.budget import Budget
from effsearch.space.cost import count_cost
from effsearch.space.errors import UsageError
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec
from effsearch.space.text import from_json, to_json

from ..conftest import Done, Effsearch, refuses, write_colours

SPEC = ModelSpec(
    stem=StemSpec(out_channels=16),
    stages=(
        StageSpec(
            out_channels=16,
            stride=2,
            blocks=(BlockSpec(expand_ratio=3, se_ratio=0.5), BlockSpec(expand_ratio=3, se_ratio=0.5)),
        ),
        StageSpec(out_channels=24, stride=1, blocks=(BlockSpec(expand_ratio=3),)),
    ),
    head=HeadSpec(out_channels=48),
    resolution=12,
    num_classes=3,
)
HALF = count_cost(SPEC).multiply_adds // 2
Prune = Callable[..., Done]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A folder with images, a spec and a training of it that has learned them."""
    from effsearch.commands.placement import Placement
    from effsearch.commands.training.options import TrainOptions
    from effsearch.commands.training.train import run_train
    from effsearch.commands.watching import Watcher

    folder = tmp_path_factory.mktemp("trained")
    write_colours(folder / "colours")
    (folder / "net.json").write_text(to_json(SPEC))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("EFFSEARCH_CACHE", str(cache))
        options = TrainOptions(
            network="net.json",
            data="colours",
            num_epochs=6,
            batch_size=32,
            placement=Placement(engine="local", num_workers=1, device="cpu"),
            run=Path("run"),
            runs_root=Path("runs"),
        )
        with Watcher() as watcher:
            run_train(options, watcher)
    return folder


@pytest.fixture
def prune(effsearch: Effsearch, trained: Path) -> Prune:
    """Prunes the training to half of its multiply-adds, and trains for two epochs, into `pruned`."""
    shutil.copytree(trained, Path.cwd(), dirs_exist_ok=True)

    def call(*words: str, network: str = "run", budget: str = f"{HALF}-FLOPs", run: str = "pruned") -> Done:
        plain = ("--epochs", "2", "--batch-size", "32", "--device", "cpu")
        return effsearch("prune", network, "--budget", budget, *plain, "--run", run, *words)

    return call


def weights_of(run: str, name: str = "best") -> dict[str, torch.Tensor]:
    return load_file(Path(run, "checkpoints", f"{name}.safetensors"))


def same_tensors(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_few_images_get_a_smaller_batch_unless_one_is_named(prune: Prune, effsearch: Effsearch) -> None:
    write_colours(Path("few"), num_images=20)  # 48 of 60 train
    words = ("--budget", f"{HALF}-FLOPs", "--data", "few", "--epochs", "1", "--device", "cpu")
    ended = effsearch("prune", "run", *words, "--run", "own")
    assert ended.code == 0, ended.err
    assert "in batches of 32" in ended.err
    refuses(
        effsearch("prune", "run", *words, "--batch-size", "64", "--run", "named"), 2, "more than there are"
    )


@pytest.mark.parametrize("importance", ["taylor", "magnitude", "bn"])
def test_a_training_is_pruned_into_the_budget_and_says_what_it_cost(prune: Prune, importance: str) -> None:
    report = prune("--importance", importance, "--json").json
    spec = from_json(Path(report["spec_path"]).read_text())
    cost = count_cost(spec)
    assert cost.multiply_adds == report["multiply_adds"] <= HALF
    assert cost.multiply_adds > 0.75 * HALF  # divisor 8 leaves no finer choice in so small a network
    check_count(spec)
    assert report["before"]["multiply_adds"] == count_cost(SPEC).multiply_adds
    assert report["right_after"]["multiply_adds"] == cost.multiply_adds
    assert report["before"]["accuracy"] > 0.8
    assert report["best"]["accuracy"] > 0.6
    assert report["test"]["images"] > 0
    assert {row["part"] for row in report["widths"]} >= {"stem", "stages.0.1", "head.conv"}
    settings = json.loads(Path("pruned", "settings.json").read_text())
    assert settings["command"] == "prune"
    assert settings["settings"]["budget_limits"] == {"multiply_adds": HALF}
    assert json.loads(Path("pruned", "report.json").read_text()) == report
    read_network(spec, Path(report["weights"]))
    assert Path("pruned", "history.csv").read_text().count("\n") == 3


@pytest.mark.parametrize("importance", ["taylor", "magnitude"])
def test_channels_may_go_from_where_they_are_missed_least(prune: Prune, importance: str) -> None:
    words = ("--importance", importance, "--divisor", "2", "--json")
    report = prune(*words, "--share", "global").json
    even = prune(*words, run="even").json
    assert (report["share"], even["share"]) == ("global", "even")
    assert report["multiply_adds"] <= HALF
    assert report["widths"] != even["widths"]
    refuses(prune(*words), 2, "--share was")


def test_every_bound_holds(prune: Prune) -> None:
    few = count_cost(SPEC).parameters * 2 // 5
    report = prune("--max-params", f"{few}", "--json").json
    assert report["multiply_adds"] <= HALF
    assert report["params"] <= few
    (line,) = report["remarks"]
    assert line.startswith("the bound on FLOPs leaves ")
    assert "that on params holds first; --share global" in line
    assert line in report["notes"]


def test_what_comes_out_goes_on_everywhere(prune: Prune, effsearch: Effsearch) -> None:
    assert prune().code == 0
    assert effsearch("profile", "pruned", "--json").json["multiply_adds"] <= HALF
    for target, out in (("torch", "net.py"), ("safetensors", "w.safetensors"), ("timm", "t.py")):
        exported = effsearch("export", "pruned", "--to", target, "--out", out, "--json").json
        assert exported["weights"] == "pruned/checkpoints/best.safetensors"
    profile = effsearch("profile", "pruned/specs/trained.json", "--json").json
    assert profile["multiply_adds"] == profile["fvcore_conv_linear"]
    again = prune("--json", network="pruned", budget=f"{HALF // 2}-FLOPs", run="twice").json
    assert again["multiply_adds"] <= HALF // 2
    words = ("--epochs", "1", "--batch-size", "32", "--device", "cpu", "--json")
    by_run = effsearch("train", "pruned", *words, "--run", "more")
    assert "init: " in by_run.err
    more = by_run.json
    best = "pruned/checkpoints/best.safetensors"
    assert more["init"]["path"] == best
    assert (more["network"], more["data"]) == ("pruned", "colours")
    by_hand = (
        "pruned/specs/trained.json",
        "--data",
        "colours",
        "--init",
        best,
        "--lr",
        str(0.2 / 4 * 32 / 128),
    )
    same = effsearch("train", *by_hand, *words, "--run", "by-hand").json
    assert same["test"] == more["test"]
    assert same_tensors(weights_of("more"), weights_of("by-hand"))
    fresh = effsearch(
        "train", "pruned/specs/trained.json", "--data", "colours", *words, "--run", "fresh"
    ).json
    assert fresh["init"] is None
    refuses(effsearch("scale", "--base", "pruned"), 2, "give its network, pruned/specs/trained.json")
    assert effsearch("status", "pruned").out.splitlines()[0] == "prune in pruned: ended"


def test_the_page_of_a_pruning_has_what_was_before(prune: Prune, effsearch: Effsearch) -> None:
    report = prune("--json").json
    shown = effsearch("report", "pruned", "--json").json
    assert shown["sections"] == ["result", "pruned", "training", "network", "recipe", "repeat"]
    assert shown["unread"] == []
    page = Path("pruned", "report.html").read_text()
    for accuracy in ("before", "right_after", "best"):
        assert f"{report[accuracy]['accuracy']:.2%}" in page


def test_an_export_carries_classes_and_normalisation(prune: Prune, effsearch: Effsearch) -> None:
    assert prune().code == 0
    before = effsearch("export", "run", "--to", "safetensors", "--out", "a.safetensors", "--json").json
    found = effsearch("export", "pruned", "--to", "torch", "--out", "net.py", "--json").json
    assert found["preprocessing"] == before["preprocessing"]
    assert found["preprocessing"]["class_names"]
    assert "test_top1" in found["accuracy"]
    words = ("--weights", "pruned/checkpoints/pruned.safetensors", "--to", "torch", "--out", "early.py")
    early = effsearch("export", "pruned/specs/trained.json", *words, "--json").json
    assert early["preprocessing"] == found["preprocessing"]


def test_a_call_from_python_gives_the_training_and_what_was_before(prune: Prune) -> None:
    words = {"epochs": 2, "batch_size": 32, "device": "cpu", "run": "called", "progress": False}
    called = package.prune("run", budget=Budget(multiply_adds=HALF), **words)  # type: ignore[arg-type]
    assert called.report == prune("--json", run="called").json  # the same run, which has ended
    assert (called.path, called.name, called.run.command) == (Path("called"), "run", "prune")
    assert called.before.cost == count_cost(SPEC)
    assert called.right_after.cost == count_cost(called.spec)
    assert called.right_after.cost.multiply_adds <= HALF
    assert called.before.accuracy > 0.8
    assert list(called.history["epoch"]) == [1, 2]
    with pytest.raises(UsageError, match="prune has no option epoch; did you mean epochs"):
        package.prune(called, budget="1K-FLOPs", epoch=1)  # type: ignore[call-arg]


def test_images_in_hand_are_those_of_a_pruning(prune: Prune) -> None:
    rng = np.random.default_rng(0)
    labels = np.arange(240) % 3
    images = rng.integers(0, 180, (240, 12, 12, 3), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[:, :, label] += 60
    words = {"epochs": 6, "batch_size": 32, "device": "cpu", "progress": False}
    trained = package.train(from_json(Path("net.json").read_text()), data=(images, labels), run="t", **words)  # type: ignore[arg-type]
    left = package.prune(
        trained.spec,
        weights=trained.weights,
        data=(images, labels),
        budget=f"{HALF}-FLOPs",
        run="p",
        **words,  # type: ignore[arg-type]
    )
    assert left.report["data"].startswith("own:images-")


def test_a_spec_with_weights_is_pruned_as_its_run_is(prune: Prune) -> None:
    words = ("--weights", "run/checkpoints/best.safetensors", "--data", "colours")
    report = prune(*words, "--json", network="run/specs/trained.json", run="by-spec").json
    by_run = prune("--json").json
    assert report["widths"] == by_run["widths"]
    assert report["right_after"] == by_run["right_after"]


def test_the_table_and_what_is_said_meanwhile(prune: Prune) -> None:
    ended = prune()
    assert "widths before and after" in ended.out
    assert "right after" in ended.out
    assert "looked at once" in ended.out
    assert "epoch 2 of 2: loss" in ended.err


@pytest.mark.parametrize("epoch", [1, 2])
def test_a_pruning_that_was_stopped_goes_on_to_the_same_weights(
    prune: Prune, monkeypatch: pytest.MonkeyPatch, epoch: int
) -> None:
    whole = prune(run="whole")
    assert whole.code == 0
    train_epoch = loop.train_epoch

    def stop(state, *rest, **more):  # type: ignore[no-untyped-def]  # stands in for another
        if len(state.rows) + 1 == epoch:
            raise KeyboardInterrupt
        return train_epoch(state, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train_epoch", stop)
        ended = prune()
    assert ended.code == 130
    assert f"stopped after epoch {epoch - 1}" in ended.err
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "effsearch.commands.pruning.prune.prune_network", lambda *_: pytest.fail("pruned twice")
        )
        again = prune()
    assert again.code == 0
    assert "pruned before: the training goes on" in again.err
    assert same_tensors(weights_of("whole"), weights_of("pruned"))
    ended = prune()
    assert "no test image is looked at again" in ended.err


def test_pruned_weights_that_are_damaged_are_one_line(prune: Prune, effsearch: Effsearch) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "train_epoch", stop)
        assert prune().code == 130
    path = Path("pruned", "checkpoints", "pruned.safetensors")
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    path.write_bytes(content)
    refuses(prune(), 1, "pruned.safetensors are damaged", "effsearch repair pruned --yes")
    assert "pruning.json" in effsearch("repair", "pruned", "--yes").out
    ended = prune()
    assert ended.code == 0
    assert "pruned before" not in ended.err


def test_a_pruning_that_has_ended_and_lost_its_weights_is_refused_and_begins_anew_after_repair(
    prune: Prune, effsearch: Effsearch
) -> None:
    report = prune("--json").json
    whole = {name: tensor.clone() for name, tensor in weights_of("pruned").items()}  # the file's pages change
    early, best = (Path("pruned", "checkpoints", f"{name}.safetensors") for name in ("pruned", "best"))
    early.write_bytes(early.read_bytes()[:-100])
    assert "ended without it" in effsearch("repair", "pruned", "--yes").out
    assert prune("--json").json == report
    best.write_bytes(best.read_bytes()[:-100])
    words = ("best.safetensors cannot be used: it cannot be read", "effsearch repair pruned --yes")
    refuses(prune(), 1, *words)
    refuses(effsearch("export", "pruned", "--to", "safetensors", "--out", "w.safetensors"), 1, *words)
    assert "report.json" in effsearch("repair", "pruned", "--yes").out
    assert prune("--json").json["test"] == report["test"]
    assert same_tensors(whole, weights_of("pruned"))


def test_other_settings_are_refused_before_an_image_is_decoded(
    prune: Prune, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prune().code == 0
    monkeypatch.setenv("EFFSEARCH_CACHE", "untouched")
    refuses(prune(budget=f"{HALF - 1}-FLOPs"), 2, "--budget was")
    refuses(prune("--lr", "0.1"), 2, "--lr was")
    refuses(prune("--divisor", "4"), 2, "--divisor was 8, now 4")
    assert not Path("untouched").exists()


def test_what_cannot_be_pruned_is_one_line(prune: Prune) -> None:
    refuses(prune(budget="1G-FLOPs"), 2, "run is inside 1G-FLOPs already")
    refuses(prune(budget="100-FLOPs"), 2, "the smallest network has", "smaller --divisor")
    assert not Path("pruned").exists()  # nothing is begun that cannot end
    refuses(prune("--divisor", "0"), 2, "--divisor must be from 1 to 256")
    refuses(prune("--steps", "0"), 2, "--steps must be from 1 to 100")
    refuses(prune(network="efficientnet-b0"), 2, "needs trained weights", "--weights")
    refuses(prune(network="net.json"), 2, "needs trained weights")
    refuses(prune("--weights", "run/checkpoints/best.safetensors", network="net.json"), 2, "give --data")
    refuses(prune("--weights", "none.safetensors"), 2, "none.safetensors")
    Path("damaged.safetensors").write_bytes(b"nothing")
    refuses(prune("--weights", "damaged.safetensors"), 2, "is no safetensors file")
    other = dataclasses.replace(SPEC, head=HeadSpec(out_channels=56))
    Path("other.json").write_text(to_json(other))
    words = ("--weights", "run/checkpoints/best.safetensors", "--data", "colours")
    refuses(prune(*words, network="other.json", run="x1"), 2, "weights of another network")
    write_colours(Path("two"), names=("red", "green"))
    refuses(prune("--data", "two"), 2, "has 3 classes and", "has 2")
    refuses(prune(network="nothing"), 2, "nothing")


def test_weights_that_know_nothing_are_refused(prune: Prune) -> None:
    from effsearch.results.export.weights import write_weights

    spec = from_json(Path("run", "specs", "trained.json").read_text())
    weights = build_model(spec, seed=0).state_dict()
    weights["head.classifier.weight"].zero_()  # every image is of one class
    write_weights(Path("fresh.safetensors"), weights, spec)
    refuses(prune("--weights", "fresh.safetensors"), 2, "give weights that were trained on these images")


def test_a_missing_library_is_one_line(prune: Prune, monkeypatch: pytest.MonkeyPatch) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch_pruning" else find_spec(name)
    )
    refuses(prune(), 2, "pip install 'effsearch[prune]'")


def test_several_processes_are_refused(prune: Prune, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    refuses(prune(), 2, "one process")
