"""How good does a network look after little training?

`ProxyEvaluator` is what the search is handed: spec, fidelity and seed in, score out. It pickles as a path, a few
numbers and a device's name, and opens the images once in each process. Only `evaluate_on_test` looks at test images.
"""

import dataclasses
import math
import time
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from effsearch import __version__
from effsearch.proxy_train.augment import Normalisation, to_input
from effsearch.proxy_train.batches import choose_rows, open_on, send_rows
from effsearch.proxy_train.build import Network, build_model
from effsearch.proxy_train.data.datasets import ImageData, Split, open_images
from effsearch.proxy_train.device import ON_CPU, Compute, compute_on, release_memory, resolve_device
from effsearch.proxy_train.device_names import DeviceKind
from effsearch.proxy_train.kernels import switch
from effsearch.proxy_train.memory import memory_as_failure
from effsearch.proxy_train.train import TrainSettings, narrow_classifier, train_model, with_batch_share
from effsearch.proxy_train.weights import take_weights, to_bytes
from effsearch.space.outcome import Fidelity, Precision, ProxyResult, TrainingFailed, derive_seed
from effsearch.space.preprocessing import Preprocessing
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
    device: DeviceKind = "cpu"
    precision: Precision = "float32"  # on a CPU; see `Compute`
    checkpoint: bytes | None = field(default=None, repr=False)  # what a continued fidelity goes on from
    keeps_weights: bool = False

    def __call__(self, spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        """Give the score of a network.

        Args:
            spec: Network as it is meant; what is trained in its place is `proxy_spec`'s.
            fidelity: How much training to spend.
            seed: Of weights, order, augmentation, dropout and stochastic depth.

        Raises:
            TrainingFailed: The loss was not finite, or memory ran out.
            RunError: The decoded images are gone.
            UsageError: There is no such device.
        """
        images = opened_images(self.handle)
        compute = compute_on(resolve_device(self.device), self.precision)
        release_memory(compute.device)  # of the training before, however it ended
        with memory_as_failure():
            training = train_proxy(
                images, spec, fidelity, seed, self.settings, compute, checkpoint=self.checkpoint
            )
            val = _score_val(training.model, images, fidelity, self.settings, compute)
            weights = to_bytes(training.model, _computed_by(compute)) if self.keeps_weights else None
        return ProxyResult(
            val_accuracy=val.accuracy,
            val_loss=val.loss,
            train_seconds=training.train_seconds,
            num_images_seen=training.num_images_seen,
            used_kernels=_uses_kernels(compute),
            precision=compute.precision,
            from_checkpoint=training.from_checkpoint,
            weights=weights,
        )

    def with_batch_share(self, share: float) -> "ProxyEvaluator":
        """Give one that trains with a share of the batch, for networks that memory is too small for otherwise."""
        return dataclasses.replace(self, settings=with_batch_share(self.settings, share))

    def with_weights(self, checkpoint: bytes | None, *, keeps_weights: bool) -> "ProxyEvaluator":
        """Give one that goes on from weights, or leaves them to go on from, or both."""
        return dataclasses.replace(self, checkpoint=checkpoint, keeps_weights=keeps_weights)


def evaluate_on_test(
    evaluator: ProxyEvaluator, spec: ModelSpec, fidelity: Fidelity, seed: int
) -> FinalResult:
    """Train as `evaluator` would and score all test images: for the final report, never for a choice.

    Raises:
        TrainingFailed: The loss was not finite, or memory ran out.
        RunError: The decoded images are gone.
        UsageError: There is no such device.
    """
    images = opened_images(evaluator.handle)
    compute = compute_on(resolve_device(evaluator.device), evaluator.precision)
    release_memory(compute.device)  # of the training before, however it ended
    with memory_as_failure():
        training = train_proxy(images, spec, fidelity, seed, evaluator.settings, compute)
        val = _score_val(training.model, images, fidelity, evaluator.settings, compute)
        test = score_on_split(
            training.model,
            images.test,
            normalisation=normalisation_of(images),
            resolution=fidelity.resolution,
            max_images=len(images.test),
            compute=compute,
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
    from_checkpoint: bool | None  # None: the fidelity continues no other


def train_proxy(
    images: ImageData,
    spec: ModelSpec,
    fidelity: Fidelity,
    seed: int,
    settings: TrainSettings,
    compute: Compute = ON_CPU,
    *,
    checkpoint: bytes | None = None,
) -> ProxyTraining:
    """Build and train what stands in for a network at a fidelity.

    Args:
        images: The data.
        spec: Network as it is meant.
        fidelity: Its stages are trained one after another.
        seed: Of weights, and of order, augmentation, dropout and stochastic depth, which differ between the stages.
        settings: How to train.
        compute: Device, and by which means it computes.
        checkpoint: What all stages but the last come to, with the same of everything else: it saves their time and
            on a CPU changes nothing. Another network's is passed over, and one of another arithmetic.
    """
    trained_spec = proxy_spec(spec, fidelity, num_classes=images.num_classes)
    model = build_model(for_short_training(trained_spec, settings), seed=seed)
    narrow_classifier(model)
    model = model.to(compute.device)
    stages = list(enumerate(fidelity.stages))
    is_continued = len(stages) > 1
    from_checkpoint = (
        is_continued and checkpoint is not None and take_weights(model, checkpoint, _computed_by(compute))
    )
    start = time.perf_counter()
    num_images_seen = 0
    for index, stage in stages[-1:] if from_checkpoint else stages:
        logs = train_model(
            model,
            images.train,
            settings=settings,
            normalisation=normalisation_of(images),
            resolution=stage.resolution,
            num_images=stage.num_images,
            num_epochs=stage.num_epochs,
            seed=stage_seed(seed, index),
            compute=compute,
        )
        num_images_seen += logs[-1].num_images_seen
    return ProxyTraining(
        model=model,
        train_seconds=time.perf_counter() - start,
        num_images_seen=num_images_seen,
        from_checkpoint=from_checkpoint if is_continued else None,
    )


def stage_seed(seed: int, index: int) -> int:
    """Give the seed of a training's stage, from 0, from that of the training: the first stage has the same."""
    return seed if index == 0 else derive_seed(seed, "stage", index)


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
    compute: Compute = ON_CPU,
) -> Score:
    """Score a trained network on at most `max_images` images, always the same; it is left in eval mode.

    In float32 on every device: forward passes are a small share of a training, and rounding moves close calls.

    Raises:
        TrainingFailed: The network gives scores that are not finite.
    """
    rows = choose_rows(split.labels, max_images)
    images = open_on(split, compute)
    by_batch = []  # on the device: right answers, sums of losses and of capped losses
    model.eval()
    with torch.inference_mode():
        for batch in send_rows(rows, SCORE_BATCH, images=images):
            pixels, labels = images.take(batch)
            scores = model(to_input(pixels, normalisation=normalisation, resolution=resolution))
            losses = functional.cross_entropy(scores, labels, reduction="none")
            capped = losses.clamp(max=math.log(scores.shape[1]))
            by_batch.append(torch.stack([(scores.argmax(1) == labels).sum(), losses.sum(), capped.sum()]))
    num_right, sum_losses, sum_capped = 0, 0.0, 0.0
    for right, of_losses, of_capped in torch.stack(by_batch).tolist():
        num_right += int(right)
        sum_losses += of_losses
        sum_capped += of_capped
    loss = sum_losses / len(rows)
    if not math.isfinite(loss):
        raise TrainingFailed(f"the trained network's loss on images it has not seen is {loss}")
    return Score(
        accuracy=num_right / len(rows), loss=loss, capped_loss=sum_capped / len(rows), num_images=len(rows)
    )


def normalisation_of(images: ImageData) -> Normalisation:
    """Give what a data set's images are normalised by."""
    return Normalisation(mean=images.channel_mean, std=images.channel_std)


def preprocessing_of(images: ImageData, *, resolution: int) -> Preprocessing:
    """Give how validation images become inputs of a network, for whoever uses it elsewhere."""
    return Preprocessing(
        class_names=images.class_names,
        mean=images.channel_mean,
        std=images.channel_std,
        stored_resolution=images.resolution,
        resolution=resolution,
        data=images.name,
        data_fingerprint=images.fingerprint,
    )


@lru_cache(maxsize=2)
def opened_images(handle: Path) -> ImageData:
    """Give the images at a handle, opened once in each process."""
    return open_images(handle)


def _uses_kernels(compute: Compute) -> bool:
    return compute.device.type == "cpu" and switch.is_on()


def _computed_by(compute: Compute) -> dict[str, str]:
    """Give what weights hang on beside network, data, settings, fidelity and seed: workers may differ in it."""
    return {
        "effsearch": __version__,
        "torch": str(torch.__version__),
        "device": compute.device.type,
        "precision": compute.precision,
        "used_kernels": str(_uses_kernels(compute)),
    }


def _score_val(
    model: nn.Module, images: ImageData, fidelity: Fidelity, settings: TrainSettings, compute: Compute
) -> Score:
    return score_on_split(
        model,
        images.val,
        normalisation=normalisation_of(images),
        resolution=fidelity.resolution,
        max_images=settings.max_val_images,
        compute=compute,
    )
