"""What may RandAugment do to an image?

Each operation takes a batch of stored images, uint8 (batch, size, size, 3), and one strength for each image, and
gives the batch changed. Strength 0 changes nothing but where an operation has no strength at all. What comes in from
outside is mid-grey. torchvision has such operations but does not import beside every build of torch, and Pillow's
take one image at a time.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional

GREY = 128.0
MAX_DEGREES = 30.0  # at magnitude 10, as the following three
MAX_SHEAR = 0.3
MAX_SHIFT = 100 / 224  # of the image's side ...
MOST_SHIFT = 2 / 3  # ... and at any magnitude: an image that is all grey teaches nothing under a label
MAX_ENHANCEMENT = 0.9  # that a factor differs from 1 by
LEAST_FACTOR = 0.1  # of an enhancement, whatever the magnitude
MAX_LOST_BITS = 4  # by posterizing; at magnitude 10 and above


def auto_contrast(pixels: Tensor, strength: Tensor) -> Tensor:
    """Stretch each channel to reach from 0 to 255; it has no strength."""
    x = pixels.float()
    low, high = x.amin((1, 2), keepdim=True), x.amax((1, 2), keepdim=True)
    scale = 255 / (high - low).clamp(min=1)
    stretched = ((x - low) * scale + 1e-4).floor()  # a whole number is not to fall to the one below
    return torch.where(high > low, stretched, x).clamp(0, 255).to(torch.uint8)


def equalize(pixels: Tensor, strength: Tensor) -> Tensor:
    """Spread each channel's values so that all are about equally frequent; it has no strength."""
    batch, height, width, channels = pixels.shape
    planes = pixels.permute(0, 3, 1, 2).reshape(batch * channels, height * width).long()
    counts = torch.zeros(batch * channels, 256, dtype=torch.long, device=pixels.device)
    counts.scatter_add_(1, planes, torch.ones_like(planes))
    highest = planes.amax(1, keepdim=True)
    step = (height * width - counts.gather(1, highest)) // 255
    below = counts.cumsum(1) - counts
    table = ((below + step // 2) // step.clamp(min=1)).clamp(max=255)
    table = torch.where(step == 0, torch.arange(256, device=pixels.device), table)
    spread = table.gather(1, planes).reshape(batch, channels, height, width).permute(0, 2, 3, 1)
    return spread.to(torch.uint8).contiguous()


def posterize(pixels: Tensor, strength: Tensor) -> Tensor:
    """Drop the lowest bits: none at 0, four at 10."""
    lost = (strength.abs() / 10 * MAX_LOST_BITS).round().clamp(max=MAX_LOST_BITS).to(torch.uint8)
    return (pixels >> _by_image(lost)) << _by_image(lost)


def solarize(pixels: Tensor, strength: Tensor) -> Tensor:
    """Invert what is bright: nothing at 0, everything at 10."""
    threshold = _by_image(256 * (1 - strength.abs() / 10))
    return torch.where(pixels.float() < threshold, pixels, 255 - pixels)


def colour(pixels: Tensor, strength: Tensor) -> Tensor:
    """Take colour away, or add to it."""
    return _blend(_luminance(pixels).expand(pixels.shape), pixels, strength)


def contrast(pixels: Tensor, strength: Tensor) -> Tensor:
    """Draw towards the image's mean grey, or away from it."""
    mean = (_luminance(pixels).mean((1, 2, 3), keepdim=True) + 0.5).floor()
    return _blend(mean.expand(pixels.shape), pixels, strength)


def brightness(pixels: Tensor, strength: Tensor) -> Tensor:
    """Darken, or brighten."""
    return _blend(torch.zeros(pixels.shape, device=pixels.device), pixels, strength)


def sharpness(pixels: Tensor, strength: Tensor) -> Tensor:
    """Blur, or sharpen; the outermost pixels stay."""
    x = pixels.permute(0, 3, 1, 2).float()
    kernel = torch.ones(3, 3, device=pixels.device)
    kernel[1, 1] = 5
    kernel = (kernel / kernel.sum()).expand(3, 1, 3, 3)
    smooth = x.clone()
    if min(x.shape[2:]) > 2:
        smooth[:, :, 1:-1, 1:-1] = functional.conv2d(x, kernel, groups=3)
    return _blend(smooth.permute(0, 2, 3, 1), pixels, strength)


def rotate(pixels: Tensor, strength: Tensor) -> Tensor:
    """Turn about the middle, counter-clockwise where the strength is positive."""
    angle = strength / 10 * math.radians(MAX_DEGREES)
    zero = torch.zeros_like(angle)
    rows = [[angle.cos(), -angle.sin(), zero], [angle.sin(), angle.cos(), zero]]
    return _warp(pixels, rows)


def shear_x(pixels: Tensor, strength: Tensor) -> Tensor:
    """Shift each row in proportion to its height."""
    zero, one = torch.zeros_like(strength), torch.ones_like(strength)
    return _warp(pixels, [[one, strength / 10 * MAX_SHEAR, zero], [zero, one, zero]])


def shear_y(pixels: Tensor, strength: Tensor) -> Tensor:
    """Shift each column in proportion to where it lies."""
    zero, one = torch.zeros_like(strength), torch.ones_like(strength)
    return _warp(pixels, [[one, zero, zero], [strength / 10 * MAX_SHEAR, one, zero]])


def translate_x(pixels: Tensor, strength: Tensor) -> Tensor:
    """Shift left, where the strength is positive."""
    zero, one = torch.zeros_like(strength), torch.ones_like(strength)
    return _warp(pixels, [[one, zero, _shift(strength)], [zero, one, zero]])


def translate_y(pixels: Tensor, strength: Tensor) -> Tensor:
    """Shift up, where the strength is positive."""
    zero, one = torch.zeros_like(strength), torch.ones_like(strength)
    return _warp(pixels, [[one, zero, zero], [zero, one, _shift(strength)]])


def identity(pixels: Tensor, strength: Tensor) -> Tensor:
    """Leave the images alone."""
    return pixels


OPERATIONS: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (
    identity,
    auto_contrast,
    equalize,
    rotate,
    solarize,
    colour,
    posterize,
    contrast,
    brightness,
    sharpness,
    shear_x,
    shear_y,
    translate_x,
    translate_y,
)


def _by_image(values: Tensor) -> Tensor:
    return values[:, None, None, None]


def _blend(plain: Tensor, pixels: Tensor, strength: Tensor) -> Tensor:
    """Give `plain` at a factor of 0, the images at 1, and beyond them above that."""
    factor = _by_image((1 + strength / 10 * MAX_ENHANCEMENT).clamp(min=LEAST_FACTOR))
    x = pixels.float()
    return (plain + factor * (x - plain)).clamp(0, 255).round().to(torch.uint8)


def _luminance(pixels: Tensor) -> Tensor:
    """Give how bright pixels are, (batch, size, size, 1), by the weights of ITU-R 601-2."""
    red, green, blue = pixels.float().unbind(-1)
    return (0.299 * red + 0.587 * green + 0.114 * blue).round()[..., None]


def _warp(pixels: Tensor, rows: list[list[Tensor]]) -> Tensor:
    """Give images drawn from where an affine map of each leads, the nearest pixel; sides reach from -1 to 1."""
    maps = torch.stack([torch.stack(row, -1) for row in rows], 1).float()
    x = pixels.permute(0, 3, 1, 2).float() - GREY
    places = functional.affine_grid(maps, list(x.shape), align_corners=False)
    drawn = functional.grid_sample(x, places, mode="nearest", padding_mode="zeros", align_corners=False)
    return (drawn + GREY).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def _shift(strength: Tensor) -> Tensor:
    """Give how far an image moves, where its whole side is 2."""
    return 2 * (strength / 10 * MAX_SHIFT).clamp(-MOST_SHIFT, MOST_SHIFT)
