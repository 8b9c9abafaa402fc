"""effsearch export as a user meets it."""

import hashlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from effsearch.space.spec import BlockSpec, ModelSpec, StageSpec
from effsearch.space.text import to_json

from ..conftest import Effsearch, refuses

GATED = BlockSpec(se_ratio=0.25, expand_ratio=4)
SMALL = ModelSpec(
    stages=tuple(StageSpec(out_channels=16, stride=2, blocks=(GATED, GATED)) for _ in range(4)),
    resolution=64,
    num_classes=5,
)
FILES = {
    "torch": ["small_net.py"],
    "safetensors": ["small-net_effsearch.safetensors"],
    "onnx": ["small-net.onnx"],
    "timm": ["small_net_timm.py", "small_net_timm.names.json"],
    "torchvision": ["small_net_torchvision.py", "small_net_torchvision.names.json"],
    "pycls": ["small-net_pycls.yaml", "small-net_pycls.names.json"],
}


@pytest.fixture(autouse=True)
def spec_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("small-net.json").write_text(to_json(SMALL))


def run_file(path: str) -> ModuleType:
    module = ModuleType("exported")
    exec(Path(path).read_text(), module.__dict__)
    return module


@pytest.mark.parametrize("target", FILES)
def test_every_target_writes_its_files_and_says_their_sums(effsearch: Effsearch, target: str) -> None:
    report = effsearch("export", "small-net.json", "--to", target, "--json").json
    card = f"{FILES[target][0]}.json"
    assert [row["path"] for row in report["files"]] == [*FILES[target], card]
    for row in report["files"]:
        content = Path(row["path"]).read_bytes()
        assert row["sha256"] == hashlib.sha256(content).hexdigest()
        assert row["bytes"] == len(content)
    assert (report["name"], report["target"], report["classes"]) == ("small-net", target, 5)
    assert (report["max_difference"] is not None) == (target in ("torch", "onnx"))
    assert report["seed"] == (0 if target in ("onnx", "safetensors") else None)
    has_names = target not in ("onnx", "safetensors")
    assert (report["names"].get("head.classifier") is not None) == has_names
    if has_names and target != "torch":
        assert json.loads(Path(FILES[target][1]).read_text()) == report["names"]


def test_people_are_told_what_was_written(effsearch: Effsearch) -> None:
    ended = effsearch("export", "efficientnet-b0", "--to", "torch")
    assert ended.code == 0, ended.err
    assert "efficientnet-b0 to torch: 5,288,548 parameters, 385.8M FLOPs at 224 px, 1000 classes" in ended.out
    assert "efficientnet_b0.py" in ended.out
    assert "tried beside effsearch's own network: outputs " in ended.out
    assert ended.err == ""


@pytest.mark.parametrize("target", ["torch", "timm", "torchvision", "pycls"])
def test_weights_go_out_under_the_names_of_the_target_and_come_back(
    effsearch: Effsearch, target: str
) -> None:
    drawn = ("export", "small-net.json", "--to", "safetensors", "--seed", "7", "--out", "w.safetensors")
    assert effsearch(*drawn).code == 0
    words = ("export", "small-net.json", "--to", target, "--weights", "w.safetensors", "--json")
    report = effsearch(*words).json
    assert report["weights"] == "w.safetensors"
    named = next(row["path"] for row in report["files"] if row["path"].endswith(".safetensors"))
    assert report["names"]["stem.conv"] + ".weight" in load_file(named)
    back = (
        "export",
        "small-net.json",
        "--to",
        "safetensors",
        "--weights",
        named,
        "--out",
        "again.safetensors",
    )
    assert (
        effsearch(*back, "--json").json["files"][0]["sha256"]
        == hashlib.sha256(Path("w.safetensors").read_bytes()).hexdigest()
    )


def test_a_torch_file_runs_with_the_weights_beside_it(effsearch: Effsearch) -> None:
    effsearch("export", "small-net.json", "--to", "safetensors", "--out", "w.safetensors")
    effsearch("export", "small-net.json", "--to", "torch", "--weights", "w.safetensors", "--out", "net.py")
    model = run_file("net.py").build().eval()
    model.load_state_dict(load_file("net.safetensors"))
    from effsearch.proxy_train.build import build_model

    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        torch.testing.assert_close(model(images), build_model(SMALL, seed=0).eval()(images))


def test_one_seed_gives_one_file_and_another_seed_another(effsearch: Effsearch) -> None:
    sums = [
        effsearch("export", "small-net.json", "--to", "safetensors", "--seed", seed, "--json").json["files"][
            0
        ]["sha256"]
        for seed in ("1", "1", "2")
    ]
    assert sums[0] == sums[1] != sums[2]


