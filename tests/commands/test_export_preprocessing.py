"""An exported network answers as effsearch scored it, from raw images and by what the export itself says."""

import ast
import json
import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
import yaml
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from effsearch.proxy_train.augment import to_input
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.data.images import decode_image
from effsearch.proxy_train.score import normalisation_of
from effsearch.results.export.weights import read_network
from effsearch.space.preprocessing import preprocessing_from
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec
from effsearch.space.text import from_json, to_json

from ..conftest import Effsearch, refuses
from .conftest import train_in_folder

GATED = BlockSpec(se_ratio=0.25, expand_ratio=2)
STORED = 16
CLASSIFY = Path(__file__).parents[2] / "examples" / "classify.py"
# Names of folders may be anything: these would end a string, a comment or a docstring.
HOSTILE = (
    "a\"\"\"; raise SystemExit(7) #'''",
    "b'), import os # \\",
    "c<script>\u2028{x}%s\u202e日",
)


def spec_of(resolution: int) -> ModelSpec:
    return ModelSpec(
        stem=StemSpec(out_channels=8, stride=2),
        stages=(StageSpec(out_channels=16, stride=1, blocks=(GATED, GATED)),),
        head=HeadSpec(out_channels=24),
        resolution=resolution,
        num_classes=3,
    )


@pytest.fixture(scope="module", params=[STORED, 12], ids=["as stored", "resized"])
def trained(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, cache: Path
) -> Iterator[Path]:
    """A folder with images in classes of hostile names, and a network trained on them, in `run`."""
    folder = tmp_path_factory.mktemp("trained")
    spec = spec_of(request.param)
    train_in_folder(folder, spec, cache=cache, batch_size=24, num_images=80, side=STORED, names=HOSTILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EFFSEARCH_CACHE", str(cache))
        yield folder


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def own_scores(trained: Path, images: ImageData) -> torch.Tensor:
    """Score the validation images as effsearch does."""
    spec = from_json((trained / "run" / "specs" / "trained.json").read_text())
    network = read_network(spec, trained / "run" / "checkpoints" / "best.safetensors")
    pixels = torch.from_numpy(np.array(images.val.images))
    with torch.no_grad():
        return network(to_input(pixels, normalisation=normalisation_of(images), resolution=spec.resolution))


def require_same(found: torch.Tensor, trained: Path, images: ImageData) -> None:
    """Scores are effsearch's, and right as often as the run's report says."""
    wanted = own_scores(trained, images)
    torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-3)
    assert torch.equal(found.argmax(1), wanted.argmax(1))
    right = (found.argmax(1) == torch.from_numpy(np.array(images.val.labels))).double().mean()
    report = json.loads((trained / "run" / "report.json").read_text())
    assert float(right) == pytest.approx(report["best"]["accuracy"])


def run_file(path: str) -> ModuleType:
    module = ModuleType("exported")
    exec(Path(path).read_text(), module.__dict__)
    return module


def test_a_torch_file_answers_alike_from_raw_bytes(
    effsearch: Effsearch, trained: Path, images: ImageData
) -> None:
    report = effsearch("export", str(trained / "run"), "--to", "torch", "--json").json
    module = run_file("run.py")
    assert sorted(module.CLASSES) == sorted(HOSTILE)
    assert images.class_names == module.CLASSES
    model = module.build().eval()
    model.load_state_dict(load_file("run.safetensors"))
    raw = torch.from_numpy(np.array(images.val.images)).permute(0, 3, 1, 2)  # as torchvision's read_image
    with torch.no_grad():
        require_same(model(module.preprocess(raw)), trained, images)
        one = model(module.preprocess(raw[0]))
        torch.testing.assert_close(one, model(module.preprocess(raw[:1])))
    larger = module.preprocess(torch.full((3, 50, 70), 128, dtype=torch.uint8))
    assert larger.shape == (1, 3, report["resolution"], report["resolution"])
    grey = (128 / 255 - np.array(images.channel_mean)) / np.array(images.channel_std)
    torch.testing.assert_close(larger[0, :, 3, 4], torch.tensor(grey, dtype=torch.float32))


