"""The training loops that a user would write instead: JPEGs through a DataLoader, and tensors in memory.

Both train the same network with the same optimizer and batch size as effsearch, by torch's own operators. Images are
shifted as far and flipped as often, but as is common in such loops: black comes in from outside, and the loop in
memory shifts a batch as one. A loop takes its number of steps while the learning rate descends, or goes on at the
peak rate until `should_stop`, which it asks before each step.
"""

import tarfile
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from effsearch.proxy_train.train import REFERENCE_BATCH, TrainSettings, rate_share

PAD = 4  # pixels that an image of 32 is shifted by, at the most
NUM_LOADER_WORKERS = 2
ShouldStop = Callable[[], bool]


class JpegFolder(Dataset[tuple[Tensor, int]]):
    """Images below one folder for each class, decoded whenever they are asked for."""

    def __init__(self, folder: Path, mean: Tensor, std: Tensor) -> None:
        classes = sorted(path for path in folder.iterdir() if path.is_dir())
        self._items = [
            (path, label) for label, one in enumerate(classes) for path in sorted(one.glob("*.jp*g"))
        ]
        self._mean, self._std = mean[:, None, None], std[:, None, None]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        path, label = self._items[index]
        with Image.open(path) as image:
            pixels = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1)
        size = pixels.shape[-1]
        padded = functional.pad(pixels, (PAD, PAD, PAD, PAD))
        top, left = torch.randint(0, 2 * PAD + 1, (2,)).tolist()
        cropped = padded[:, top : top + size, left : left + size]
        if torch.rand(()) < 0.5:
            cropped = cropped.flip(-1)
        return (cropped.float() / 255 - self._mean) / self._std, label


def extract_jpegs(archive: Path, folder: Path, *, num_images: int) -> Path:
    """Unpack some training images of an archive, of each class the same number, once; give the classes' folder."""
    done = folder / f"{num_images}-images"
    if not done.exists():
        part = folder / f"{num_images}-images.part"
        taken: Counter[str] = Counter()
        with tarfile.open(archive) as tar:
            for member in tar:
                path = Path(member.name)
                name = path.parent.name
                if not member.isfile() or "train" not in path.parts or taken[name] >= num_images // 10:
                    continue
                taken[name] += 1
                target = part / name / path.name
                target.parent.mkdir(parents=True, exist_ok=True)
                source = tar.extractfile(member)
                assert source is not None, "a file has content"
                target.write_bytes(source.read())
        part.rename(done)
    return done


def train_from_jpegs(
    model: nn.Module,
    folder: Path,
    *,
    settings: TrainSettings,
    mean: Tensor,
    std: Tensor,
    num_steps: int | None,
    should_stop: ShouldStop,
) -> None:
    """Train as most would begin: a DataLoader with two workers that decode, and the usual memory layout (NCHW).

    Args:
        model: Trained in place.
        folder: Of the classes' folders.
        settings: Batch size and optimizer.
        mean: (3,) of the pixels, scale 0 to 1.
        std: (3,) likewise.
        num_steps: How many to take; None goes on.
        should_stop: Asked before each step.
    """
    loader = DataLoader(
        JpegFolder(folder, mean, std),
        batch_size=settings.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=NUM_LOADER_WORKERS,
        persistent_workers=True,
    )

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            yield from loader

    _train(model.to(memory_format=torch.contiguous_format), batches(), settings, num_steps, should_stop)  # type: ignore[call-overload]  # torch's stub lacks it


def train_from_memory(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    *,
    settings: TrainSettings,
    num_steps: int | None,
    should_stop: ShouldStop,
    seed: int = 0,
) -> None:
    """Train as one does who knows torch: normalised images in memory, channels-last, batches augmented whole.

    Args:
        model: Trained in place.
        images: float32 (num_images, 3, size, size), channels-last.
        labels: int64 (num_images,).
        settings: Batch size and optimizer.
        num_steps: How many to take; None goes on.
        should_stop: Asked before each step.
        seed: Of order and augmentation.
    """
    generator = torch.Generator().manual_seed(seed)
    size = images.shape[-1]

    def batches() -> Iterator[tuple[Tensor, Tensor]]:
        while True:
            order = torch.randperm(len(images), generator=generator)
            for rows in torch.split(order, settings.batch_size):
                if len(rows) < settings.batch_size:
                    continue
                batch = functional.pad(images[rows], (PAD, PAD, PAD, PAD))
                top, left = torch.randint(0, 2 * PAD + 1, (2,), generator=generator).tolist()
                batch = batch[:, :, top : top + size, left : left + size]
                is_flipped = torch.rand(len(rows), 1, 1, 1, generator=generator) < 0.5
                batch = torch.where(is_flipped, batch.flip(-1), batch)
                yield batch.contiguous(memory_format=torch.channels_last), labels[rows]

    _train(model.to(memory_format=torch.channels_last), batches(), settings, num_steps, should_stop)  # type: ignore[call-overload]  # torch's stub lacks it


def _train(
    model: nn.Module,
    batches: Iterator[tuple[Tensor, Tensor]],
    settings: TrainSettings,
    num_steps: int | None,
    should_stop: ShouldStop,
) -> None:
    peak = settings.learning_rate * settings.batch_size / REFERENCE_BATCH
    optimizer = torch.optim.SGD(
        model.parameters(),
        lr=peak,
        momentum=settings.momentum,
        weight_decay=settings.weight_decay,
        nesterov=True,
        fused=True,
    )
    model.train()
    for step in count() if num_steps is None else range(num_steps):
        if should_stop():
            return
        if num_steps is not None:
            for group in optimizer.param_groups:
                group["lr"] = peak * rate_share(step, num_steps, settings)
        inputs, labels = next(batches)
        loss = functional.cross_entropy(model(inputs), labels, label_smoothing=settings.label_smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has not typed it
        nn.utils.clip_grad_norm_(model.parameters(), settings.max_gradient_norm)
        optimizer.step()