@pytest.mark.parametrize("target", ["torch", "timm", "onnx"])
def test_features_are_named_with_their_strides(effsearch: Effsearch, target: str) -> None:
    report = effsearch("export", "small-net.json", "--to", target, "--features", "--json").json
    names = ["stride4", "stride8", "stride16", "stride32"] if target == "onnx" else ["0", "1", "2", "3"]
    assert report["features"] == [
        {"name": name, "stride": stride, "channels": 16}
        for name, stride in zip(names, (4, 8, 16, 32), strict=True)
    ]
    assert "head.classifier" not in report["names"]
    if target == "torch":
        model = run_file("small_net.py").build()
        assert sum(parameter.numel() for parameter in model.parameters()) == report["params"]


def test_the_winner_of_a_run_is_exported(effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch) -> None:
    from effsearch.commands.inputs import Base

    def read_base(base: str, *, runs_root: Path) -> Base:
        return Base("photos", SMALL, Path(base))

    monkeypatch.setattr("effsearch.commands.exporting.trained.read_base", read_base)
    report = effsearch("export", "runs/photos", "--to", "timm", "--json").json
    assert report["files"][0]["path"] == "photos_timm.py"


def test_an_existing_file_is_replaced_whole(effsearch: Effsearch) -> None:
    Path("net.yaml").write_text("old")
    assert effsearch("export", "small-net.json", "--to", "pycls", "--out", "net.yaml").code == 0
    assert "effnet" in Path("net.yaml").read_text()
    assert [path.name for path in Path().glob(".*")] == []


@pytest.mark.parametrize(
    ("line", "code", "word"),
    [
        ("export", 2, "network"),
        ("export small-net.json", 2, "--to"),
        ("export small-net.json --to keras", 2, "keras"),
        ("export efficientnet-b9 --to torch", 2, "did you mean"),
        ("export nowhere.json --to torch", 2, "no spec file at nowhere.json"),
        ("export . --to torch", 2, "no run at ."),
        ("export small-net.json --to torch --out net.txt", 2, "ends in .py, got net.txt"),
        ("export small-net.json --to torch --out my-net.py", 2, "give --out my_network.py"),
        ("export small-net.json --to timm --out timm.py", 2, "stand before the library"),
        ("export small-net.json --to torch --out no/net.py", 2, "there is no folder no"),
        ("export small-net.json --to torch --seed 1", 2, "leave out --seed"),
        ("export small-net.json --to safetensors --seed 1 --weights w.safetensors", 2, "leave out --seed"),
        ("export small-net.json --to safetensors --weights w.safetensors", 2, "no weights at w.safetensors"),
        ("export small-net.json --to safetensors --weights small-net.json", 2, "is no safetensors file"),
        ("export small-net.json --to pycls --features", 2, "--features goes with --to torch, timm, onnx"),
        ("export mobilenet-v2 --to torchvision", 2, "torchvision cannot express the stem"),
        ("export mnasnet-a1 --to pycls", 2, "stage 1, block 1 (mbconv): an MBConv without squeeze-excite"),
        ("export resnet-18 --to timm", 2, "timm cannot express the stem"),
    ],
)
def test_bad_input_gets_one_line(effsearch: Effsearch, line: str, code: int, word: str) -> None:
    refuses(effsearch(*line.split()), code, word)
    assert [path.name for path in Path().iterdir()] == ["small-net.json"]


def test_weights_are_not_overwritten_by_their_own_export(effsearch: Effsearch) -> None:
    effsearch("export", "small-net.json", "--to", "safetensors")
    ended = effsearch("export", "small-net.json", "--to", "safetensors", "--weights", FILES["safetensors"][0])
    refuses(ended, 2, "would take the place of the weights")
    beside = effsearch("export", "small-net.json", "--to", "onnx", "--weights", FILES["safetensors"][0])
    assert beside.code == 0, beside.err


def test_missing_packages_are_one_line(effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("effsearch.results.export.onnx_model.PACKAGES", ("onnx", "no_such_package"))
    refuses(effsearch("export", "small-net.json", "--to", "onnx"), 2, "pip install 'effsearch[onnx]'")


def test_other_outputs_are_a_failure_at_run_time(
    effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    from effsearch.results.export import torch_source

    def wrong(*args: Any, **kwargs: Any) -> str:
        return torch_source.torch_source(*args, **kwargs).replace("nn.Sigmoid", "nn.Tanh")

    monkeypatch.setattr("effsearch.commands.exporting.writers.torch_source", wrong)
    refuses(effsearch("export", "small-net.json", "--to", "torch"), 1, "the torch file gives other outputs")
    assert not Path("small_net.py").exists()


def test_help_has_examples(effsearch: Effsearch) -> None:
    assert "effsearch export runs/photos --to torch" in effsearch("export", "--help").out