def test_an_onnx_model_answers_alike_by_its_own_words(
    effsearch: Effsearch, trained: Path, images: ImageData
) -> None:
    assert effsearch("export", str(trained / "run"), "--to", "onnx").code == 0
    session = onnxruntime.InferenceSession("run.onnx")
    words = session.get_modelmeta().custom_metadata_map
    assert tuple(json.loads(words["class_names"])) == images.class_names
    mean, std = (np.array(json.loads(words[name])) for name in ("mean", "std"))
    assert (words["channel_order"], json.loads(words["stored_resolution"])) == ("RGB", STORED)
    given = ((images.val.images * json.loads(words["pixel_scale"]) - mean) / std).transpose(0, 3, 1, 2)
    size = json.loads(words["resolution"])
    if "interpolation" in words:
        given = torch.nn.functional.interpolate(
            torch.from_numpy(given), (size, size), mode=words["interpolation"], antialias=True
        ).numpy()
    else:
        assert size == STORED
    (scores,) = session.run(None, {"images": given.astype(np.float32)})
    require_same(torch.from_numpy(scores), trained, images)


def shares_by_effsearch(trained: Path, images: ImageData, picture: Path) -> dict[str, float]:
    spec = from_json((trained / "run" / "specs" / "trained.json").read_text())
    network = read_network(spec, trained / "run" / "checkpoints" / "best.safetensors")
    pixels = torch.from_numpy(np.array(decode_image(picture, STORED)))[None]
    with torch.no_grad():
        scores = network(to_input(pixels, normalisation=normalisation_of(images), resolution=spec.resolution))
    return dict(zip(images.class_names, scores.softmax(1)[0].tolist(), strict=True))


def test_the_example_gives_the_shares_that_effsearch_gives(
    effsearch: Effsearch, trained: Path, images: ImageData
) -> None:
    assert effsearch("export", str(trained / "run"), "--to", "onnx").code == 0
    classify = runpy.run_path(str(CLASSIFY))["classify"]
    rng = np.random.default_rng(0)
    for side in (STORED, 3 * STORED):
        wide = rng.integers(0, 256, (side, side + 10, 3), dtype=np.uint8)
        Image.fromarray(wide).save("picture.png")
        found = classify("run.onnx", "picture.png")
        assert list(found.values()) == sorted(found.values(), reverse=True)
        assert found == pytest.approx(shares_by_effsearch(trained, images, Path("picture.png")), abs=1e-3)


def test_the_example_refuses_a_model_that_does_not_name_its_classes(effsearch: Effsearch) -> None:
    Path("net.json").write_text(to_json(spec_of(12)))
    assert effsearch("export", "net.json", "--to", "onnx").code == 0
    with pytest.raises(SystemExit, match=r"net\.onnx does not name its classes: export a trained network"):
        runpy.run_path(str(CLASSIFY))["classify"]("net.onnx", "picture.png")


def test_the_example_knows_nothing_of_effsearch() -> None:
    tree = ast.parse(CLASSIFY.read_text())
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    assert {word for node in nodes for word in ast.unparse(node).split()}.isdisjoint({"effsearch", "torch"})


def test_every_target_carries_the_same_and_a_card_lies_beside_it(
    effsearch: Effsearch, trained: Path, images: ImageData
) -> None:
    run = json.loads((trained / "run" / "report.json").read_text())
    targets = {
        "torch": "run.py",
        "safetensors": "run_effsearch.safetensors",
        "onnx": "run.onnx",
        "timm": "run_timm.py",
        "torchvision": "run_torchvision.py",
        "pycls": "run_pycls.yaml",
    }
    for target, name in targets.items():
        shown = effsearch("export", str(trained / "run"), "--to", target)
        assert shown.code == 0, shown.err
        assert "normalisation and the names of 3 classes: those of colours; validation top-1" in shown.out
        card = json.loads(Path(f"{name}.json").read_text())
        found = preprocessing_from(card["preprocessing"])
        assert found.class_names == images.class_names
        assert (found.mean, found.std) == (images.channel_mean, images.channel_std)
        assert found.data_fingerprint == images.fingerprint
        assert card["accuracy"]["test_top1"] == run["test"]["accuracy"]
        assert (card["target"], card["unknown"]) == (target, None)
        assert str(trained) not in json.dumps(card)  # it goes to others
    assert len({path.name for path in Path().iterdir()}) == len(list(Path().iterdir())) == 6 + 6 + 4 + 3
    for name in ("run.safetensors", "run_effsearch.safetensors", "run_timm.safetensors"):
        with safe_open(name, framework="pt") as file:
            about = json.loads(file.metadata()["effsearch"])
        assert preprocessing_from(about["preprocessing"]) == found
    assert yaml.safe_load(Path("run_pycls.yaml").read_text())["TEST"] == {"IM_SIZE": found.resolution}
    for name in ("run.py", "run_timm.py", "run_torchvision.py"):
        names = [node for node in ast.walk(ast.parse(Path(name).read_text())) if isinstance(node, ast.Assign)]
        classes = next(node.value for node in names if ast.unparse(node.targets[0]) == "CLASSES")
        assert ast.literal_eval(classes) == images.class_names


