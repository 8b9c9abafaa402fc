"""How does a full training go, from its first epoch or from where it stopped?

On one CPU thread a training that was stopped and goes on gives the same weights to the bit. After each epoch the
first process scores and writes.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn

from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.device import ON_CPU, Compute
from effsearch.proxy_train.full.average import WeightAverage
from effsearch.proxy_train.full.checkpoint import EpochRow, TrainState, load_last, save_epoch, settle_best
from effsearch.proxy_train.full.epoch import StepLog, set_dropout, train_epoch
from effsearch.proxy_train.full.group import ALONE, Group
from effsearch.proxy_train.full.recipe import Recipe
from effsearch.proxy_train.full.rmsprop import RMSProp
from effsearch.proxy_train.full.schedule import Stage, stage_of
from effsearch.proxy_train.full.score import FullScore, score_fully
from effsearch.proxy_train.full.training import FullTraining, check_batch
from effsearch.proxy_train.score import normalisation_of, preprocessing_of


def no_rows(rows: Sequence[EpochRow]) -> None:
    """Nothing: the default where nobody watches."""


def no_step(log: StepLog) -> None:
    """Nothing: the default where nobody watches."""


def train_fully(
    model: nn.Module,
    images: ImageData,
    training: FullTraining,
    *,
    folder: Path,
    compute: Compute = ON_CPU,
    group: Group = ALONE,
    clock: Callable[[], float] = time.perf_counter,
    on_epoch: Callable[[Sequence[EpochRow]], None] = no_rows,
    on_step: Callable[[StepLog], None] = no_step,
) -> list[EpochRow]:
    """Train a network in place as a recipe says, and give what each epoch came to, earlier calls' too.

    Args:
        model: With the weights to begin with, on the device.
        images: Of which all training images are trained on, and all validation images scored.
        training: How.
        folder: Of the checkpoints; what is there is gone on with.
        compute: Device, and by which means it computes.
        group: The processes that train it together; each reads the folder, the first one writes.
        clock: Seconds.
        on_epoch: Called with all epochs so far after each of this call, in the first process, once it is on the disk.
        on_step: Called now and then.

    Raises:
        TrainingFailed: The loss was not finite.
        UsageError: The batch does not go into its parts, or is larger than the data.
        RunError: A checkpoint is damaged or cannot be written.
    """
    recipe = training.recipe
    check_batch(training, num_images=len(images.train), group=group)
    average = WeightAverage(model, decay=recipe.average_decay) if recipe.average_decay else None
    state = TrainState(model, make_optimizer(model, recipe), average)
    load_last(state, folder)
    if group.is_first:
        settle_best(state, folder)
    about = {"preprocessing": preprocessing_of(images, resolution=training.resolution).to_json()}
    wrapped = group.wrap(model)
    normalisation = normalisation_of(images)
    for epoch in range(len(state.rows), recipe.num_epochs):
        stage = stage_of(epoch, recipe, resolution=training.resolution, dropout_rate=training.dropout_rate)
        set_dropout(model, stage.dropout_rate)
        started = clock()
        train_loss, rate = train_epoch(
            state, wrapped, images, training, stage, epoch, compute=compute, group=group, on_step=on_step
        )
        seconds = clock() - started
        num_images = len(images.train) // recipe.batch_size * recipe.batch_size
        train_loss = group.mean(train_loss)
        if group.is_first:
            scores: list[FullScore] = [
                score_fully(
                    one,
                    images.val,
                    normalisation=normalisation,
                    resolution=training.resolution,
                    compute=compute,
                )
                for one in (model, *([] if average is None else [average.model]))
            ]
            state.rows.append(
                _row(
                    epoch, train_loss, scores, rate=rate, stage=stage, seconds=seconds, num_images=num_images
                )
            )
            save_epoch(state, folder, about)
            on_epoch(state.rows)
        group.wait()
    return state.rows


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Give a recipe's optimizer of a network; vectors (norms and biases) do not decay."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": recipe.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if recipe.optimizer == "rmsprop":
        return RMSProp(
            groups,
            lr=0.0,
            square_decay=recipe.square_decay,
            momentum=recipe.momentum,
            epsilon=recipe.epsilon,
        )
    return torch.optim.SGD(groups, lr=0.0, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=True)


def _row(
    epoch: int,
    train_loss: float,
    scores: list[FullScore],
    *,
    rate: float,
    stage: Stage,
    seconds: float,
    num_images: int,
) -> EpochRow:
    own, average = scores[0], scores[1] if len(scores) > 1 else None
    return EpochRow(
        epoch=epoch + 1,
        train_loss=train_loss,
        val_loss=own.loss,
        val_accuracy=own.accuracy,
        val_top5=own.top5,
        average_loss=None if average is None else average.loss,
        average_accuracy=None if average is None else average.accuracy,
        average_top5=None if average is None else average.top5,
        learning_rate=rate,
        resolution=stage.resolution,
        magnitude=stage.magnitude,
        mixup=stage.mixup,
        dropout_rate=stage.dropout_rate,
        train_seconds=seconds,
        images_per_second=num_images / seconds if seconds > 0 else 0.0,
    )
