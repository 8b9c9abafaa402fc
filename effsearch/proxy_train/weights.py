"""How do a network's weights leave the process that trained them, and get into another one?

As the bytes of a safetensors file: plain numbers under names, nothing that could be executed. With them goes by what
they were computed, because a training that begins by one arithmetic and ends by another is no one's score.
"""

import json
from collections.abc import Mapping

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from effsearch.proxy_train import tensor_files

COMPUTED_BY = "computed_by"
LENGTH_BYTES = 8  # of a safetensors file: the length of the header that follows


def to_bytes(model: nn.Module, computed_by: Mapping[str, str]) -> bytes:
    """Give all that a network has learned, its norms' statistics among it, as the bytes of a safetensors file.

    Args:
        model: On any device.
        computed_by: What else the weights hang on, by name.
    """
    return tensor_files.to_bytes(model.state_dict(), {COMPUTED_BY: json.dumps(computed_by, sort_keys=True)})


def take_weights(model: nn.Module, content: bytes, computed_by: Mapping[str, str]) -> bool:
    """Put weights into a network, in place; False where they do not go on here, and nothing is changed.

    Args:
        model: On any device.
        content: `to_bytes`'s.
        computed_by: What they must have been computed by.
    """
    try:
        found = load(content)
    except SafetensorError:
        return False
    own = model.state_dict()
    if {name: (one.shape, one.dtype) for name, one in found.items()} != {
        name: (one.shape, one.dtype) for name, one in own.items()
    } or _computed_by(content) != dict(computed_by):
        return False
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(found[name])
    return True


def _computed_by(content: bytes) -> object:
    """Give what `to_bytes` was told, from the header of a file that could be read as safetensors."""
    length = int.from_bytes(content[:LENGTH_BYTES], "little")
    header = json.loads(content[LENGTH_BYTES : LENGTH_BYTES + length])
    return json.loads(header.get("__metadata__", {}).get(COMPUTED_BY, "null"))
