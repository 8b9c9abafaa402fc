"""How do a network's weights leave the process that trained them, and get into another one?

As the bytes of a safetensors file: plain numbers under names, nothing that could be executed.
"""

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn


def to_bytes(model: nn.Module) -> bytes:
    """Give all that a network has learned, its norms' statistics among it, as the bytes of a safetensors file."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    return save(tensors)


def take_weights(model: nn.Module, content: bytes) -> bool:
    """Put weights into a network, in place; False where they are another network's, and nothing is changed.

    Args:
        model: On any device.
        content: `to_bytes`'s.
    """
    try:
        found = load(content)
    except SafetensorError:
        return False
    own = model.state_dict()
    if {name: (one.shape, one.dtype) for name, one in found.items()} != {
        name: (one.shape, one.dtype) for name, one in own.items()
    }:
        return False
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(found[name])
    return True
