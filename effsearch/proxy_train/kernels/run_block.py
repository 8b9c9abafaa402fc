"""How does a block run on the kernels?

Layers are read as in `Block.forward`; where a depthwise convolution follows an expansion, the expansion's norm waits
for it, so that both are one operator. With narrow products, pointwise convolutions are computed in bfloat16: what
they give is kept so until its norm reads it, and what only they read is written so by the chain before. All else is
float32.
"""

from typing import Protocol

import torch
from torch import Tensor, nn

from effsearch.proxy_train.kernels.activations import ACTIVATION_CODES
from effsearch.proxy_train.kernels.depthwise_operator import Gate, depthwise_chain
from effsearch.proxy_train.kernels.lanes import LANES
from effsearch.proxy_train.kernels.norm_operator import NormStep, norm_activate
from effsearch.proxy_train.kernels.pointwise import can_sum, narrow_pointwise, pointwise
from effsearch.proxy_train.kernels.self_test import is_chain_sound
from effsearch.space.layer import Layer

KERNEL_SIZES = (3, 5, 7)
STRIDES = (1, 2)


class LayeredBlock(Protocol):
    """What is asked of a block: its layers, their modules by name, and how torch applies one."""

    layers: tuple[Layer, ...]

    def get_submodule(self, target: str) -> nn.Module:
        """Give the module of that name."""

    def apply_layer(self, layer: Layer, x: Tensor) -> Tensor:
        """Give what torch makes of a layer."""

    def pool(self, x: Tensor) -> Tensor:
        """Give what a gate starts from."""

    def add(self, layer: Layer, x: Tensor, shortcut: Tensor) -> Tensor:
        """Give the sum with the shortcut."""


def run_block(block: LayeredBlock, x: Tensor, *, has_narrow_products: bool = False) -> Tensor:
    """Give what `Block.forward` gives in training, but for rounding."""
    shortcut, gate = x, None
    # An expansion's raw map, and what is still to be done to it.
    waiting: tuple[Tensor, NormStep] | None = None
    layers = list(block.layers)
    while layers:
        layer = layers.pop(0)
        if layer.branch == "shortcut":
            shortcut = block.apply_layer(layer, shortcut)
        elif layer.branch == "gate":
            gate = block.apply_layer(layer, block.pool(x) if gate is None else gate)
        elif gate is None and is_chain(layer, has_narrow_products=has_narrow_products):
            gate_layers = []
            while layers and layers[0].branch == "gate":
                gate_layers.append(layers.pop(0))
            raw, before = waiting or (x, None)
            waiting = None
            conv = block.get_submodule(layer.name)
            assert isinstance(conv, nn.Conv2d)
            is_narrow = (
                has_narrow_products and bool(layers) and is_normed(layers[0]) and is_product(layers[0])
            )
            x = depthwise_chain(
                raw,
                before,
                conv,
                _norm_step(block, layer),
                _gate(block, gate_layers),
                result_type=torch.bfloat16 if is_narrow else torch.float32,
            )
        else:
            if gate is not None:
                x, gate = x * gate, None
            if is_normed(layer):
                raw = _convolve(block, layer, x, has_narrow_products=has_narrow_products)
                step = _norm_step(block, layer)
                if layers and is_chain(layers[0], has_narrow_products=has_narrow_products):
                    waiting = raw, step
                elif layers and _is_plain_sum(layer, layers[0]):
                    x = block.apply_layer(layers.pop(0), norm_activate(raw, step, shortcut))
                else:
                    x = norm_activate(raw, step)
            else:
                if layer.kind == "add":
                    x = block.add(layer, x, shortcut)
                x = block.apply_layer(layer, x)
    return x if gate is None else x * gate


def is_chain(layer: Layer, *, has_narrow_products: bool = False) -> bool:
    """Tell whether a layer is a depthwise convolution that the kernels know."""
    return (
        layer.groups == layer.in_channels == layer.out_channels
        and layer.kernel_size in KERNEL_SIZES
        and layer.stride in STRIDES
        and not layer.has_bias
        and is_normed(layer)
        and is_chain_sound(layer.kernel_size, layer.stride, is_narrow=has_narrow_products)
    )


def is_product(layer: Layer) -> bool:
    """Tell whether a layer is a pointwise convolution that the kernels know."""
    return (
        layer.kind == "conv"
        and layer.kernel_size == layer.stride == layer.groups == 1
        and layer.branch == "main"
        and not layer.has_bias
        and can_sum(layer.in_channels, layer.out_channels)
    )


def is_normed(layer: Layer) -> bool:
    """Tell whether a layer is a convolution with a norm and an activation that the kernels know."""
    return (
        layer.kind == "conv"
        and layer.has_norm
        and layer.activation in ACTIVATION_CODES
        and layer.out_channels >= LANES
    )


def _is_plain_sum(layer: Layer, following: Layer) -> bool:
    return layer.activation == "none" and following.kind == "add" and following.drop_rate == 0


def _convolve(block: LayeredBlock, layer: Layer, x: Tensor, *, has_narrow_products: bool) -> Tensor:
    conv = block.get_submodule(layer.name)
    assert isinstance(conv, nn.Conv2d)
    if is_product(layer):
        return (narrow_pointwise if has_narrow_products else pointwise)(x, conv.weight)
    given: Tensor = conv(x)
    return given


def _norm_step(block: LayeredBlock, layer: Layer) -> NormStep:
    norm = block.get_submodule(f"{layer.name}_norm")
    assert isinstance(norm, nn.BatchNorm2d)
    return NormStep(norm, ACTIVATION_CODES[layer.activation])


def _gate(block: LayeredBlock, layers: list[Layer]) -> Gate | None:
    if not layers:
        return None

    def apply(pooled: Tensor) -> Tensor:
        for layer in layers:
            pooled = block.apply_layer(layer, pooled)
        return pooled

    modules = (block.get_submodule(layer.name) for layer in layers)
    parameters = (tensor for module in modules for tensor in module.parameters())
    return Gate(apply, tuple(tensor for tensor in parameters if tensor.requires_grad))
