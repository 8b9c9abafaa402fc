"""How good is a trained network on images that it has not trained on, and how do images become its input?"""

import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from effsearch.proxy_train.augment import Normalisation, to_input
from effsearch.proxy_train.batches import choose_rows, open_on, send_rows
from effsearch.proxy_train.data.datasets import ImageData, Split, open_images
from effsearch.proxy_train.device import ON_CPU, Compute
from effsearch.space.outcome import TrainingFailed
from effsearch.space.preprocessing import Preprocessing

SCORE_BATCH = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a trained network gives on images it has not trained on."""

    accuracy: float  # top-1, in [0, 1]
    loss: float  # cross-entropy, nats, without label smoothing
    capped_loss: float  # the same, no image counted as worse than an even guess: ln(num_classes)
    num_images: int


def score_on_split(
    model: nn.Module,
    split: Split,
    *,
    normalisation: Normalisation,
    resolution: int,
    max_images: int,
    compute: Compute = ON_CPU,
) -> Score:
    """Score a trained network on at most `max_images` images, always the same; it is left in eval mode.

    In float32 on every device: forward passes are a small share of a training, and rounding moves close calls.

    Raises:
        TrainingFailed: The network gives scores that are not finite.
    """
    rows = choose_rows(split.labels, max_images)
    images = open_on(split, compute)
    by_batch = []  # on the device: right answers, sums of losses and of capped losses
    model.eval()
    with torch.inference_mode():
        for batch in send_rows(rows, SCORE_BATCH, images=images):
            pixels, labels = images.take(batch)
            scores = model(to_input(pixels, normalisation=normalisation, resolution=resolution))
            losses = functional.cross_entropy(scores, labels, reduction="none")
            capped = losses.clamp(max=math.log(scores.shape[1]))
            by_batch.append(torch.stack([(scores.argmax(1) == labels).sum(), losses.sum(), capped.sum()]))
    num_right, sum_losses, sum_capped = 0, 0.0, 0.0
    for right, of_losses, of_capped in torch.stack(by_batch).tolist():
        num_right += int(right)
        sum_losses += of_losses
        sum_capped += of_capped
    loss = sum_losses / len(rows)
    if not math.isfinite(loss):
        raise TrainingFailed(f"the trained network's loss on images it has not seen is {loss}")
    return Score(
        accuracy=num_right / len(rows), loss=loss, capped_loss=sum_capped / len(rows), num_images=len(rows)
    )


def normalisation_of(images: ImageData) -> Normalisation:
    """Give what a data set's images are normalised by."""
    return Normalisation(mean=images.channel_mean, std=images.channel_std)


def preprocessing_of(images: ImageData, *, resolution: int) -> Preprocessing:
    """Give how validation images become inputs of a network, for whoever uses it elsewhere."""
    return Preprocessing(
        class_names=images.class_names,
        mean=images.channel_mean,
        std=images.channel_std,
        stored_resolution=images.resolution,
        resolution=resolution,
        data=images.name,
        data_fingerprint=images.fingerprint,
    )


@lru_cache(maxsize=2)
def opened_images(handle: Path) -> ImageData:
    """Give the images at a handle, opened once in each process."""
    return open_images(handle)
