"""How is a network trained for a little while, in one stage or several?

A fidelity says how much; the stages before its last may be saved by weights that they have left (`weights`).
"""

import dataclasses
import time
from dataclasses import dataclass

import torch

from effsearch import __version__
from effsearch.proxy_train.build import Network, build_model
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.device import ON_CPU, Compute
from effsearch.proxy_train.kernels import switch
from effsearch.proxy_train.score import normalisation_of
from effsearch.proxy_train.train import TrainSettings, narrow_classifier, train_model
from effsearch.proxy_train.weights import take_weights
from effsearch.space.outcome import Fidelity, derive_seed
from effsearch.space.proxy import proxy_spec
from effsearch.space.spec import ModelSpec


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
        is_continued and checkpoint is not None and take_weights(model, checkpoint, computed_by(compute))
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


def uses_kernels(compute: Compute) -> bool:
    """Tell whether a training is computed by effsearch's own kernels."""
    return compute.device.type == "cpu" and switch.is_on()


def computed_by(compute: Compute) -> dict[str, str]:
    """Give what weights hang on beside network, data, settings, fidelity and seed: workers may differ in it."""
    return {
        "effsearch": __version__,
        "torch": str(torch.__version__),
        "device": compute.device.type,
        "precision": compute.precision,
        "used_kernels": str(uses_kernels(compute)),
    }
