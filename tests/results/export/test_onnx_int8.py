"""The quantised ONNX model, and how models are run beside each other."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from effsearch.results.export.onnx_int8 import Int8Model, gate_nodes, quantise
from effsearch.results.export.onnx_model import export_onnx
from effsearch.results.export.onnx_run import NUM_TIMED, NUM_WARM, count_right, measure_sessions, open_session
from effsearch.results.export.weights import fresh_network
from effsearch.space.errors import RunError
from effsearch.space.spec import BlockSpec, ModelSpec, StageSpec, StemSpec

pytestmark = pytest.mark.usefixtures("one_thread")

GATED = BlockSpec(expand_ratio=2, se_ratio=0.25)
SPEC = ModelSpec(
    stem=StemSpec(out_channels=8),
    stages=(
        StageSpec(out_channels=8, stride=2, blocks=(GATED, GATED)),
        StageSpec(out_channels=12, stride=2, blocks=(BlockSpec(expand_ratio=2, activation="relu"),)),
    ),
    resolution=16,
    num_classes=5,
)
IMAGES = np.random.default_rng(0).standard_normal((24, 3, 16, 16)).astype(np.float32)


@pytest.fixture(scope="module")
def plain() -> bytes:
    return export_onnx(fresh_network(SPEC, seed=1), (), size=16).content


@pytest.fixture(scope="module")
def made(plain: bytes) -> Int8Model:
    return quantise(plain, [IMAGES[:16], IMAGES[16:]])


def test_weights_are_int8_in_the_file_with_one_scale_for_each_output_channel(made: Int8Model) -> None:
    graph = onnx.load_from_string(made.content).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kernels = [
        tuple(constants[name] for name in node.input)
        for node in graph.node
        if node.op_type == "DequantizeLinear"
        and node.input[0] in constants
        and constants[node.input[0]].ndim in (2, 4)
    ]
    # Stem, two gated blocks of three, one of three and the head's two; the four of the gates are floats.
    assert len(kernels) == 12
    for weights, scales, zero_points in kernels:
        assert weights.dtype == np.int8
        assert scales.shape == (weights.shape[0],)
        assert not zero_points.any()
    floats = [name for name, values in constants.items() if values.dtype == np.float32 and values.ndim == 4]
    assert len(floats) == 4
    assert all("squeeze" in name or "excite" in name for name in floats)


def test_outputs_stay_near_those_in_float32_for_any_number_of_images(plain: bytes, made: Int8Model) -> None:
    wanted, found = (
        onnxruntime.InferenceSession(model).run(["scores"], {"images": IMAGES[:7]})[0]
        for model in (plain, made.content)
    )
    assert found.shape == (7, 5)
    assert 0 < np.abs(found - wanted).max() < 0.15 * np.abs(wanted).max()


def test_the_nodes_that_compute_with_eight_bits_are_counted(made: Int8Model) -> None:
    nodes = onnx.load_from_string(made.content).graph.node
    converters = [node for node in nodes if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert made.num_nodes == len(nodes) - len(converters)
    # Two gates of six nodes, the head's mean and its flattening do not; relu is part of a convolution's range.
    assert made.num_nodes - made.num_quantised == 14
    assert not [node for node in nodes if node.op_type == "Relu"]


def test_gates_are_found_and_the_head_is_none(plain: bytes) -> None:
    model = onnx.load_from_string(plain)
    found = [node for node in model.graph.node if node.name in gate_nodes(model)]
    # A pool, two convolutions, swish of two nodes and a sigmoid, in each of two blocks.
    assert sorted(node.op_type for node in found) == sorted(
        ["ReduceMean", "Conv", "Sigmoid", "Mul", "Conv", "Sigmoid"] * 2
    )


def test_the_same_images_give_the_same_file_and_others_another(plain: bytes, made: Int8Model) -> None:
    assert quantise(plain, [IMAGES[:16], IMAGES[16:]]).content == made.content
    assert quantise(plain, [IMAGES[:4]]).content != made.content


def test_nothing_is_printed(plain: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    quantise(plain, [IMAGES[:4]])
    assert capfd.readouterr() == ("", "")


def test_a_model_that_onnxruntime_cannot_read_is_an_error_at_run_time() -> None:
    with pytest.raises(RunError, match="onnxruntime cannot quantise the model"):
        quantise(b"no model", [IMAGES[:4]])


def test_right_answers_are_those_of_a_plain_loop(plain: bytes) -> None:
    session = open_session(plain)
    labels = np.arange(len(IMAGES)) % 5
    batches = [(IMAGES[start : start + 10], labels[start : start + 10]) for start in (0, 10, 20)]
    by_hand = 0
    for image, label in zip(IMAGES, labels, strict=True):
        scores = session.run(None, {"images": image[None]})[0][0]
        by_hand += int(max(range(5), key=scores.tolist().__getitem__) == label)
    assert count_right(session, batches) == by_hand > 0


def test_latency_is_the_median_of_calls_taken_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []

    class Session:
        def __init__(self, name: str) -> None:
            self.name = name

        def run(self, outputs: Any, inputs: Any) -> None:
            calls.append(self.name)

    def clock() -> Iterator[float]:
        now = 0.0
        for index in range(NUM_WARM + NUM_TIMED):
            for seconds in (2.0, 1.0):
                yield now
                now += 1000.0 if index < NUM_WARM or index == NUM_WARM + 3 else seconds
                yield now

    monkeypatch.setattr("time.perf_counter", clock().__next__)
    assert measure_sessions([Session("a"), Session("b")], IMAGES[:1]) == [2.0, 1.0]
    assert calls == ["a", "b"] * (NUM_WARM + NUM_TIMED)
