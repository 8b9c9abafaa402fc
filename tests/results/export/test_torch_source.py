"""The file of plain PyTorch: run as it stands, with the weights of effsearch's own network under its names."""

import ast
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch

from effsearch.results.export.check import check_torch_source, reference_outputs, stirred_network
from effsearch.results.export.features import find_features
from effsearch.results.export.names import rename
from effsearch.results.export.torch_source import torch_names, torch_source
from effsearch.results.export.words import safe_name
from effsearch.space.errors import RunError
from effsearch.space.presets import load_preset, preset_names
from effsearch.space.spec import BlockSpec, ModelSpec, StageSpec

from .conftest import PRESETS, assert_same_network, drawn_networks, run_source

pytestmark = pytest.mark.usefixtures("one_thread")


def same_as_file(spec: ModelSpec, seed: int = 0) -> None:
    source = torch_source(spec, name="net", module="net")
    assert max(map(len, source.splitlines())) <= 118
    network = stirred_network(spec, seed=seed)
    assert_same_network(run_source(source).build(), network, torch_names(spec))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_gives_the_same_outputs_parameters_and_multiply_adds(name: str) -> None:
    same_as_file(load_preset(name))


@pytest.mark.parametrize("name", ["mobilenet-v1", "mobilenet-v3-small", "resnet-18", "resnet-50"])
def test_so_does_a_preset_of_another_family(name: str) -> None:
    same_as_file(load_preset(name))


@pytest.mark.parametrize("space", ["efficientnetv2", "mbconv", "mnasnet", "nas-bench-macro"])
def test_so_do_networks_of_the_shipped_spaces(space: str) -> None:
    for spec in drawn_networks(space, 2):
        same_as_file(spec)


@pytest.mark.parametrize("seed", range(40))
def test_so_does_any_network_of_the_schema(seed: int, random_spec) -> None:
    same_as_file(random_spec(np.random.default_rng(seed)), seed)


@pytest.mark.slow
@pytest.mark.parametrize("space", ["efficientnetv2", "mbconv", "mnasnet", "nas-bench-macro"])
def test_so_do_many_networks_of_the_shipped_spaces(space: str) -> None:
    for spec in drawn_networks(space, 25, seed=1):
        same_as_file(spec)


@pytest.mark.slow
@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_counted_alike(name: str) -> None:
    """Outputs of the largest would take gigabytes; their file's parameters and multiply-adds do not."""
    from effsearch.space.cost import count_cost

    from .conftest import count_multiply_adds

    spec = load_preset(name)
    module = run_source(torch_source(spec, name=name, module="net"))
    with torch.device("meta"):
        model = module.Network()
    assert sum(parameter.numel() for parameter in model.parameters()) == count_cost(spec).parameters
    assert count_multiply_adds(model, spec.resolution) == count_cost(spec).multiply_adds


def test_the_file_needs_torch_alone() -> None:
    spec = load_preset("efficientnet-b0")
    imported = {
        node.module if isinstance(node, ast.ImportFrom) else node.names[0].name
        for node in ast.walk(ast.parse(torch_source(spec, name="b0", module="b0")))
        if isinstance(node, ast.Import | ast.ImportFrom)
    }
    assert imported == {"torch", "torch.nn", "math"}


def test_the_file_holds_only_the_classes_that_it_uses() -> None:
    source = torch_source(load_preset("efficientnet-lite0"), name="lite0", module="lite0")
    classes = [node.name for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    assert classes == ["ConvNorm", "MBConv", "Network"]  # no squeeze-excite, no shortcut but the plain one


def test_like_blocks_stand_in_one_line() -> None:
    source = torch_source(load_preset("efficientnet-b0"), name="b0", module="b0")
    assert "*(MBConv(80, 80, expanded=480, kernel_size=3, squeezed=20) for _ in range(2))," in source
    assert len(source.splitlines()) < 170


def test_fresh_weights_are_drawn_as_effsearch_draws_them() -> None:
    module = run_source(torch_source(load_preset("efficientnet-b0"), name="b0", module="b0"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = module.build(num_classes=10)
    expand = model.get_submodule("stages.5.1.expand.conv").weight
    assert expand.std().item() == pytest.approx((2 / 1152) ** 0.5, rel=0.02)
    assert model.classifier.weight.abs().max().item() == pytest.approx(10**-0.5, rel=1e-3)
    assert not model.classifier.bias.any()


def test_blocks_are_dropped_in_training_as_the_spec_says() -> None:
    module = run_source(torch_source(load_preset("efficientnet-b0"), name="b0", module="b0"))
    model = module.Network()
    rates = [block.drop_rate for stage in model.stages for block in stage]
    assert rates == [0.2 * index / 16 for index in range(16)]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        dropped = module.drop_path(torch.ones(4000, 2, 2, 2), 0.25, True)
    assert sorted(set(dropped[:, 0, 0, 0].tolist())) == [0.0, pytest.approx(1 / 0.75)]
    assert dropped.mean().item() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize("name", ["efficientnet-b0", "resnet-18", "mobilenet-v3-large"])
def test_feature_maps_are_those_of_effsearch(name: str) -> None:
    spec = load_preset(name)
    features = find_features(spec)
    source = torch_source(spec, name=name, module="net", features=features)
    network = stirred_network(spec, seed=0)
    model = run_source(source).build().eval().double()
    names = torch_names(spec, features=features)
    model.load_state_dict(rename(network.state_dict(), names))
    images = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        wanted, found = reference_outputs(network, images, features), model(images)
    assert list(found) == list(model.strides) == list(model.channels) == ["0", "1", "2", "3"]
    assert list(model.strides.values()) == [4, 8, 16, 32]
    for one, (key, other) in zip(wanted, found.items(), strict=True):
        assert other.shape == (1, model.channels[key], 64 // model.strides[key], 96 // model.strides[key])
        torch.testing.assert_close(other, one, rtol=1e-8, atol=1e-8)


def test_a_file_that_computes_something_else_is_refused() -> None:
    stage = StageSpec(out_channels=8, stride=1, blocks=(BlockSpec(expand_ratio=2),))
    spec = ModelSpec(stages=(stage,), resolution=16, num_classes=3)
    source = torch_source(spec, name="net", module="net")
    assert check_torch_source(source, spec, torch_names(spec), ()) < 1e-12
    with pytest.raises(RunError, match=r"the torch file gives other outputs .* above 0\.0001"):
        check_torch_source(source.replace("nn.SiLU", "nn.ReLU"), spec, torch_names(spec), ())


def test_the_page_on_exports_shows_what_is_written() -> None:
    page = (Path(__file__).parents[3] / "docs" / "export.md").read_text("utf-8")
    source = torch_source(load_preset("efficientnet-b0"), name="efficientnet-b0", module="efficientnet_b0")
    assert hashlib.sha256(source.encode()).hexdigest() in page
    shown = [line[4:] for line in page.splitlines() if "ConvNorm(" in line or "MBConv(" in line]
    assert len(shown) >= 5
    assert all(line in source.splitlines() for line in shown)


@pytest.mark.parametrize("name", ['q"""+str(print("INJECTED"))+"""', "a\\N{x}", "two\nlines", "ünï'`$(x)"])
def test_a_name_is_harmless_in_code(name: str) -> None:
    safe = safe_name(name)
    assert not set(safe) & set("\"'\\\n`$")
    assert safe_name("trial 12 (phi -2.1), b0/x_y+1") == "trial 12 (phi -2.1), b0/x_y+1"