def test_what_is_known_goes_on_with_the_weights_alone(effsearch: Effsearch, trained: Path) -> None:
    spec = str(trained / "run" / "specs" / "trained.json")
    shutil.copy(trained / "run" / "checkpoints" / "best.safetensors", "best.safetensors")
    one = effsearch("export", spec, "--to", "torch", "--weights", "best.safetensors", "--json").json
    two = effsearch("export", spec, "--to", "onnx", "--weights", "trained.safetensors", "--json").json
    assert one["preprocessing"] == two["preprocessing"]
    assert one["preprocessing"]["class_names"] == sorted(HOSTILE)
    assert list(one["accuracy"]) == ["validation_top1"]
    assert two["accuracy"] == {}


def test_of_weights_without_a_training_nothing_is_made_up(effsearch: Effsearch) -> None:
    Path("net.json").write_text(to_json(spec_of(12)))
    assert effsearch("export", "net.json", "--to", "safetensors", "--out", "w.safetensors").code == 0
    for target, name in (("torch", "net.py"), ("onnx", "net.onnx"), ("timm", "net_timm.py")):
        ended = effsearch("export", "net.json", "--to", target, "--weights", "w.safetensors")
        assert "not known: the weights do not say on which images they were trained" in ended.out
        card = json.loads(Path(f"{name}.json").read_text())
        assert card["preprocessing"] is None
        assert "do not say" in card["unknown"]
    assert "MEAN" not in Path("net.py").read_text() + Path("net_timm.py").read_text()
    words = onnxruntime.InferenceSession("net.onnx").get_modelmeta().custom_metadata_map
    assert sorted(words) == ["effsearch", "network"]


@pytest.mark.parametrize(
    "about",
    [
        "no JSON",
        '"text"',
        "[1]",
        "[" * 100_000,
        json.dumps({"preprocessing": {"mean": [1, 2]}}),
        json.dumps({"preprocessing": 3}),
    ],
)
def test_a_file_that_says_nonsense_of_itself_is_one_that_says_nothing(
    effsearch: Effsearch, about: Any
) -> None:
    from safetensors.torch import save_file

    Path("net.json").write_text(to_json(spec_of(12)))
    assert effsearch("export", "net.json", "--to", "safetensors", "--out", "w.safetensors").code == 0
    save_file(load_file("w.safetensors"), "odd.safetensors", {"effsearch": about})
    ended = effsearch("export", "net.json", "--to", "pycls", "--weights", "odd.safetensors")
    assert ended.code == 0, ended.err
    assert "are not known" in ended.out


def test_an_export_never_takes_the_place_of_another_target_s(effsearch: Effsearch) -> None:
    Path("net.json").write_text(to_json(spec_of(12)))
    export = ("export", "net.json", "--to")
    assert effsearch(*export, "safetensors", "--out", "w.safetensors").code == 0
    weights = ("--weights", "w.safetensors")
    assert effsearch(*export, "torch", *weights).code == 0
    assert effsearch(*export, "safetensors", *weights).code == 0  # once the same name, now another
    assert effsearch(*export, "torch", *weights).code == 0  # its own is replaced
    before = Path("net.safetensors").read_bytes()
    refuses(
        effsearch(*export, "safetensors", *weights, "--out", "net.safetensors"),
        2,
        "net.safetensors is of an export to torch: give --out another name",
    )
    refuses(effsearch(*export, "timm", "--out", "net.py"), 2, "net.py is of an export to torch")
    refuses(effsearch(*export, "timm", *weights, "--out", "net.py"), 2, "net.py is of an export to torch")
    Path("net.py").unlink()  # its weights are left
    refuses(effsearch(*export, "timm", *weights, "--out", "net.py"), 2, "net.safetensors is of an export")
    assert Path("net.safetensors").read_bytes() == before
