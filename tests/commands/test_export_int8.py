"""`effsearch export --to onnx-int8` as a user meets it."""

import json
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from effsearch.proxy_train.data.datasets import ImageData
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec

from ..conftest import Effsearch, refuses
from .conftest import train_in_folder

SPEC = ModelSpec(
    stem=StemSpec(out_channels=8, stride=1),
    stages=(
        StageSpec(out_channels=8, stride=2, blocks=(BlockSpec(expand_ratio=2, se_ratio=0.25),)),
        StageSpec(out_channels=12, stride=2, blocks=(BlockSpec(expand_ratio=2),)),
    ),
    head=HeadSpec(out_channels=16),
    resolution=12,
    num_classes=3,
)
NUM_TRAIN, NUM_VAL = 240, 30


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """A folder with coloured noise and a network that was trained on it a little, in `run`."""
    folder = tmp_path_factory.mktemp("trained")
    return train_in_folder(folder, SPEC, cache=cache, batch_size=32, num_images=100)


def accuracy_by_hand(model: Path, images: ImageData) -> float:
    """Score one image after the other."""
    session = onnxruntime.InferenceSession(model)
    right = 0
    for pixels, label in zip(images.val.images, images.val.labels, strict=True):
        image = (pixels / 255 - np.array(images.channel_mean)) / np.array(images.channel_std)
        given = image.transpose(2, 0, 1)[None].astype(np.float32)
        right += int(session.run(None, {"images": given})[0].argmax() == label)
    return right / len(images.val)


def test_a_train_run_goes_out_with_the_accuracy_that_a_plain_loop_gives(
    effsearch: Effsearch, trained: Path, images: ImageData
) -> None:
    report = effsearch("export", str(trained / "run"), "--to", "onnx-int8", "--json").json
    weights = trained / "run" / "checkpoints" / "best.safetensors"
    assert (report["target"], report["weights"]) == ("onnx-int8", str(weights))
    assert [row["path"] for row in report["files"]] == ["run_int8.onnx", "run_int8.onnx.json"]
    assert report["preprocessing"]["class_names"] == list(images.class_names)
    found = report["quantised"]
    assert (found["val_images"], found["calibration_images"]) == (NUM_VAL, NUM_TRAIN)
    spec = trained / "run" / "specs" / "trained.json"
    words = ("export", str(spec), "--to", "onnx", "--weights", str(weights))
    plain = effsearch(*words, "--out", "plain.onnx", "--json").json
    for name, path in (("float32", "plain.onnx"), ("int8", "run_int8.onnx")):
        assert found[name]["accuracy"] == accuracy_by_hand(Path(path), images)
        assert found[name]["latency_seconds"] > 0
    trained_report = json.loads((trained / "run" / "report.json").read_text())
    assert found["float32"]["accuracy"] == trained_report["best"]["accuracy"] > images.learned_from
    assert found["float32"]["bytes"] == plain["files"][0]["bytes"]
    assert found["int8"]["bytes"] == report["files"][0]["bytes"]
    assert 0 < found["quantised_nodes"] < found["nodes"]


def test_calibration_images_are_training_images_of_every_class_by_the_seed(
    effsearch: Effsearch, trained: Path, images: ImageData, monkeypatch: pytest.MonkeyPatch
) -> None:
    from effsearch.results.export import onnx_int8

    seen = []

    def look(model: bytes, batches: list[np.ndarray]) -> onnx_int8.Int8Model:
        seen.append(np.concatenate(batches))
        return onnx_int8.quantise(model, batches)

    monkeypatch.setattr("effsearch.commands.exporting.int8.quantise", look)
    sums = []
    for seed in ("1", "1", "2"):
        words = ("export", str(trained / "run"), "--to", "onnx-int8", "--calibration-images", "6")
        report = effsearch(*words, "--seed", seed, "--json").json
        assert (report["quantised"]["seed"], report["seed"]) == (int(seed), None)
        sums.append(report["files"][0]["sha256"])
    assert sums[0] == sums[1] != sums[2]
    known = {
        bytes(pixels): int(label)
        for pixels, label in zip(images.train.images, images.train.labels, strict=True)
    }
    for given in seen:
        restored = given.transpose(0, 2, 3, 1) * np.array(images.channel_std) + np.array(images.channel_mean)
        pixels = np.rint(restored * 255).astype(np.uint8)
        assert sorted(known[bytes(one)] for one in pixels) == [0, 0, 1, 1, 2, 2]


