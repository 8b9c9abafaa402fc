"""Which images does a step see, and where do they lie?

On the CPU they are read from where they are mapped, batch by batch. On a GPU a split is copied whole, once in each
process, and batches are gathered on the device; one too large for that is sent batch by batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from effsearch.proxy_train.augment import Draws
from effsearch.proxy_train.data.datasets import Split
from effsearch.proxy_train.device import Compute, fits_on_device

ROWS_PER_COPY = 4_096  # of a split on its way to a device: what the host holds twice


class BatchPlan(NamedTuple):
    """All that is drawn for one step, on the device that computes it; `rows` lie where the images lie."""

    rows: Tensor  # (batch,) int64, places in the split
    shifts: Tensor  # as in `Draws`, likewise the others
    is_flipped: Tensor
    centres: Tensor

    @property
    def draws(self) -> Draws:
        """Give what the augmentation of the batch needs."""
        return Draws(self.shifts, self.is_flipped, self.centres)


@dataclass(frozen=True, slots=True)
class MappedImages:
    """Images that stay on disk and are sent to the device batch by batch."""

    split: Split
    device: torch.device

    @property
    def rows_device(self) -> torch.device:
        """Where the rows of a batch are to lie."""
        return torch.device("cpu")

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Give stored images (batch, size, size, 3) uint8 and labels (batch,) int64."""
        pixels, labels = load_batch(self.split, rows.numpy())
        return pixels.to(self.device, non_blocking=True), labels.to(self.device, non_blocking=True)


@dataclass(frozen=True, slots=True)
class ResidentImages:
    """Images that lie on the device."""

    images: Tensor  # (num_images, size, size, 3) uint8
    labels: Tensor  # (num_images,) int64

    @property
    def rows_device(self) -> torch.device:
        """Where the rows of a batch are to lie."""
        return self.images.device

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Give stored images (batch, size, size, 3) uint8 and labels (batch,) int64."""
        return self.images.index_select(0, rows), self.labels.index_select(0, rows)


Images = MappedImages | ResidentImages


def open_on(split: Split, compute: Compute) -> Images:
    """Give a split's images as a training takes them: on the device where they fit there."""
    if compute.has_resident_images and fits_on_device(split.images.nbytes, compute.device):
        return resident_images(split, compute.device)
    return MappedImages(split, compute.device)


@lru_cache(maxsize=4)  # training and validation images of the two data sets that a process keeps open
def resident_images(split: Split, device: torch.device) -> ResidentImages:
    """Give a split's images copied to a device, once in each process."""
    with torch.inference_mode(False):  # they outlive the scoring that may ask for them first
        images = torch.empty(split.images.shape, dtype=torch.uint8, device=device)
        for start in range(0, len(split), ROWS_PER_COPY):
            part = slice(start, start + ROWS_PER_COPY)
            images[part] = torch.from_numpy(np.array(split.images[part])).to(device)
        return ResidentImages(images, torch.from_numpy(np.array(split.labels)).to(device))


def send_plans(
    rows: Sequence[NDArray[np.int64]], draws: Sequence[Draws], *, images: Images, device: torch.device
) -> list[BatchPlan]:
    """Give the plans of some steps in a row, sent to the device in one go: afterwards no step waits for the host."""
    sent_rows = torch.from_numpy(np.stack(rows)).to(images.rows_device)
    sent_draws = [torch.stack(tensors).to(device) for tensors in zip(*draws, strict=True)]
    columns = [tensor.unbind() for tensor in (sent_rows, *sent_draws)]
    return [BatchPlan(*tensors) for tensors in zip(*columns, strict=True)]


def send_rows(rows: NDArray[np.int64], batch_size: int, *, images: Images) -> list[Tensor]:
    """Give rows where images lie, in batches; the last one may be smaller."""
    sent = torch.from_numpy(rows).to(images.rows_device)
    return [sent[start : start + batch_size] for start in range(0, len(rows), batch_size)]


def load_batch(split: Split, rows: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    """Give stored images (batch, size, size, 3) uint8 and labels (batch,) int64, copied from where they lie."""
    pixels = np.asarray(split.images[rows])
    return torch.from_numpy(pixels), torch.from_numpy(np.asarray(split.labels[rows]))


def choose_rows(labels: NDArray[np.int64], num_rows: int, *, seed: int = 0) -> NDArray[np.int64]:
    """Give the rows of at most `num_rows` images, every class in proportion, and always the same for one seed.

    Fewer are a part of more, and every class has one before any has two.
    """
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(len(labels))
    by_class = shuffled[np.argsort(labels[shuffled], kind="stable")]  # grouped by class, shuffled inside it
    counts = np.bincount(labels)
    places = np.arange(len(labels)) - np.repeat(np.cumsum(counts) - counts, counts)
    shares = places / np.repeat(counts, counts)  # how much of its class comes before each image
    return np.sort(by_class[np.argsort(shares, kind="stable")[:num_rows]])
