"""Weights from files: ours, torchvision's and timm's by their names, and all that does not fit.

The names of others are handed over; `tests/results/export/test_namings.py` holds them to what the libraries give.
"""

import contextlib
import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from effsearch.proxy_train.build import Network, build_model
from effsearch.proxy_train.full.transfer import load_initial, read_weights
from effsearch.results.export.names import rename
from effsearch.results.export.namings import all_names
from effsearch.space.errors import UsageError
from effsearch.space.spec import HeadSpec, StageSpec, StemSpec

from ...conftest import LIBRARY_SPEC as SPEC
from ..conftest import SMALL_SPEC, same_weights
from .conftest import train_small

OTHERS = ("torchvision", "timm", "torch")


def trained(spec=SPEC, *, seed=1) -> Network:
    model = build_model(spec, seed=seed)
    for tensor in model.state_dict().values():
        tensor.add_(1)
    return model


def saved_as(path: Path, model: Network, naming: str) -> Path:
    tensors = model.state_dict()
    if naming != "effsearch":
        tensors = rename(tensors, all_names(model.spec)[naming])
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


@pytest.mark.parametrize("naming", ["effsearch", *OTHERS])
def test_weights_come_back_as_they_were(tmp_path, naming):
    source, model = trained(), build_model(SPEC, seed=5)
    transfer = load_initial(model, saved_as(tmp_path / "w.safetensors", source, naming), all_names(SPEC))
    assert same_weights(source, model)
    assert transfer.naming == naming
    assert transfer.file_classes is None
    assert transfer.num_parameters == sum(
        one.numel() for name, one in source.state_dict().items() if "num_batches" not in name
    )
    assert f"by {naming}'s names, all that the network has" in transfer.words


@pytest.mark.parametrize("naming", ["effsearch", *OTHERS])
def test_a_classifier_of_other_classes_is_left_new_and_said(tmp_path, naming):
    source = trained(dataclasses.replace(SPEC, num_classes=7))
    model, fresh = build_model(SPEC, seed=5), build_model(SPEC, seed=5)
    transfer = load_initial(model, saved_as(tmp_path / "w.safetensors", source, naming), all_names(SPEC))
    own, given, new = model.state_dict(), source.state_dict(), fresh.state_dict()
    for name in own:
        wanted = new if name.startswith("head.classifier") else given
        assert torch.equal(own[name], wanted[name])
    assert transfer.file_classes == 7
    assert "the classifier is new, the file's tells 7 classes apart" in transfer.words


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_a_pth_is_read_without_running_anything(tmp_path, wrapper):
    source, model = trained(), build_model(SPEC, seed=5)
    theirs = rename(source.state_dict(), all_names(SPEC)["torchvision"])
    tensors = {f"module.{name}": tensor for name, tensor in theirs.items()}
    torch.save(tensors if wrapper is None else {wrapper: tensors, "epoch": 3}, tmp_path / "w.pth")
    assert load_initial(model, tmp_path / "w.pth", all_names(SPEC)).naming == "torchvision"
    assert same_weights(source, model)


class Runs:
    def __reduce__(self):
        return (print, ("run",))


def test_a_pth_that_would_run_something_is_refused(tmp_path, capsys):
    torch.save({"state_dict": Runs()}, tmp_path / "w.pth")
    with pytest.raises(UsageError, match="cannot be read as weights"):
        read_weights(tmp_path / "w.pth")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"a": 1}, "must hold tensors by name"),
        ([1, 2], "must hold tensors by name"),
    ],
)
def test_a_pth_of_something_else_is_refused(tmp_path, content, words):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(UsageError, match=words):
        read_weights(tmp_path / "w.pth")


def test_files_that_are_none_are_refused(tmp_path):
    with pytest.raises(UsageError, match="no file at"):
        read_weights(tmp_path / "nowhere.safetensors")
    for name in ("w.safetensors", "w.pth"):
        (tmp_path / name).write_bytes(b"not weights")
        with pytest.raises(UsageError, match="cannot be read as weights") as refused:
            read_weights(tmp_path / name)
        assert "\n" not in str(refused.value)


