"""How good does a network look after little training?

`ProxyEvaluator` is what the search is handed: spec, fidelity and seed in, score out. It pickles as a path and a few
numbers, and opens the images once in each process. Only `evaluate_on_test` looks at test images.
"""

import dataclasses
import math
import time
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from effsearch.proxy_train.augment import Normalisation, to_input
from effsearch.proxy_train.build import Network, build_model
from effsearch.proxy_train.data.datasets import ImageData, Split, open_images
from effsearch.proxy_train.memory import memory_as_failure
from effsearch.proxy_train.train import (
    TrainSettings,
    choose_rows,
    load_batch,
    narrow_classifier,
    train_model,
)
from effsearch.space.outcome import Fidelity, ProxyResult, TrainingFailed
from effsearch.space.proxy import proxy_spec
from effsearch.space.spec import ModelSpec

SCORE_BATCH = 250


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """What a trained network gives on images it has not trained on."""

    accuracy: float  # top-1, in [0, 1]
    loss: float  # cross-entropy, nats, without label smoothing
    capped_loss: float  # the same, no image counted as worse than an even guess: ln(num_classes)
    num_images: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FinalResult:
    """What one training gave on images that no choice was made by."""

    test_accuracy: float  # top-1, in [0, 1]
    test_loss: float  # cross-entropy, nats, without label smoothing
    val_accuracy: float
    val_loss: float
    train_seconds: float


@dataclass(frozen=True, slots=True)
class ProxyEvaluator:
    """Trains a network for a little while and scores it on the validation images.

    The worker that calls one calls `prepare_worker` first: scores are to the last bit the same only on one thread.
    """

    handle: Path  # of the decoded images, `ImageData.handle`
    settings: TrainSettings

    def __call__(self, spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        """Give the score of a network.

        Args:
            spec: Network as it is meant; what is trained in its place is `proxy_spec`'s.
            fidelity: How much training to spend.
            seed: Of weights, order, augmentation, dropout and stochastic depth.

        Raises:
            TrainingFailed: The loss was not finite, or memory ran out.
            RunError: The decoded images are gone.
        """
        images = opened_images(self.handle)
        with memory_as_failure():
            training = train_proxy(images, spec, fidelity, seed, self.settings)
            val = _score_val(training.model, images, fidelity, self.settings)
        return ProxyResult(
            val_accuracy=val.accuracy,
            val_loss=val.loss,
            train_seconds=training.train_seconds,
            num_images_seen=training.num_images_seen,
        )


def evaluate_on_test(
    evaluator: ProxyEvaluator, spec: ModelSpec, fidelity: Fidelity, seed: int
) -> FinalResult:
    """Train as `evaluator` would and score all test images: for the final report, never for a choice.

    Raises:
        TrainingFailed: The loss was not finite, or memory ran out.
        RunError: The decoded images are gone.
    """
    images = opened_images(evaluator.handle)
    with memory_as_failure():
        training = train_proxy(images, spec, fidelity, seed, evaluator.settings)
        val = _score_val(training.model, images, fidelity, evaluator.settings)
        test = score_on_split(
            training.model,
            images.test,
            normalisation=normalisation_of(images),
            resolution=fidelity.resolution,
            max_images=len(images.test),
        )
    return FinalResult(
        test_accuracy=test.accuracy,
        test_loss=test.loss,
        val_accuracy=val.accuracy,
        val_loss=val.loss,
        train_seconds=training.train_seconds,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyTraining:
    """A network after its training, and what that took."""

    model: Network
    train_seconds: float
    num_images_seen: int


def train_proxy(
    images: ImageData, spec: ModelSpec, fidelity: Fidelity, seed: int, settings: TrainSettings
) -> ProxyTraining:
    """Build and train what stands in for a network at a fidelity."""
    trained_spec = proxy_spec(spec, fidelity, num_classes=images.num_classes)
    model = build_model(for_short_training(trained_spec, settings), seed=seed)
    narrow_classifier(model)
    start = time.perf_counter()
    logs = train_model(
        model,
        images.train,
        settings=settings,
        normalisation=normalisation_of(images),
        resolution=fidelity.resolution,
        num_images=fidelity.num_images,
        num_epochs=fidelity.num_epochs,
        seed=seed,
    )
    return ProxyTraining(
        model=model,
        train_seconds=time.perf_counter() - start,
        num_images_seen=logs[-1].num_images_seen,
    )


def for_short_training(spec: ModelSpec, settings: TrainSettings) -> ModelSpec:
    """Give a network with the dropout, stochastic depth and norm momentum of the settings in place of its own."""
    return dataclasses.replace(
        spec,
        head=dataclasses.replace(spec.head, dropout_rate=settings.dropout_rate),
        drop_path_rate=settings.drop_path_rate,
        norm_momentum=settings.norm_momentum,
    )


def score_on_split(
    model: nn.Module,
    split: Split,
    *,
    normalisation: Normalisation,
    resolution: int,
    max_images: int,
) -> Score:
    """Score a trained network on at most `max_images` images, always the same; it is left in eval mode.

    Raises:
        TrainingFailed: The network gives scores that are not finite.
    """
    rows = choose_rows(split.labels, max_images)
    num_right, sum_losses, sum_capped = 0, 0.0, 0.0
    model.eval()
    with torch.inference_mode():
        for start in range(0, len(rows), SCORE_BATCH):
            pixels, labels = load_batch(split, rows[start : start + SCORE_BATCH])
            scores = model(to_input(pixels, normalisation=normalisation, resolution=resolution))
            num_right += int((scores.argmax(1) == labels).sum())
            losses = functional.cross_entropy(scores, labels, reduction="none")
            sum_losses += losses.sum().item()
            sum_capped += losses.clamp(max=math.log(scores.shape[1])).sum().item()
    loss = sum_losses / len(rows)
    if not math.isfinite(loss):
        raise TrainingFailed(f"the trained network's loss on images it has not seen is {loss}")
    return Score(
        accuracy=num_right / len(rows), loss=loss, capped_loss=sum_capped / len(rows), num_images=len(rows)
    )


def normalisation_of(images: ImageData) -> Normalisation:
    """Give what a data set's images are normalised by."""
    return Normalisation(mean=images.channel_mean, std=images.channel_std)


@lru_cache(maxsize=2)
def opened_images(handle: Path) -> ImageData:
    """Give the images at a handle, opened once in each process."""
    return open_images(handle)


def _score_val(model: nn.Module, images: ImageData, fidelity: Fidelity, settings: TrainSettings) -> Score:
    return score_on_split(
        model,
        images.val,
        normalisation=normalisation_of(images),
        resolution=fidelity.resolution,
        max_images=settings.max_val_images,
    )
