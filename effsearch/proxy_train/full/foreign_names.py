"""What do torchvision and timm call the weights of a network that is described here?

Both are read off `layers(spec)`: a layer's place in its block says what they call it. Norms follow their convolution.
Names are facts of the two libraries as of torchvision 0.20 and timm 1.0; neither need be installed.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby

from effsearch.space.layer import Layer
from effsearch.space.layers import layers
from effsearch.space.spec import ModelSpec

NORM_TENSORS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")

# timm's name of a convolution and of its norm in blocks of each kind, by the names that they have here.
_TIMM = {
    "mbconv": {
        "expand": ("conv_pw", "bn1"),
        "depthwise": ("conv_dw", "bn2"),
        "project": ("conv_pwl", "bn3"),
    },
    "separable": {
        "depthwise": ("conv_dw", "bn1"),
        "project": ("conv_pw", "bn2"),
    },  # also mbconv that expands nothing
    "fused": {"fused": ("conv_exp", "bn1"), "project": ("conv_pwl", "bn2")},
    "conv": {"fused": ("conv", "bn1"), "conv": ("conv", "bn1")},  # also a fused mbconv that expands nothing
}
_TIMM_GATE = {"squeeze": "se.conv_reduce", "excite": "se.conv_expand"}


def torchvision_names(spec: ModelSpec) -> dict[str, str]:
    """Give each tensor's name here, by torchvision's name, for networks of the EfficientNet kind."""
    num_stages = len(spec.stages)
    names: dict[str, str] = {}
    for scope, of_scope in _by_scope(spec):
        if scope == "stem":
            _add(names, of_scope[0], conv="features.0.0", norm="features.0.1")
        elif scope == "head":
            for layer in of_scope:
                if layer.kind == "conv":
                    place = f"features.{num_stages + 1}"
                    _add(names, layer, conv=f"{place}.0", norm=f"{place}.1")
                elif layer.name == "classifier":
                    _add(names, layer, conv="classifier.1")
        else:
            _, stage, block = scope.split(".")
            prefix = f"features.{int(stage) + 1}.{block}.block"
            index = -1
            for layer in of_scope:
                if layer.name == "excite":
                    _add(names, layer, conv=f"{prefix}.{index}.fc2")
                elif layer.name == "squeeze":
                    index += 1
                    _add(names, layer, conv=f"{prefix}.{index}.fc1")
                elif layer.kind == "conv":
                    index += 1
                    _add(names, layer, conv=f"{prefix}.{index}.0", norm=f"{prefix}.{index}.1")
    return names


def timm_names(spec: ModelSpec) -> dict[str, str]:
    """Give each tensor's name here, by timm's name, for networks of the EfficientNet kind."""
    names: dict[str, str] = {}
    for scope, of_scope in _by_scope(spec):
        if scope == "stem":
            _add(names, of_scope[0], conv="conv_stem", norm="bn1")
        elif scope == "head":
            for layer in of_scope:
                if layer.kind == "conv":
                    _add(names, layer, conv="conv_head", norm="bn2")
                elif layer.name == "classifier":
                    _add(names, layer, conv="classifier")
        else:
            prefix = scope.replace("stages", "blocks")
            table = _TIMM[_timm_kind({layer.name for layer in of_scope})]
            for layer in of_scope:
                if layer.name in _TIMM_GATE:
                    _add(names, layer, conv=f"{prefix}.{_TIMM_GATE[layer.name]}")
                elif layer.name in table:
                    conv, norm = table[layer.name]
                    _add(names, layer, conv=f"{prefix}.{conv}", norm=f"{prefix}.{norm}")
    return names


def _timm_kind(layer_names: set[str]) -> str:
    if "expand" in layer_names:
        return "mbconv"
    if "depthwise" in layer_names:
        return "separable"
    return "fused" if "project" in layer_names else "conv"


def _add(names: dict[str, str], layer: Layer, *, conv: str, norm: str = "") -> None:
    """Add what a layer and its norm are called."""
    own = f"{layer.scope}.{layer.name}"
    names[f"{conv}.weight"] = f"{own}.weight"
    if layer.has_bias:
        names[f"{conv}.bias"] = f"{own}.bias"
    if layer.has_norm and norm:
        names |= {f"{norm}.{tensor}": f"{own}_norm.{tensor}" for tensor in NORM_TENSORS}


def _by_scope(spec: ModelSpec) -> Iterator[tuple[str, list[Layer]]]:
    """Give the layers that have weights, block by block, blocks counted without plain identities' places changed."""
    with_weights: Iterable[Layer] = (layer for layer in layers(spec) if layer.kind in ("conv", "linear"))
    for scope, of_scope in groupby(with_weights, key=lambda layer: layer.scope):
        yield scope, list(of_scope)
