"""What does the network get to see of an image?

Batches come as they are stored, uint8 (batch, size, size, 3), and are augmented whole: one gather crops and flips all
their images, each by its own draw. What leaves is float32 (batch, 3, resolution, resolution) in channels-last memory.

Chance is drawn on the CPU, apart from the work that it decides: so a seed means the same crops and flips on every
device, and the draws of many batches can be sent to one at once.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor
from torch.nn import functional

from effsearch.space.errors import UsageError

Padding = Literal["reflect", "zero"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AugmentSettings:
    """How training images are varied; validation and test images never are."""

    crop_share: float = 0.125  # most an image is shifted, as a share of its side: 4 pixels of 32
    crop_padding: Padding = "reflect"  # what comes in from outside: the image mirrored, or black
    flips: bool = True  # left and right, every other image
    cutout_share: float = 0.0  # side of the square that is blanked, as a share of the image's; 0 means none

    def __post_init__(self) -> None:
        if not 0 <= self.crop_share <= 0.5:
            raise UsageError(f"crop_share must be from 0 to 0.5, got {self.crop_share}")
        if self.crop_padding not in get_args(Padding):
            raise UsageError(f"crop_padding must be reflect or zero, got {self.crop_padding!r}")
        if not 0 <= self.cutout_share <= 1:
            raise UsageError(f"cutout_share must be from 0 to 1, got {self.cutout_share}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Normalisation:
    """What is subtracted from and divided into each of red, green and blue, scale 0 to 1."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class Draws(NamedTuple):
    """What chance decides of a batch's augmentation."""

    shifts: Tensor  # (2, batch, 1) int64: rows and columns, in stored pixels
    is_flipped: Tensor  # (batch, 1)
    centres: Tensor  # (2, batch, 1): of the cutout, as shares of the sides; (0,) where nothing is cut out


def draw_augmentation(
    batch: int, *, size: int, settings: AugmentSettings, generator: torch.Generator
) -> Draws:
    """Draw what is done to a batch of stored images.

    Args:
        batch: Number of images.
        size: Side of the stored images.
        settings: Reach of the shift, whether images flip, whether a square is cut out.
        generator: On the CPU; it moves on by the same number whatever it draws.
    """
    reach = _reach(settings, size)
    shifts = torch.randint(-reach, reach + 1, (2, batch, 1), generator=generator)
    is_flipped = torch.randint(2, (batch, 1), generator=generator).bool() & settings.flips
    centres = torch.rand(2, batch, 1, generator=generator) if settings.cutout_share else torch.empty(0)
    return Draws(shifts, is_flipped, centres)


def to_input(pixels: Tensor, *, normalisation: Normalisation, resolution: int) -> Tensor:
    """Give stored images as a network's input.

    Args:
        pixels: uint8 (batch, size, size, 3).
        normalisation: Statistics of the training images.
        resolution: Wanted side; images of another size are resized (bilinear, antialiased where they shrink).

    Returns:
        float32 (batch, 3, resolution, resolution), channels-last.
    """
    mean, scale = _mean_and_scale(normalisation, pixels.device)
    images = pixels.float().sub_(mean).mul_(scale).permute(0, 3, 1, 2)
    if images.shape[-1] != resolution or images.shape[-2] != resolution:
        images = functional.interpolate(
            images, size=(resolution, resolution), mode="bilinear", antialias=True
        )
    return images.contiguous(memory_format=torch.channels_last)


def crop_and_flip(pixels: Tensor, *, settings: AugmentSettings, draws: Draws) -> Tensor:
    """Give each image of a batch shifted and perhaps mirrored, by its own draw.

    Args:
        pixels: uint8 (batch, size, size, 3).
        settings: Padding, and the reach that the shifts were drawn with.
        draws: On the device of the pixels.

    Returns:
        uint8 (batch, size, size, 3).
    """
    batch, size = pixels.shape[:2]
    reach = _reach(settings, size)
    places = torch.arange(size, device=pixels.device).expand(batch, size)
    rows = places + draws.shifts[0]  # (batch, size): where each row of the result comes from
    columns = torch.where(draws.is_flipped, size - 1 - places, places) + draws.shifts[1]
    if settings.crop_padding == "zero":
        pixels = functional.pad(pixels, (0, 0, reach, reach, reach, reach))
        rows, columns = rows + reach, columns + reach
    else:
        rows, columns = (_mirrored(index, size) for index in (rows, columns))
    images = torch.arange(batch, device=pixels.device)
    return pixels[images[:, None, None], rows[:, :, None], columns[:, None, :]]


def cut_out(images: Tensor, *, share: float, centres: Tensor) -> Tensor:
    """Give normalised images, each with one square set to the mean colour; its centre lies anywhere in the image.

    Args:
        images: (batch, 3, height, width).
        share: Side of the square, as a share of the image's.
        centres: `Draws.centres`, on the device of the images.

    Source:
        arXiv:1708.04552.
    """
    height, width = images.shape[2:]
    half = share * height / 2
    rows, columns = (torch.arange(side, device=images.device) + 0.5 for side in (height, width))
    is_row = (rows - centres[0] * height).abs() < half
    is_column = (columns - centres[1] * width).abs() < half
    is_blank = (is_row[:, :, None] & is_column[:, None, :])[:, None]
    blanked = images.masked_fill(is_blank, 0.0)
    return blanked.contiguous(memory_format=torch.channels_last)  # the mask's layout would win otherwise


def augment(
    pixels: Tensor,
    *,
    settings: AugmentSettings,
    normalisation: Normalisation,
    resolution: int,
    draws: Draws,
) -> Tensor:
    """Give a stored batch as varied, normalised input; see `crop_and_flip`, `to_input` and `cut_out`."""
    pixels = crop_and_flip(pixels, settings=settings, draws=draws)
    images = to_input(pixels, normalisation=normalisation, resolution=resolution)
    if settings.cutout_share:
        images = cut_out(images, share=settings.cutout_share, centres=draws.centres)
    return images


def _reach(settings: AugmentSettings, size: int) -> int:
    """The most pixels that an image is shifted by."""
    return round(settings.crop_share * size)


@lru_cache(maxsize=8)
def _mean_and_scale(normalisation: Normalisation, device: torch.device) -> tuple[Tensor, Tensor]:
    """Give what is subtracted and multiplied; kept, because to send it to a device is to wait for it."""
    with torch.inference_mode(False):
        mean = 255 * torch.tensor(normalisation.mean)
        scale = 1 / (255 * torch.tensor(normalisation.std))
        return mean.to(device), scale.to(device)


def _mirrored(index: Tensor, size: int) -> Tensor:
    """Fold places outside 0..size-1 back in, the edge itself not repeated."""
    return (size - 1 - (size - 1 - index.abs()).abs()).abs()
