"""Which ONNX graph is a row of layers?

What `effsearch export --to onnx` and onnxruntime's own rewriting come to: norms are folded into the convolutions.
Written here outright because torch's exporter takes seconds for a network, and a space has a thousand blocks.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from effsearch.space.layer import Layer

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

OPSET = 20
IR_VERSION = 9  # of the same year; onnxruntime reads it from 1.17 on
INPUT, OUTPUT = "images", "maps"


def make_graph(blocks: Sequence[Sequence[Layer]], weights: dict[str, NDArray[np.float32]]) -> "ModelProto":
    """Give the model of some blocks in a row.

    Args:
        blocks: Layers of each block, as `space.layers` gives them.
        weights: By "block index.layer name.weight" and ".bias", of every convolution and linear layer.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = _Graph(helper)
    x = INPUT
    for index, block in enumerate(blocks):
        x = _add_block(graph, block, x, prefix=f"{index}.")
    graph.add("Identity", [x], output=OUTPUT)
    first, last = blocks[0][0], blocks[-1][-1]
    side = (last.out_size, last.out_size) if last.kind != "linear" else ()
    shape_in: list[str | int | None] = ["batch", first.in_channels, first.in_size, first.in_size]
    shape_out: list[str | int | None] = ["batch", last.out_channels, *side]
    constants = [
        numpy_helper.from_array(value, name) for name, value in {**graph.constants, **weights}.items()
    ]
    return helper.make_model(
        helper.make_graph(
            graph.nodes,
            "blocks",
            [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, shape_in)],
            [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape_out)],
            initializer=constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
    )


class _Graph:
    """Collects nodes and constants."""

    def __init__(self, helper: Any) -> None:  # onnx has no types for it
        self._helper = helper
        self.nodes: list[NodeProto] = []
        self.constants: dict[str, NDArray[Any]] = {}

    def add(self, operator: str, inputs: Sequence[str], *, output: str = "", **attributes: Any) -> str:
        output = output or f"x{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def constant(self, value: NDArray[Any]) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = value
        return name


def _add_block(graph: _Graph, block: Sequence[Layer], x: str, *, prefix: str) -> str:
    """Add one block, read as `space.layer` says; give the name of what it makes."""
    shortcut, gate = x, ""
    for layer in block:
        if layer.branch == "shortcut":
            shortcut = _add_layer(graph, layer, shortcut, prefix)
        elif layer.branch == "gate":
            gate = _add_layer(graph, layer, gate or _mean(graph, x), prefix)
        else:
            if gate:
                x, gate = graph.add("Mul", [x, gate]), ""
            if layer.kind == "add":
                x = graph.add("Add", [x, shortcut])
            x = _add_layer(graph, layer, x, prefix)
    return graph.add("Mul", [x, gate]) if gate else x


def _add_layer(graph: _Graph, layer: Layer, x: str, prefix: str) -> str:
    name = prefix + layer.name
    edge = layer.kernel_size // 2
    if layer.kind == "conv":
        x = graph.add(
            "Conv",
            [x, f"{name}.weight", f"{name}.bias"],
            kernel_shape=[layer.kernel_size] * 2,
            strides=[layer.stride] * 2,
            pads=[edge] * 4,
            group=layer.groups,
        )
    elif layer.kind == "linear":
        x = graph.add("Gemm", [graph.add("Flatten", [x]), f"{name}.weight", f"{name}.bias"], transB=1)
    elif layer.kind == "max_pool":
        x = graph.add(
            "MaxPool", [x], kernel_shape=[layer.kernel_size] * 2, strides=[layer.stride] * 2, pads=[edge] * 4
        )
    elif layer.kind == "global_pool":
        x = _mean(graph, x)
    elif layer.kind == "pool_and_pad":
        x = _pool_and_pad(graph, layer, x)
    return _activate(graph, layer.activation, x)


def _mean(graph: _Graph, x: str) -> str:
    axes = graph.constant(np.array([2, 3], dtype=np.int64))
    return graph.add("ReduceMean", [x, axes], keepdims=1)  # what torch's exporter makes of the pool


def _pool_and_pad(graph: _Graph, layer: Layer, x: str) -> str:
    if layer.stride > 1:
        x = graph.add(
            "AveragePool", [x], kernel_shape=[layer.stride] * 2, strides=[layer.stride] * 2, ceil_mode=1
        )
    more = layer.out_channels - layer.in_channels
    return graph.add("Pad", [x, graph.constant(np.array([0, 0, 0, 0, 0, more, 0, 0], dtype=np.int64))])


def _activate(graph: _Graph, activation: str, x: str) -> str:
    if activation == "none":
        return x
    if activation == "swish":
        return graph.add("Mul", [x, graph.add("Sigmoid", [x])])
    if activation == "relu6":
        bounds = [graph.constant(np.array(bound, dtype=np.float32)) for bound in (0.0, 6.0)]
        return graph.add("Clip", [x, *bounds])
    if activation == "hard_sigmoid":
        return graph.add("HardSigmoid", [x], alpha=1 / 6, beta=0.5)
    return graph.add(
        {"relu": "Relu", "hard_swish": "HardSwish", "gelu": "Gelu", "sigmoid": "Sigmoid"}[activation], [x]
    )
