"""How does a network become an ONNX model, and does onnxruntime compute what torch does?"""

import contextlib
import copy
import importlib.util
import io
import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from effsearch import __version__
from effsearch.results.export.check import (
    TOLERANCE,
    largest_difference,
    random_images,
    reference_outputs,
    require_equal,
)
from effsearch.results.export.features import Feature
from effsearch.space.canonical import network_hash
from effsearch.space.errors import UsageError
from effsearch.space.preprocessing import Preprocessing
from effsearch.space.spec import ModelSpec

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import Tensor, nn

PACKAGES = ("onnx", "onnxruntime", "onnxscript")
OPSET = 20  # of 2023; onnxruntime has it from 1.17 on
INPUT = "images"


def require_onnx(target: str = "onnx") -> None:
    """Refuse where the packages are missing.

    Args:
        target: What was asked for, for the error.

    Raises:
        UsageError: The extra that brings them is named.
    """
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f"--to {target} needs {' and '.join(missing)}: pip install 'effsearch[onnx]'")


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxModel:
    """A model, and how it was found to agree; both as shares of the largest output."""

    content: bytes
    difference: float  # of onnxruntime's outputs from torch's
    rounding: float  # of torch's own outputs; measured where the difference is above 1e-4, else 0


def export_onnx(network: "nn.Module", features: Sequence[Feature], *, size: int) -> OnnxModel:
    """Give a network as an ONNX model that onnxruntime has run.

    The number of images is free; with features, which detectors take at any size, height and width are too.

    Outputs may differ by 1e-4. Fresh weights of a deep network amplify rounding beyond that: there they may differ by
    four times what torch's outputs differ from those in double precision.

    Args:
        network: What `proxy_train.build` built.
        features: Maps to give in place of class scores.
        size: Pixels on a side.

    Raises:
        RunError: The outputs differ by more.
    """
    import torch

    network = network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]  # torch's stub lacks it
    free = {0: "batch", 2: "height", 3: "width"} if features else {0: "batch"}
    with _silence():
        program = torch.onnx.export(
            _with_outputs(network, features),
            (random_images(size, batch=2, seed=0),),
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes={INPUT: free},
            input_names=[INPUT],
            output_names=onnx_outputs(features),
            verbose=False,
        )
    assert program is not None
    model = _without_traces(program.model_proto).SerializeToString()
    difference, rounding = _run(model, network, features, size=size)
    return OnnxModel(content=model, difference=difference, rounding=rounding)


def model_words(spec: ModelSpec, preprocessing: Preprocessing | None) -> dict[str, str]:
    """Give what an ONNX model says of itself, in JSON where it is more than a word."""
    words = {"effsearch": __version__, "network": network_hash(spec)}
    if preprocessing is None:
        return words
    return words | {
        name: value if isinstance(value, str) else json.dumps(value, allow_nan=False)
        for name, value in preprocessing.to_values().items()
        if value is not None
    }


def with_words(model: bytes, words: Mapping[str, str]) -> bytes:
    """Give an ONNX model with words beside it, which onnxruntime gives as `get_modelmeta().custom_metadata_map`."""
    import onnx

    loaded = onnx.load_from_string(model)
    onnx.helper.set_model_props(loaded, dict(words))
    return bytes(loaded.SerializeToString())


def onnx_outputs(features: Sequence[Feature]) -> list[str]:
    """Give the names of an ONNX model's outputs."""
    return [f"stride{feature.stride}" for feature in features] or ["scores"]


def _without_traces(model: "ModelProto") -> "ModelProto":
    """Clear, in place, what torch notes of each node: where in whose files it was made."""
    graph = model.graph
    for noted in (
        model,
        graph,
        *graph.node,
        *graph.initializer,
        *graph.value_info,
        *graph.input,
        *graph.output,
    ):
        del noted.metadata_props[:]
    return model


def _run(
    model: bytes, network: "nn.Module", features: Sequence[Feature], *, size: int
) -> tuple[float, float]:
    import onnxruntime
    import torch

    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    difference, rounding = 0.0, 0.0
    for batch, side in ((1, size), (3, size + 32 if features else size)):
        images = random_images(side, batch=batch, seed=batch)
        outputs = [torch.from_numpy(output) for output in session.run(None, {INPUT: images.numpy()})]
        with torch.no_grad():
            wanted = reference_outputs(network, images, features)
            if largest_difference(wanted, outputs) > TOLERANCE:
                exact = reference_outputs(copy.deepcopy(network).double(), images.double(), features)
                rounding = max(rounding, largest_difference(exact, wanted))
        allowed = max(TOLERANCE, 4 * rounding)
        difference = max(difference, require_equal(wanted, outputs, "the ONNX model", allowed=allowed))
    return difference, rounding


def _with_outputs(network: "nn.Module", features: Sequence[Feature]) -> "nn.Module":
    """Give the network as a module whose outputs are those asked for."""
    from torch import nn

    class Maps(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, images: "Tensor") -> "tuple[Tensor, ...]":
            return tuple(reference_outputs(network, images, features))

    return Maps().eval() if features else network


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep what torch's exporter prints, warns of and logs to itself; what goes wrong is raised all the same."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with (
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
