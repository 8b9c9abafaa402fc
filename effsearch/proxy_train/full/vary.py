"""What does a network in full training get to see of an image?

Shift and flip as in a search's trainings, then RandAugment on the stored bytes, then the resizing, then mixup. Chance
is drawn for the whole batch of a step, however many parts and processes share it: so they see what one would, but
for mixup, which blends images of one part.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from effsearch.proxy_train.augment import Draws, Normalisation, crop_and_flip, draw_augmentation, to_input
from effsearch.proxy_train.full.operations import OPERATIONS
from effsearch.proxy_train.full.recipe import Recipe
from effsearch.proxy_train.full.schedule import Stage


class Variation(NamedTuple):
    """What chance decides of a batch."""

    shifts: Tensor  # as in `Draws`, likewise `is_flipped`
    is_flipped: Tensor
    operations: Tensor  # (num_operations, batch) int64, places in `OPERATIONS`
    signs: Tensor  # (num_operations, batch), -1 or 1
    own_shares: Tensor  # (batch,) float32: of each image in what mixup makes of it; 1 where nothing is mixed

    def of(self, places: Tensor, device: torch.device) -> "Variation":
        """Give that of some images of the batch, sent to a device but for the operations: the host asks which."""
        return Variation(
            self.shifts[:, places].to(device, non_blocking=True),
            self.is_flipped[places].to(device, non_blocking=True),
            self.operations[:, places],
            self.signs[:, places].to(device, non_blocking=True),
            self.own_shares[places].to(device, non_blocking=True),
        )


def draw_variation(
    batch: int,
    *,
    size: int,
    recipe: Recipe,
    stage: Stage,
    generator: torch.Generator,
    rng: np.random.Generator,
) -> Variation:
    """Draw what is done to a batch of stored images.

    Args:
        batch: Number of images.
        size: Side of the stored images.
        recipe: Says how far images shift, and how many operations each gets.
        stage: Says how much is mixed.
        generator: On the CPU.
        rng: Of mixup's shares, which torch cannot draw from a generator.
    """
    draws = draw_augmentation(batch, size=size, settings=recipe.augment, generator=generator)
    shape = (recipe.num_operations, batch)
    operations = torch.randint(len(OPERATIONS), shape, generator=generator)
    signs = 2.0 * torch.randint(2, shape, generator=generator) - 1
    own_shares = torch.ones(batch)
    if stage.mixup:
        own_shares = torch.from_numpy(rng.beta(stage.mixup, stage.mixup, batch).astype(np.float32))
    return Variation(draws.shifts, draws.is_flipped, operations, signs, own_shares)


def vary(
    pixels: Tensor,
    labels: Tensor,
    variation: Variation,
    *,
    recipe: Recipe,
    stage: Stage,
    normalisation: Normalisation,
    num_classes: int,
) -> tuple[Tensor, Tensor]:
    """Give stored images as varied, normalised input with what is to be answered.

    Returns:
        float32 (batch, 3, resolution, resolution), channels-last; and labels (batch,), or where images are mixed the
        share of each class (batch, num_classes).
    """
    draws = Draws(variation.shifts, variation.is_flipped, torch.empty(0))
    pixels = crop_and_flip(pixels, settings=recipe.augment, draws=draws)
    if recipe.num_operations:
        pixels = rand_augment(pixels, variation.operations, stage.magnitude * variation.signs)
    images = to_input(pixels, normalisation=normalisation, resolution=stage.resolution)
    return mix(images, labels, variation.own_shares, num_classes) if stage.mixup else (images, labels)


def rand_augment(pixels: Tensor, operations: Tensor, strengths: Tensor) -> Tensor:
    """Give stored images after operations of their own, one after another.

    Args:
        pixels: uint8 (batch, size, size, 3).
        operations: (num_operations, batch), places in `OPERATIONS`; on the CPU, so that nothing waits for a device.
        strengths: (num_operations, batch): magnitude, and a sign for operations that go two ways.

    Source:
        arXiv:1909.13719: each drawn evenly from fourteen, all at one magnitude.
    """
    pixels = pixels.clone()
    for chosen, strength in zip(operations, strengths, strict=True):
        for index, operation in enumerate(OPERATIONS):
            places = (chosen == index).nonzero()[:, 0]
            if len(places):
                pixels[places] = operation(pixels[places], strength[places])
    return pixels


def mix(images: Tensor, labels: Tensor, own_shares: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Give each image blended with the one that stands as far from the batch's other end, and its answer likewise.

    Source:
        arXiv:1710.09412.
    """
    own = own_shares[:, None, None, None]
    mixed = own * images + (1 - own) * images.flip(0)
    answers = functional.one_hot(labels, num_classes).to(images.dtype)
    mixed_answers = own_shares[:, None] * answers + (1 - own_shares[:, None]) * answers.flip(0)
    return mixed.contiguous(memory_format=torch.channels_last), mixed_answers
