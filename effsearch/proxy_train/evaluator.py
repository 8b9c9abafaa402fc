"""What is a network's score after little training?

`ProxyEvaluator` is what the search is handed: spec, fidelity and seed in, score out. It pickles as a path, a few
numbers and a device's name, and opens the images once in each process. Only `evaluate_on_test` looks at test images.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path

from torch import nn

from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.device import Compute, compute_on, release_memory, resolve_device
from effsearch.proxy_train.device_names import DeviceKind
from effsearch.proxy_train.memory import memory_as_failure
from effsearch.proxy_train.score import Score, normalisation_of, opened_images, score_on_split
from effsearch.proxy_train.short_training import computed_by, train_proxy, uses_kernels
from effsearch.proxy_train.train import TrainSettings, with_batch_share
from effsearch.proxy_train.weights import to_bytes
from effsearch.space.outcome import Fidelity, Precision, ProxyResult
from effsearch.space.spec import ModelSpec


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
            weights = to_bytes(training.model, computed_by(compute)) if self.keeps_weights else None
        return ProxyResult(
            val_accuracy=val.accuracy,
            val_loss=val.loss,
            train_seconds=training.train_seconds,
            num_images_seen=training.num_images_seen,
            used_kernels=uses_kernels(compute),
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
