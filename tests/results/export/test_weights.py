"""Weights in and out, under effsearch's names and every export's."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from effsearch.proxy_train.tensor_files import write_tensors
from effsearch.results.atomic import sha256_of
from effsearch.results.export.names import Names, inverse, rename
from effsearch.results.export.pycls_config import pycls_names
from effsearch.results.export.timm_source import timm_names
from effsearch.results.export.torch_source import torch_names
from effsearch.results.export.torchvision_source import torchvision_names
from effsearch.results.export.weights import fresh_network, read_network, write_weights
from effsearch.space.errors import UsageError
from effsearch.space.presets import load_preset
from effsearch.space.spec import BlockSpec, ModelSpec, StageSpec
from effsearch.space.text import from_json, to_json

GATED = BlockSpec(se_ratio=0.25, expand_ratio=4)
SMALL = ModelSpec(
    stages=tuple(StageSpec(out_channels=16, stride=2, blocks=(GATED, GATED)) for _ in range(2)),
    resolution=32,
    num_classes=5,
)
NAMINGS = {"torch": torch_names, "timm": timm_names, "torchvision": torchvision_names, "pycls": pycls_names}


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return fresh_network(SMALL, seed=3).state_dict()


def test_the_same_weights_are_the_same_file(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    paths = [tmp_path / f"{index}.safetensors" for index in range(4)]
    for path in paths:
        write_weights(path, state, SMALL)
    assert len({sha256_of(path) for path in paths}) == 1


def test_the_spec_stands_in_the_metadata(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "net.safetensors"
    write_weights(path, state, SMALL)
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["effsearch"])
    assert from_json(json.dumps(about["spec"])) == SMALL
    found = load_file(path)
    assert set(found) == set(state)
    assert all(torch.equal(found[name], tensor) for name, tensor in state.items())


@pytest.mark.parametrize("naming", [None, *NAMINGS])
def test_weights_come_back_from_every_naming(
    tmp_path: Path, state: dict[str, torch.Tensor], naming: str | None
) -> None:
    tensors = rename(state, NAMINGS[naming](SMALL)) if naming else state
    path = tmp_path / "net.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    again = read_network(SMALL, path).state_dict()
    assert all(torch.equal(again[name], tensor) for name, tensor in state.items())


def test_names_round_trip_in_every_preset() -> None:
    from effsearch.proxy_train.build import build_on_meta

    for name in ("efficientnet-b0", "efficientnet-b1", "efficientnet-b2", "efficientnetv2-s"):
        spec = load_preset(name)
        modules = {tensor.rpartition(".")[0] for tensor in build_on_meta(spec).state_dict()}
        for naming in (torch_names, timm_names, torchvision_names):
            names: Names = naming(spec)
            assert set(names) == modules
            assert inverse(inverse(names)) == names


def test_names_round_trip_in_any_network(random_spec) -> None:
    from effsearch.proxy_train.build import build_on_meta

    for seed in range(60):
        spec = random_spec(np.random.default_rng(seed))
        names = torch_names(spec)
        assert set(names) == {tensor.rpartition(".")[0] for tensor in build_on_meta(spec).state_dict()}
        assert inverse(inverse(names)) == names


def test_counters_of_norms_may_be_missing(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "net.safetensors"
    save_file(
        {
            name: tensor.contiguous()
            for name, tensor in state.items()
            if not name.endswith("num_batches_tracked")
        },
        path,
    )
    assert torch.equal(read_network(SMALL, path).state_dict()["stem.conv.weight"], state["stem.conv.weight"])


def test_weights_that_do_not_fit_are_refused_by_name(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "net.safetensors"
    with pytest.raises(UsageError, match=r"no weights at .*net\.safetensors"):
        read_network(SMALL, path)
    path.write_text("no weights")
    with pytest.raises(UsageError, match=r"net\.safetensors is no safetensors file"):
        read_network(SMALL, path)
    whole = {name: tensor.contiguous() for name, tensor in state.items()}
    save_file({name: tensor for name, tensor in whole.items() if name != "stem.conv.weight"}, path)
    with pytest.raises(UsageError, match=r"no weights of this network: stem\.conv\.weight is missing"):
        read_network(SMALL, path)
    save_file(whole | {"other.weight": torch.zeros(1)}, path)
    with pytest.raises(UsageError, match=r"other\.weight is none of its tensors"):
        read_network(SMALL, path)
    save_file(whole | {"head.classifier.weight": torch.zeros(9, 1280)}, path)
    with pytest.raises(
        UsageError, match=r"head\.classifier\.weight must have shape \(5, 1280\), got \(9, 1280\)"
    ):
        read_network(SMALL, path)


def test_weights_of_a_network_that_differs_in_its_strides_alone_are_refused(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    path = tmp_path / "net.safetensors"
    first, *rest = SMALL.stages
    other = dataclasses.replace(SMALL, stages=(dataclasses.replace(first, stride=1), *rest))
    assert fresh_network(other, seed=3).state_dict().keys() == state.keys()
    write_weights(path, state, SMALL)
    read_network(dataclasses.replace(SMALL, resolution=64, drop_path_rate=0.5), path)
    with pytest.raises(
        UsageError, match="of another network, whose strides or activations may be all that differs"
    ):
        read_network(other, path)


def test_weights_of_a_training_are_of_its_network_and_as_they_were_written(
    tmp_path: Path, state: dict[str, torch.Tensor]
) -> None:
    path = tmp_path / "best.safetensors"
    fast = dataclasses.replace(SMALL, norm_momentum=0.3, drop_path_rate=0.0, resolution=16)
    write_tensors(path, state, {"spec": to_json(fast), "epoch": "3"})
    assert torch.equal(read_network(SMALL, path).state_dict()["stem.conv.weight"], state["stem.conv.weight"])
    other = dataclasses.replace(SMALL, norm_epsilon=0.1)
    write_tensors(path, state, {"spec": to_json(other)})
    with pytest.raises(UsageError, match="of another network"):
        read_network(SMALL, path)
    write_tensors(path, state, {})
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(UsageError, match="is damaged: its SHA-256 is another"):
        read_network(SMALL, path)


def test_numbers_that_are_none_are_refused(tmp_path: Path, state: dict[str, torch.Tensor]) -> None:
    path = tmp_path / "net.safetensors"
    broken = {**state, "head.classifier.bias": torch.full((5,), float("nan"))}
    save_file({name: tensor.contiguous() for name, tensor in broken.items()}, path)
    with pytest.raises(UsageError, match=r"head\.classifier\.bias holds numbers that are not finite"):
        read_network(SMALL, path)
