"""Which torch module is a network description?

The module follows `layers(spec)` and nothing else, so what is trained is what was counted. A layer's parameters are
named by its scope and name: `stages.2.0.expand.weight`, `stages.2.0.expand_norm.weight`, `head.classifier.bias`.
"""

from collections.abc import Callable
from itertools import groupby
from math import sqrt

import torch
from torch import Tensor, nn
from torch.nn import functional

from effsearch.proxy_train.kernels.switch import runner_for
from effsearch.proxy_train.memory import require_memory_for
from effsearch.space.layer import Layer
from effsearch.space.layers import layers
from effsearch.space.spec import ModelSpec

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": functional.relu,
    "relu6": functional.relu6,
    "swish": functional.silu,
    "hard_swish": functional.hardswish,
    "gelu": functional.gelu,
    "sigmoid": torch.sigmoid,
    "hard_sigmoid": functional.hardsigmoid,
}


def build_model(spec: ModelSpec, *, seed: int) -> "Network":
    """Give the network with fresh weights on the CPU, in channels-last memory, in training mode.

    Convolutions are drawn normal with deviation sqrt(2 / (k*k*out/groups)), linear layers uniform within
    1/sqrt(out); biases are zero and norms the identity. Global random state is neither read nor changed.

    Raises:
        TooLargeToBuild: This machine has no memory for it.

    Source:
        Initialisers of EfficientNet's reference code (arXiv:1905.11946).
    """
    require_memory_for(spec)
    model = build_on_meta(spec).to_empty(device="cpu")
    initialise(model, seed=seed)
    return model.to(memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]  # torch's stub lacks it


def build_on_meta(spec: ModelSpec) -> "Network":
    """Give the network without memory for its weights: enough to count, name and shape them."""
    with torch.device("meta"):
        return Network(spec)


def initialise(model: nn.Module, *, seed: int) -> None:
    """Draw all weights of a network anew, in the order of its modules."""
    generator = torch.Generator().manual_seed(seed)
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] ** 2 * module.out_channels // module.groups
            nn.init.normal_(module.weight, std=sqrt(2 / fan_out), generator=generator)
        elif isinstance(module, nn.Linear):
            bound = 1 / sqrt(module.out_features)
            nn.init.uniform_(module.weight, -bound, bound, generator=generator)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


class Network(nn.Module):
    """An image classifier: (batch, 3, resolution, resolution) in, class scores (batch, num_classes) out."""

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.spec = spec
        blocks = {
            scope: Block(tuple(of_scope), momentum=spec.norm_momentum, epsilon=spec.norm_epsilon)
            for scope, of_scope in groupby(layers(spec), key=lambda layer: layer.scope)
        }
        self.stem = blocks.pop("stem")
        head = blocks.pop("head")
        self.stages = nn.ModuleDict()  # stage -> block -> Block; keys are indices, plain identities have none
        for scope, block in blocks.items():
            _, stage_index, block_index = scope.split(".")
            if stage_index not in self.stages:
                self.stages[stage_index] = nn.ModuleDict()
            self.stages[stage_index].add_module(block_index, block)
        self.head = head

    def forward(self, images: Tensor) -> Tensor:
        """Give the class scores, before any softmax."""
        x = self.stem(images)
        for stage in self.stages.values():
            for block in stage.children():
                x = block(x)
        scores: Tensor = self.head(x)
        return scores


