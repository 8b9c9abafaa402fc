"""How often is a network right, at once and within five guesses?"""

import math
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn import functional

from effsearch.proxy_train.augment import Normalisation, to_input
from effsearch.proxy_train.batches import choose_rows, open_on, send_rows
from effsearch.proxy_train.data.datasets import Split
from effsearch.proxy_train.device import Compute
from effsearch.space.outcome import TrainingFailed

SCORE_BATCH = 250
NUM_GUESSES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class FullScore:
    """What a network gives on images it has not trained on."""

    accuracy: float  # top-1, in [0, 1]
    top5: float  # right within five guesses; where there are fewer classes, always
    loss: float  # cross-entropy, nats, without label smoothing
    num_images: int


def score_fully(
    model: nn.Module, split: Split, *, normalisation: Normalisation, resolution: int, compute: Compute
) -> FullScore:
    """Score a network on all images of a split, in float32; it is left in eval mode.

    Raises:
        TrainingFailed: The network gives scores that are not finite.
    """
    images = open_on(split, compute)
    by_batch = []  # on the device: right at once, right within five, sums of losses
    model.eval()
    with torch.inference_mode():
        for batch in send_rows(choose_rows(split.labels, len(split)), SCORE_BATCH, images=images):
            pixels, labels = images.take(batch)
            scores = model(to_input(pixels, normalisation=normalisation, resolution=resolution))
            guesses = scores.topk(min(NUM_GUESSES, scores.shape[1]), dim=1).indices
            is_right = guesses == labels[:, None]
            loss = functional.cross_entropy(scores, labels, reduction="sum")
            by_batch.append(torch.stack([is_right[:, 0].sum(), is_right.sum(), loss]))
    right, within, losses = (sum(column) for column in zip(*torch.stack(by_batch).tolist(), strict=True))
    if not math.isfinite(losses):
        raise TrainingFailed(f"the network's loss on images it has not trained on is {losses / len(split)}")
    return FullScore(
        accuracy=right / len(split),
        top5=within / len(split),
        loss=losses / len(split),
        num_images=len(split),
    )
