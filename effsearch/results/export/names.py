"""What are a network's weights called elsewhere?

A `Names` maps modules, from `proxy_train.build`'s name to the target's: `stages.0.0.expand` to `blocks.0.0.conv_pw`.
Their tensors (`weight`, `bias`, `running_mean`, ...) have the same names everywhere.
"""

from collections.abc import Mapping
from typing import TypeVar

Names = dict[str, str]
T = TypeVar("T")


def rename(tensors: Mapping[str, T], names: Names) -> dict[str, T]:
    """Give tensors under their new names, in the same order; those of modules without a new name are left out."""
    renamed = {}
    for name, tensor in tensors.items():
        module, _, what = name.rpartition(".")
        if module in names:
            renamed[f"{names[module]}.{what}"] = tensor
    return renamed


def inverse(names: Names) -> Names:
    """Give the way back; no two modules may have one name."""
    back = {new: old for old, new in names.items()}
    assert len(back) == len(names), "two modules of one name"
    return back