class Block(nn.Module):
    """The layers of one scope, read as `effsearch.space.layers` says."""

    def __init__(self, block_layers: tuple[Layer, ...], *, momentum: float, epsilon: float) -> None:
        super().__init__()
        self.layers = block_layers
        for layer in self.layers:
            if layer.kind == "conv":
                self.add_module(layer.name, _conv(layer))
            elif layer.kind == "linear":
                self.add_module(layer.name, nn.Linear(layer.in_channels, layer.out_channels))
            if layer.has_norm:
                norm = nn.BatchNorm2d(layer.out_channels, eps=epsilon, momentum=momentum)
                self.add_module(f"{layer.name}_norm", norm)

    def forward(self, x: Tensor) -> Tensor:
        """Give what the block makes of its input (batch, in_channels, size, size)."""
        if self.training and (run := runner_for(self, x)):
            return run(self, x)
        shortcut, gate = x, None
        for layer in self.layers:
            if layer.branch == "shortcut":
                shortcut = self.apply_layer(layer, shortcut)
            elif layer.branch == "gate":
                gate = self.apply_layer(layer, self.pool(x) if gate is None else gate)
            else:
                if gate is not None:
                    x, gate = x * gate, None
                if layer.kind == "add":
                    x = self.add(layer, x, shortcut)
                x = self.apply_layer(layer, x)
        return x if gate is None else x * gate

    def pool(self, x: Tensor) -> Tensor:
        """Give what a gate starts from."""
        return average_map(x, is_training=self.training)

    def add(self, layer: Layer, x: Tensor, shortcut: Tensor) -> Tensor:
        """Give the sum with the shortcut, whole samples of `x` dropped where the layer says so."""
        return drop_path(x, layer.drop_rate, is_training=self.training) + shortcut

    def apply_layer(self, layer: Layer, x: Tensor) -> Tensor:
        """Give what one layer makes of its input, its norm and activation with it."""
        if layer.kind == "conv":
            x = self._modules[layer.name](x)  # type: ignore[misc]  # __init__ put it there
        elif layer.kind == "linear":
            x = functional.dropout(x.flatten(1), layer.drop_rate, training=self.training)
            x = self._modules[layer.name](x)  # type: ignore[misc]  # __init__ put it there
        elif layer.kind == "max_pool":
            x = functional.max_pool2d(x, layer.kernel_size, layer.stride, layer.kernel_size // 2)
        elif layer.kind == "global_pool":
            x = average_map(x, is_training=self.training)
        elif layer.kind == "pool_and_pad":
            x = pool_and_pad(x, stride=layer.stride, out_channels=layer.out_channels)
        if layer.has_norm:
            x = self._modules[f"{layer.name}_norm"](x)  # type: ignore[misc]  # __init__ put it there
        return ACTIVATIONS[layer.activation](x)


def average_map(x: Tensor, *, is_training: bool) -> Tensor:
    """Give the mean of each channel's map, (batch, channels, 1, 1).

    In training it is spelled so that its gradient stays channels-last, which takes a third of the time; in use it is
    the operator that counters and exporters know.
    """
    if is_training:
        return x.permute(0, 2, 3, 1).mean((1, 2))[:, :, None, None]
    return functional.adaptive_avg_pool2d(x, 1)


def drop_path(x: Tensor, drop_rate: float, *, is_training: bool) -> Tensor:
    """Give `x` with whole samples zeroed at random in training, the others scaled up to the same mean.

    Source:
        Stochastic depth (arXiv:1603.09382), per sample as in EfficientNet's reference code.
    """
    if not is_training or drop_rate == 0:
        return x
    keep_rate = 1 - drop_rate
    kept = torch.rand(len(x), 1, 1, 1, device=x.device) < keep_rate
    return x * (kept.to(x.dtype) / keep_rate)


def pool_and_pad(x: Tensor, *, stride: int, out_channels: int) -> Tensor:
    """Give `x` averaged over stride x stride pixels (the edge's over those there are), zero channels appended."""
    if stride > 1:
        x = functional.avg_pool2d(x, stride, ceil_mode=True, count_include_pad=False)
    return functional.pad(x, (0, 0, 0, 0, 0, out_channels - x.shape[1]))


def _conv(layer: Layer) -> nn.Conv2d:
    return nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        stride=layer.stride,
        padding=layer.kernel_size // 2,
        groups=layer.groups,
        bias=layer.has_bias,
    )
