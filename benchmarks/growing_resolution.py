"""How is a network trained on small images first, and on its own size for the rest of the same training?

`train_model` has one resolution. This is its loop on the CPU with two: the same order of images, the same draws and
the same learning rates; with both resolutions equal it gives the same weights to the bit.
"""

import torch
from torch import nn
from torch.nn import functional

from effsearch.proxy_train.augment import Normalisation, augment, draw_augmentation
from effsearch.proxy_train.batches import choose_rows, load_batch
from effsearch.proxy_train.data.datasets import Split
from effsearch.proxy_train.train import (
    REFERENCE_BATCH,
    TrainSettings,
    make_optimizer,
    rate_share,
    seeded_globally,
)


def train_growing(
    model: nn.Module,
    split: Split,
    *,
    settings: TrainSettings,
    normalisation: Normalisation,
    resolutions: tuple[int, int],
    num_images: int,
    num_epochs: int,
    seed: int,
) -> None:
    """Train a network in place, the first half of all steps at the first resolution, the others at the second."""
    rows = choose_rows(split.labels, num_images)
    batch_size = min(settings.batch_size, len(rows))
    steps_per_epoch = len(rows) // batch_size
    num_steps = num_epochs * steps_per_epoch
    peak = settings.learning_rate * batch_size / REFERENCE_BATCH
    optimizer = make_optimizer(model, settings)
    generator = torch.Generator().manual_seed(seed)
    size = split.images.shape[1]
    model.train()
    with seeded_globally(seed, torch.device("cpu")):
        for epoch in range(num_epochs):
            order = rows[torch.randperm(len(rows), generator=generator).numpy()]
            batches = order[: steps_per_epoch * batch_size].reshape(steps_per_epoch, batch_size)
            draws = [
                draw_augmentation(batch_size, size=size, settings=settings.augment, generator=generator)
                for _ in batches
            ]
            for step, (batch, draw) in enumerate(
                zip(batches, draws, strict=True), start=epoch * steps_per_epoch
            ):
                pixels, labels = load_batch(split, batch)
                inputs = augment(
                    pixels,
                    settings=settings.augment,
                    normalisation=normalisation,
                    resolution=resolutions[2 * step >= num_steps],
                    draws=draw,
                )
                for group in optimizer.param_groups:
                    group["lr"] = peak * rate_share(step, num_steps, settings)
                optimizer.zero_grad()
                scores = model(inputs)
                loss = functional.cross_entropy(scores, labels, label_smoothing=settings.label_smoothing)
                loss.backward()  # type: ignore[no-untyped-call]  # torch has not typed it
                nn.utils.clip_grad_norm_(model.parameters(), settings.max_gradient_norm)
                optimizer.step()