def test_weights_of_another_network_are_refused_by_the_first_tensor(tmp_path):
    wider = dataclasses.replace(SPEC, stem=StemSpec(out_channels=16))
    path = saved_as(tmp_path / "wide.safetensors", trained(wider), "timm")
    with pytest.raises(UsageError, match=r"stem\.conv\.weight is 16x3x3x3 there and 8x3x3x3 here"):
        load_initial(build_model(SPEC, seed=0), path, all_names(SPEC))
    shallow = dataclasses.replace(SPEC, stages=SPEC.stages[:2])
    path = saved_as(tmp_path / "shallow.safetensors", trained(shallow), "effsearch")
    with pytest.raises(UsageError, match="is missing; it is of another network"):
        load_initial(build_model(SPEC, seed=0), path)
    path = saved_as(tmp_path / "deep.safetensors", trained(), "effsearch")
    slim = dataclasses.replace(SPEC, stages=(*SPEC.stages[:2], StageSpec(**one_block())))
    with pytest.raises(UsageError, match=r"stages\.2\.1\..* has no place in this network"):
        load_initial(build_model(slim, seed=0), path)


def one_block():
    stage = SPEC.stages[2]
    return {"out_channels": stage.out_channels, "stride": stage.stride, "blocks": stage.blocks[:1]}


def test_a_classifier_of_another_width_is_no_matter_of_classes(tmp_path):
    narrow = dataclasses.replace(SPEC, head=HeadSpec(out_channels=0))
    save_file({"head.classifier.weight": torch.zeros(3, 99)}, tmp_path / "w.safetensors")
    with pytest.raises(UsageError, match=r"is missing|is 3x99 there"):
        load_initial(build_model(narrow, seed=0), tmp_path / "w.safetensors")


def test_numbers_that_are_not_finite_and_unknown_names_are_refused(tmp_path):
    model = trained()
    model.stem.conv.weight.data[0] = float("nan")
    path = saved_as(tmp_path / "nan.safetensors", model, "effsearch")
    with pytest.raises(UsageError, match="holds numbers that are not finite"):
        load_initial(build_model(SPEC, seed=0), path)
    save_file({"other": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(UsageError, match="holds no weights of this network: other is not known"):
        load_initial(build_model(SPEC, seed=0), tmp_path / "other.safetensors")
    path = saved_as(tmp_path / "timm.safetensors", trained(), "timm")
    with pytest.raises(
        UsageError, match=r"holds no weights of this network: .* is not known"
    ):  # nobody said timm's
        load_initial(build_model(SPEC, seed=0), path)


def test_the_weights_of_a_training_of_ours_can_be_begun_with(tmp_path, one_thread):
    source, _ = train_small(tmp_path)
    for name in ("last.safetensors", "best.safetensors"):
        model = build_model(SMALL_SPEC, seed=9)
        assert load_initial(model, tmp_path / name).naming == "effsearch"
    load_initial(model, tmp_path / "last.safetensors")
    assert same_weights(source, model)
    content = bytearray((tmp_path / "best.safetensors").read_bytes())
    content[-10] ^= 1
    (tmp_path / "best.safetensors").write_bytes(content)
    with pytest.raises(UsageError, match="damaged: its SHA-256 is another"):
        load_initial(model, tmp_path / "best.safetensors")


@pytest.mark.parametrize("seed", range(40))
def test_damaged_bytes_of_a_pth_are_one_line(tmp_path, seed, recwarn):
    path = tmp_path / "w.pth"
    rng = np.random.default_rng(seed)
    torch.save({"a.weight": torch.zeros(3)}, path, _use_new_zipfile_serialization=seed % 2 == 0)
    content = bytearray(path.read_bytes())
    for place in rng.integers(len(content), size=8):
        content[place] = rng.integers(256)
    path.write_bytes(content)
    with contextlib.suppress(UsageError):  # but where what was changed is nothing that counts
        assert all(isinstance(one, torch.Tensor) for one in read_weights(path).values())
    assert not recwarn.list


def test_plain_text_named_pth_is_one_line(tmp_path):
    (tmp_path / "w.pth").write_text("plain text")
    with pytest.raises(UsageError, match=r"w\.pth cannot be read as weights: "):
        read_weights(tmp_path / "w.pth")
