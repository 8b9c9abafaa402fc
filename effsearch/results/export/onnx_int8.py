"""How does an ONNX model come to compute with eight bits?

By onnxruntime's static quantisation. Weights become int8, symmetric, with one scale for each output channel;
activations become uint8, with one scale for each map, from the least and greatest values that images give. That is
what onnxruntime advises for x86 processors. docs/export.md has what else was tried.
"""

import contextlib
import io
import logging
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from effsearch.results.export.onnx_model import INPUT
from effsearch.space.errors import RunError

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

MEAN = "ReduceMean"
POOLS = (MEAN, "GlobalAveragePool")
TO_INT8, FROM_INT8 = CONVERTERS = ("QuantizeLinear", "DequantizeLinear")


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8Model:
    """A quantised model, and how much of it computes with eight bits."""

    content: bytes
    num_nodes: int  # those that convert apart; norms are folded into convolutions, relu into ranges
    num_quantised: int  # of these, how many compute with eight bits


def quantise(model: bytes, batches: Sequence[NDArray[np.float32]]) -> Int8Model:
    """Give an ONNX model of a network with eight-bit weights and activations, as QuantizeLinear and DequantizeLinear.

    Squeeze-excite gates stay in float32: their maps of one pixel cost little, and a factor for a whole channel is a
    poor place to round.

    Args:
        model: What `export_onnx` gives.
        batches: Input images, (batch, 3, height, width) each; the ranges of activations are those that they give.

    Raises:
        RunError: onnxruntime cannot quantise the model.
    """
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime has no types
        def __init__(self) -> None:
            self.left = iter(batches)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            batch = next(self.left, None)
            return None if batch is None else {INPUT: batch}

    with tempfile.TemporaryDirectory(prefix="effsearch-") as folder, _silence():
        given, prepared, found = (
            Path(folder) / name for name in ("given.onnx", "prepared.onnx", "int8.onnx")
        )
        given.write_bytes(model)  # from a file: the preparation loses the weights of a model in memory
        try:
            quant_pre_process(given, prepared)
            quantize_static(
                prepared,
                found,
                Reader(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                weight_type=QuantType.QInt8,
                activation_type=QuantType.QUInt8,
                calibrate_method=CalibrationMethod.MinMax,
                nodes_to_exclude=sorted(gate_nodes(onnx.load(prepared))),
                extra_options={"WeightSymmetric": True},
            )
        except Exception as error:  # it raises whatever its parts raise
            raise RunError(f"onnxruntime cannot quantise the model: {error}") from error
        num_quantised, num_nodes = count_nodes(onnx.load(found))
        return Int8Model(content=found.read_bytes(), num_nodes=num_nodes, num_quantised=num_quantised)


def gate_nodes(model: "ModelProto") -> set[str]:
    """Give the names of the nodes of squeeze-excite gates: from the pool to the factors, without the rescale."""
    takers = _takers_by_name(model)
    found: set[str] = set()
    for node in model.graph.node:
        if node.op_type in POOLS:
            after = _after(node, takers)
            # The head's pool leads to the scores, and never back to the map that was pooled.
            if any(node.input[0] in taker.input for one in after for taker in _takers(one, takers)):
                found |= {one.name for one in after}
    return found


def count_nodes(model: "ModelProto") -> tuple[int, int]:
    """Count the nodes of a quantised model that compute with eight bits, and all of them; converters do not count.

    Those are the nodes between converters, which onnxruntime fuses; a mean stays in float32 even there.
    """
    made_by = {name: node for node in model.graph.node for name in node.output}
    takers = _takers_by_name(model)
    constants = {tensor.name for tensor in model.graph.initializer}  # of shapes: weights have converters too
    nodes = [node for node in model.graph.node if node.op_type not in CONVERTERS]
    num_quantised = 0
    for node in nodes:
        sources = [made_by.get(name) for name in node.input if name not in constants]
        has_int8_inputs = all(one is not None and one.op_type == FROM_INT8 for one in sources)
        has_int8_outputs = all(one.op_type == TO_INT8 for one in _takers(node, takers))
        num_quantised += has_int8_inputs and has_int8_outputs and node.op_type != MEAN
    return num_quantised, len(nodes)


def _after(pool: "NodeProto", takers: "dict[str, list[NodeProto]]") -> "list[NodeProto]":
    """Give a pool and what follows from it, up to where the pooled map itself comes in again."""
    found: list[NodeProto] = []
    left = [pool]
    while left:
        node = left.pop()
        if any(node is one for one in found):
            continue
        found.append(node)
        left += [taker for taker in _takers(node, takers) if pool.input[0] not in taker.input]
    return found


def _takers_by_name(model: "ModelProto") -> "dict[str, list[NodeProto]]":
    found = defaultdict(list)
    for node in model.graph.node:
        for name in node.input:
            found[name].append(node)
    return found


def _takers(node: "NodeProto", takers: "dict[str, list[NodeProto]]") -> "list[NodeProto]":
    return [taker for name in node.output for taker in takers.get(name, [])]


@contextlib.contextmanager
def _silence() -> Iterator[None]:
    """Keep to itself what onnxruntime prints and logs meanwhile; what goes wrong is raised all the same."""
    level = logging.root.manager.disable
    logging.disable(max(level, logging.WARNING))
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(level)
