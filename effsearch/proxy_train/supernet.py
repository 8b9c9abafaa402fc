"""What do all networks of a space, or some that are alike, weigh when they share their weights?

A supernet holds one tensor for each shared weight. Each of its networks runs on views of them, so training it
trains its share of all others. `inherit` gives a network that stands by itself, with copies.
"""

import hashlib
from itertools import groupby
from math import sqrt

import torch
from torch import Tensor, nn
from torch.func import functional_call

from effsearch.proxy_train.build import Block, Network, build_on_meta
from effsearch.proxy_train.device import ON_CPU
from effsearch.space.sharing import SharedLayer, SharedShapes, compact, shared_layers, weight_shape
from effsearch.space.spec import ModelSpec


class Supernet:
    """The shared weights of some networks, in channels-last memory.

    Args:
        shapes: Of all shared tensors.
        seed: Of the first weights; each tensor's follow from it and the tensor's name alone.
        device: Where they lie; they are drawn on the CPU, so they are the same on every device.
    """

    def __init__(self, shapes: SharedShapes, *, seed: int, device: torch.device = ON_CPU.device) -> None:
        self.sharing = shapes.sharing
        self._device = device
        self.weights: dict[str, nn.Parameter] = {}
        self._blocks: dict[tuple[SharedLayer, ...], Block] = {}
        for name, shape in shapes.weights.items():
            self._add_weight(name, shape, seed)
        for name, num_channels in shapes.norms.items():
            self.weights[f"{name}_norm.weight"] = nn.Parameter(torch.ones(num_channels, device=device))
            self.weights[f"{name}_norm.bias"] = nn.Parameter(torch.zeros(num_channels, device=device))

    def __call__(self, spec: ModelSpec, images: Tensor) -> Tensor:
        """Give the class scores (batch, num_classes) of one network, norms with the batch's own statistics."""
        x = images
        found = shared_layers(compact(spec), self.sharing)
        for _, group in groupby(found, key=lambda shared: shared.layer.scope):
            block, weights = self._block(tuple(group), spec)
            x = functional_call(block, weights, (x,))
        return x

    def inherit(self, spec: ModelSpec) -> Network:
        """Give a network of its own with copies of its weights; its norms have seen nothing yet."""
        spec = compact(spec)
        network = build_on_meta(spec).to_empty(device=self._device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
        tensors = network.state_dict(keep_vars=True)
        with torch.no_grad():
            for shared in shared_layers(spec, self.sharing):
                for name, view in self._views(shared).items():
                    tensors[f"{shared.layer.scope}.{name}"].copy_(view)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.reset_running_stats()
        assert isinstance(network, Network)
        return network

    def _block(self, found: tuple[SharedLayer, ...], spec: ModelSpec) -> tuple[Block, dict[str, Tensor]]:
        block = self._blocks.get(found)
        if block is None:
            with torch.device("meta"):
                block = Block(
                    tuple(shared.layer for shared in found), momentum=0.1, epsilon=spec.norm_epsilon
                )
            for module in block.modules():
                if isinstance(module, nn.BatchNorm2d):  # without a memory: it would be of other paths
                    module.track_running_stats = False
                    module.running_mean = module.running_var = module.num_batches_tracked = None
            self._blocks[found] = block
        weights: dict[str, Tensor] = {}
        for shared in found:
            weights |= self._views(shared)
        return block, weights

    def _views(self, shared: SharedLayer) -> dict[str, Tensor]:
        """Give the tensors of a layer by the names they have in its block."""
        layer = shared.layer
        if layer.kind not in ("conv", "linear"):
            return {}
        whole = self.weights[f"{shared.name}.weight"]
        shape = weight_shape(layer)
        views: dict[str, Tensor] = {f"{layer.name}.weight": _cut(whole, shape)}
        if layer.has_bias:
            views[f"{layer.name}.bias"] = self.weights[f"{shared.name}.bias"][: shape[0]]
        if layer.has_norm:
            for name in ("weight", "bias"):
                views[f"{layer.name}_norm.{name}"] = self.weights[f"{shared.norm_name}_norm.{name}"][
                    : shape[0]
                ]
        return views

    def _add_weight(self, name: str, shape: tuple[int, ...], seed: int) -> None:
        digest = hashlib.sha256(f"{seed}/{name}".encode()).digest()
        generator = torch.Generator().manual_seed(int.from_bytes(digest[:6], "big"))
        is_linear = len(shape) == 2
        if is_linear:
            bound = 1 / sqrt(max(shape))
            weight = torch.empty(shape).uniform_(-bound, bound, generator=generator)
        else:
            fan_out = shape[2] ** 2 * (shape[0] if shape[1] > 1 else 1)
            weight = torch.empty(shape).normal_(std=sqrt(2 / fan_out), generator=generator)
            weight = weight.contiguous(memory_format=torch.channels_last)
        self.weights[f"{name}.weight"] = nn.Parameter(weight.to(self._device))
        self.weights[f"{name}.bias"] = nn.Parameter(torch.zeros(shape[0], device=self._device))


def _cut(whole: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Give the first channels and the middle of the kernel."""
    if tuple(whole.shape) == shape:
        return whole
    view = whole[: shape[0], : shape[1]]
    if len(shape) == 4 and shape[2] != whole.shape[2]:
        edge = (whole.shape[2] - shape[2]) // 2
        view = view[:, :, edge : edge + shape[2], edge : edge + shape[3]]
    return view
