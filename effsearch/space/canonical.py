"""When are two descriptions one network?

Two specs with the same layers are one network, however their blocks are named or grouped into stages. The hash is
of the flat layer list, so plain identities have vanished from it and fields without effect never entered.
"""

import hashlib
import json

from effsearch.space.layer import Layer
from effsearch.space.layers import layers
from effsearch.space.search_space import SearchSpace
from effsearch.space.spec import ModelSpec


def network_hash(spec: ModelSpec) -> str:
    """Give the canonical hash of a network, 16 hexadecimal digits.

    Number of classes and resolution are left out: they belong to the data and to the fidelity of a score.
    So are dropout and stochastic depth, which a recipe sets. The norms' constants are in.
    """
    rows: list[list[object]] = [[spec.norm_momentum, spec.norm_epsilon]]
    scope, block_number = "", -1
    for layer in layers(spec):
        if layer.scope != scope:
            scope, block_number = layer.scope, block_number + 1
        rows.append([block_number, *layer_row(layer)])
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()[:16]


def layer_row(layer: Layer) -> list[object]:
    """Give what of a layer its network is known by, as JSON values: all but its name, its sizes and the classes."""
    is_classifier = layer.scope == "head" and layer.name == "classifier"
    return [
        layer.kind,
        layer.branch,
        layer.in_channels,
        0 if is_classifier else layer.out_channels,
        layer.kernel_size,
        layer.stride,
        layer.groups,
        layer.has_bias,
        layer.has_norm,
        layer.activation,
    ]


def space_hash(space: SearchSpace) -> str:
    """Give the hash of a space, 16 hexadecimal digits."""
    return hashlib.sha256(repr(space).encode()).hexdigest()[:16]
