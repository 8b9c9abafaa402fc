"""How is a network trained on small images first, and on its own size for the rest of the same training?

`train_model` has one resolution. This is its loop on the CPU with two: the same order of images, the same draws and
the same learning rates. With both resolutions equal it gives the same weights to the bit, which `check_growing` tries
before anything is measured.
"""

import math
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from effsearch.proxy_train.augment import Normalisation, augment, draw_augmentation
from effsearch.proxy_train.batches import choose_rows, load_batch
from effsearch.proxy_train.build import build_model
from effsearch.proxy_train.data.datasets import Split
from effsearch.proxy_train.train import (
    REFERENCE_BATCH,
    TrainSettings,
    make_optimizer,
    rate_share,
    seeded_globally,
    train_model,
)
from effsearch.space.outcome import TrainingFailed
from effsearch.space.spec import ModelSpec

NUM_CHECKED_STEPS = 2  # in each of two epochs


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
    """Train a network in place, the first half of all steps at the first resolution, the others at the second.

    Raises:
        TrainingFailed: The loss was not finite.
    """
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
                if settings.max_gradient_norm:
                    nn.utils.clip_grad_norm_(model.parameters(), settings.max_gradient_norm)
                optimizer.step()
                if not math.isfinite(loss.item()):
                    raise TrainingFailed(f"the loss became {loss.item()} in step {step + 1} of {num_steps}")


def check_growing(
    spec: ModelSpec, split: Split, *, settings: TrainSettings, normalisation: Normalisation
) -> None:
    """Train a network for a few steps of two epochs here and by `train_model`, at its own resolution.

    Raises:
        SystemExit: The weights differ, or none was trained, so that nothing was checked.
    """
    fresh, own, reference = (build_model(spec, seed=0) for _ in range(3))
    lot: dict[str, Any] = {  # the two take nearly the same arguments, of many types
        "settings": settings,
        "normalisation": normalisation,
        "num_images": NUM_CHECKED_STEPS * settings.batch_size,
        "num_epochs": 2,
        "seed": 0,
    }
    train_growing(own, split, resolutions=(spec.resolution, spec.resolution), **lot)
    train_model(reference, split, resolution=spec.resolution, **lot)
    if not _is_equal(own, reference):
        raise SystemExit(
            "train_growing does not train as train_model does; mend it before anything is measured"
        )
    if _is_equal(own, fresh):
        raise SystemExit("the few steps that train_growing is checked by changed nothing")


def _is_equal(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(mine, yours) for mine, yours in pairs)