def test_people_see_both_models_side_by_side(effsearch: Effsearch, trained: Path) -> None:
    ended = effsearch("export", str(trained / "run"), "--to", "onnx-int8", "--out", "small.onnx")
    assert ended.code == 0, ended.err
    assert "by 240 training images of colours" in ended.out
    assert "onnxruntime on 30 validation images; one image on one thread" in ended.out
    assert [line.split()[1] for line in ended.out.splitlines() if line.startswith("│")] == ["float32", "int8"]
    assert "small.onnx" in ended.out


def test_a_file_with_its_weights_and_data_is_quantised_alike(effsearch: Effsearch, trained: Path) -> None:
    weights = str(trained / "run" / "checkpoints" / "best.safetensors")
    spec = str(trained / "run" / "specs" / "trained.json")
    words = ("export", spec, "--weights", weights, "--data", str(trained / "colours"))
    by_name = effsearch(*words, "--to", "onnx-int8", "--json").json
    of_run = effsearch("export", str(trained / "run"), "--to", "onnx-int8", "--json").json
    assert by_name["files"][0]["path"] == "trained_int8.onnx"
    assert by_name["files"][0]["sha256"] == of_run["files"][0]["sha256"]


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("FOLDER/net.json --data FOLDER/colours", "needs trained weights"),
        ("FOLDER/net.json --weights FOLDER/run/checkpoints/best.safetensors", "give --data"),
        ("FOLDER/net.json --weights nowhere.safetensors --data FOLDER/colours", "no weights at nowhere"),
        ("FOLDER/run --data synthetic", "run has 3 classes"),
        ("FOLDER/run --data nowhere", "nowhere"),
        ("FOLDER/run --calibration-images 241", "at most the 240 training images of colours, got 241"),
        ("FOLDER/run --calibration-images 0", "--calibration-images"),
        ("FOLDER/run --features", "--features goes with --to torch, timm, onnx"),
        ("FOLDER/run --out model.bin", "ends in .onnx, got model.bin"),
        ("FOLDER/colours", "no run at"),
    ],
)
def test_bad_input_gets_one_line(effsearch: Effsearch, trained: Path, line: str, word: str) -> None:
    refuses(effsearch("export", *line.replace("FOLDER", str(trained)).split(), "--to", "onnx-int8"), 2, word)
    assert list(Path().iterdir()) == []


def test_fresh_weights_are_refused(effsearch: Effsearch, trained: Path) -> None:
    net, data = str(trained / "net.json"), str(trained / "colours")
    assert effsearch("export", net, "--to", "safetensors", "--out", "fresh.safetensors").code == 0
    ended = effsearch("export", net, "--to", "onnx-int8", "--weights", "fresh.safetensors", "--data", data)
    refuses(ended, 2, "fresh.safetensors is right on", "give weights that were trained on these images")


def test_images_that_changed_since_the_training_are_refused(
    effsearch: Effsearch, trained: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    shutil.copytree(trained / "run", run)
    settings = json.loads((run / "settings.json").read_text())
    settings["settings"]["data_fingerprint"] = "0" * 64
    (run / "settings.json").write_text(json.dumps(settings))
    refuses(effsearch("export", "run", "--to", "onnx-int8"), 1, "colours is not as it was when run trained")


def test_a_training_that_has_not_ended_is_refused(
    effsearch: Effsearch, trained: Path, tmp_path: Path
) -> None:
    shutil.copytree(trained / "run", tmp_path / "run")
    (tmp_path / "run" / "report.json").unlink()
    refuses(effsearch("export", "run", "--to", "onnx-int8"), 2, "the run at run has no result yet")


def test_other_targets_look_at_no_images(effsearch: Effsearch, trained: Path) -> None:
    net = str(trained / "net.json")
    refuses(effsearch("export", net, "--to", "onnx", "--data", "cifar10"), 2, "leave out --data")
    ended = effsearch("export", net, "--to", "torch", "--calibration-images", "9")
    refuses(ended, 2, "--to torch looks at no images: leave out --calibration-images")


def test_missing_packages_are_one_line(
    effsearch: Effsearch, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("effsearch.results.export.onnx_model.PACKAGES", ("onnx", "no_such_package"))
    ended = effsearch("export", str(trained / "run"), "--to", "onnx-int8")
    refuses(ended, 2, "--to onnx-int8 needs no_such_package: pip install 'effsearch[onnx]'")
