"""The ONNX model, run by onnxruntime."""

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import effsearch
from effsearch.results.export.features import find_features
from effsearch.results.export.onnx_model import export_onnx, require_onnx
from effsearch.results.export.weights import fresh_network
from effsearch.space.errors import RunError, UsageError
from effsearch.space.presets import load_preset
from effsearch.space.spec import BlockSpec, ModelSpec, StageSpec, StemSpec

from .conftest import PRESETS, drawn_networks

pytestmark = pytest.mark.usefixtures("one_thread")

SMALL = ModelSpec(
    stem=StemSpec(out_channels=8),
    stages=(
        StageSpec(out_channels=8, stride=2, blocks=(BlockSpec(expand_ratio=2, se_ratio=0.25),) * 2),
        StageSpec(out_channels=12, stride=2, blocks=(BlockSpec(kind="bottleneck", skip="pool"),)),
    ),
    resolution=32,
    num_classes=5,
)


def same_in_onnxruntime(spec: ModelSpec) -> None:
    network = fresh_network(spec, seed=0)
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if name.endswith("project_norm.weight"):
                parameter.fill_(0.2)  # weak branches: depth does not amplify rounding
    model = export_onnx(network, (), size=spec.resolution)
    assert model.difference <= 1e-4
    print(f"differs by {model.difference:.2g}")
    weights = [
        tensor for tensor in onnx.load_from_string(model.content).graph.initializer if tensor.data_type == 1
    ]
    # Norms are folded into their convolutions, so a factor for each channel is gone.
    num_kernel_weights = sum(int(np.prod(tensor.dims)) for tensor in weights if len(tensor.dims) == 4)
    spread = sum(
        parameter.numel() for parameter in fresh_network(spec, seed=0).parameters() if parameter.ndim == 4
    )
    assert num_kernel_weights == spread


def test_a_small_network_takes_any_number_of_images() -> None:
    network = fresh_network(SMALL, seed=1)
    model = export_onnx(network, (), size=32)
    assert model.difference <= max(1e-4, 4 * model.rounding)
    session = onnxruntime.InferenceSession(model.content)
    images = torch.randn(7, 3, 32, 32, generator=torch.Generator().manual_seed(5))
    (scores,) = session.run(["scores"], {"images": images.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(scores, network(images).numpy(), rtol=1e-4, atol=1e-6)


def test_nothing_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    export_onnx(fresh_network(SMALL, seed=1), (), size=32)
    assert capfd.readouterr() == ("", "")


def test_no_path_of_this_machine_is_in_the_file() -> None:
    content = export_onnx(fresh_network(SMALL, seed=1), (), size=32).content
    assert str(Path(effsearch.__file__).parent).encode() not in content
    assert b"site-packages" not in content
    assert b".py" not in content


def test_feature_maps_come_at_any_size() -> None:
    features = find_features(SMALL)
    model = export_onnx(fresh_network(SMALL, seed=1), features, size=32)
    assert model.difference <= max(1e-4, 4 * model.rounding)
    session = onnxruntime.InferenceSession(model.content)
    maps = session.run(["stride4", "stride8"], {"images": np.zeros((2, 3, 64, 48), np.float32)})
    assert [found.shape for found in maps] == [(2, 8, 16, 12), (2, 12, 8, 6)]


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_gives_the_same_outputs(name: str) -> None:
    same_in_onnxruntime(load_preset(name))


@pytest.mark.slow
@pytest.mark.parametrize("space", ["efficientnetv2", "mbconv", "mnasnet", "nas-bench-macro"])
def test_networks_of_the_shipped_spaces_give_the_same_outputs(space: str) -> None:
    for spec in drawn_networks(space, 3):
        same_in_onnxruntime(spec)


def test_a_model_with_other_outputs_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def doubled(network: Any, images: torch.Tensor, features: Any) -> list[torch.Tensor]:
        return [2 * network(images)]

    monkeypatch.setattr("effsearch.results.export.onnx_model.reference_outputs", doubled)
    with pytest.raises(
        RunError, match=r"the ONNX model gives other outputs .* differ by 0\.5 of the largest"
    ):
        export_onnx(fresh_network(SMALL, seed=1), (), size=32)


def test_what_is_missing_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name.startswith("onnxr") else found(name)
    )
    with pytest.raises(UsageError, match=r"--to onnx needs onnxruntime: pip install 'effsearch\[onnx\]'"):
        require_onnx()


def test_weights_that_amplify_rounding_are_judged_by_what_torch_itself_rounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def noisy(network: Any, images: torch.Tensor, features: Any) -> list[torch.Tensor]:
        scores = network(images)
        return [scores if images.dtype == torch.float64 else 1.001 * scores]

    monkeypatch.setattr("effsearch.results.export.onnx_model.reference_outputs", noisy)
    model = export_onnx(fresh_network(SMALL, seed=1), (), size=32)
    assert model.difference == pytest.approx(0.001, rel=0.01)
    assert model.rounding == pytest.approx(0.001, rel=0.01)
