"""What tests of training share: a small network, images that it can learn, and how to compare weights."""

import numpy as np
import torch
from torch import nn

from effsearch.proxy_train.data.datasets import Split
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec

SMALL_SPEC = ModelSpec(
    stem=StemSpec(out_channels=8, stride=1),
    stages=(
        StageSpec(out_channels=12, stride=2, blocks=(BlockSpec(expand_ratio=2, se_ratio=0.25),)),
        StageSpec(out_channels=12, stride=1, blocks=(BlockSpec(expand_ratio=2),)),
    ),
    head=HeadSpec(out_channels=24, dropout_rate=0.1),
    resolution=10,
    num_classes=3,
    drop_path_rate=0.2,
    norm_momentum=0.1,
)


def coloured_split(num_images: int = 96, *, side: int = 10) -> Split:
    """Noise with one channel raised: three classes that a small network can tell apart."""
    rng = np.random.default_rng(4)
    labels = np.arange(num_images) % 3
    images = rng.integers(0, 180, (num_images, side, side, 3), dtype=np.uint8)
    images[np.arange(num_images), :, :, labels] += 60
    return Split(images=images, labels=labels)


def same_weights(first: nn.Module, second: nn.Module) -> bool:
    """Tell whether two networks are equal to the bit, their norms' statistics too."""
    pairs = zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)
