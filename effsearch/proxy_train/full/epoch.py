"""How does one epoch of a full training go?

It depends on the state before it, the recipe, the seed and its number alone.
"""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from effsearch.proxy_train.batches import open_on
from effsearch.proxy_train.build import Block, Network
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.device import Compute
from effsearch.proxy_train.full.checkpoint import TrainState
from effsearch.proxy_train.full.group import Group, unsynced
from effsearch.proxy_train.full.schedule import Stage, rate_share
from effsearch.proxy_train.full.training import FullTraining
from effsearch.proxy_train.full.vary import draw_variation, vary
from effsearch.proxy_train.score import normalisation_of
from effsearch.proxy_train.steps import look_at
from effsearch.proxy_train.train import seeded_globally
from effsearch.space.outcome import TrainingFailed, derive_seed


@dataclass(frozen=True, slots=True, kw_only=True)
class StepLog:
    """How far an epoch is."""

    epoch: int  # from 1
    step: int  # of the epoch, from 1
    num_steps: int  # of the epoch
    loss: float  # mean of the steps that were looked at last


def set_dropout(model: nn.Module, dropout_rate: float) -> None:
    """Change how much a network drops before its classifier."""
    if isinstance(model, Network):
        head: Block = model.head
        head.layers = tuple(
            dataclasses.replace(layer, drop_rate=dropout_rate) if layer.name == "classifier" else layer
            for layer in head.layers
        )


def train_epoch(
    state: TrainState,
    wrapped: nn.Module,
    images: ImageData,
    training: FullTraining,
    stage: Stage,
    epoch: int,
    *,
    compute: Compute,
    group: Group,
    on_step: Callable[[StepLog], None],
) -> tuple[float, float]:
    """Take the steps of an epoch; give the mean loss of this process, and the last learning rate."""
    recipe = training.recipe
    chance = derive_seed(training.seed, f"epoch {epoch}", 0)  # one for all processes
    generator = torch.Generator().manual_seed(chance)
    rng = np.random.default_rng(chance)
    num_images, batch = len(images.train), recipe.batch_size
    steps_per_epoch = num_images // batch
    order = torch.randperm(num_images, generator=generator)
    source, normalisation = open_on(images.train, compute), normalisation_of(images)
    # Every process has its own columns of every part.
    places = torch.arange(batch).reshape(training.num_parts, group.size, -1)[:, group.rank]
    sum_losses, waiting, rate = 0.0, list[Tensor](), 0.0
    wrapped.train()
    with seeded_globally(derive_seed(training.seed, f"epoch {epoch}", 1 + group.rank), compute.device):
        for step in range(steps_per_epoch):
            rows = order[step * batch : (step + 1) * batch]
            variation = draw_variation(
                batch,
                size=images.resolution,
                recipe=recipe,
                stage=stage,
                generator=generator,
                rng=rng,
            )
            rate = recipe.peak_rate * rate_share(state.num_steps, recipe.num_epochs * steps_per_epoch, recipe)
            for parameters in state.optimizer.param_groups:
                parameters["lr"] = rate
            state.optimizer.zero_grad()
            losses = []
            for index, part in enumerate(places):
                pixels, labels = source.take(rows[part].to(source.rows_device))
                inputs, answers = vary(
                    pixels,
                    labels,
                    variation.of(part, compute.device),
                    recipe=recipe,
                    stage=stage,
                    normalisation=normalisation,
                    num_classes=images.num_classes,
                )
                with unsynced(wrapped, is_last=index + 1 == len(places)):
                    with compute.autocast():
                        scores = wrapped(inputs)
                        loss = functional.cross_entropy(
                            scores, answers, label_smoothing=recipe.label_smoothing
                        )
                    (loss / len(places)).backward()  # type: ignore[no-untyped-call]  # torch has not typed it
                losses.append(loss.detach())
            if recipe.max_gradient_norm:
                nn.utils.clip_grad_norm_(state.model.parameters(), recipe.max_gradient_norm)
            state.optimizer.step()
            state.num_steps += 1
            if state.average is not None:
                state.average.update(state.model, num_steps=state.num_steps)
            waiting.append(torch.stack(losses).mean())
            if len(waiting) < compute.steps_per_look and step + 1 < steps_per_epoch:
                continue
            looked_at = look_at(waiting)
            waiting.clear()
            if not all(map(math.isfinite, looked_at)):
                raise TrainingFailed(
                    f"the loss became {looked_at[-1]} in epoch {epoch + 1}, by step {step + 1} of {steps_per_epoch} "
                    f"(learning rate {rate:.3g})"
                )
            sum_losses += sum(looked_at)
            on_step(
                StepLog(
                    epoch=epoch + 1,
                    step=step + 1,
                    num_steps=steps_per_epoch,
                    loss=sum(looked_at) / len(looked_at),
                )
            )
    return sum_losses / steps_per_epoch, rate
