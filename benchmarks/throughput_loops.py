"""Which networks does the throughput benchmark train, and by which loops?

`ours` is effsearch's as a search runs it, `memory` and `jpegs` are those that a user would write (`rival_loops`).
"""

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from macro_data import spec_of
from rival_loops import train_from_jpegs, train_from_memory
from torch import Tensor, nn

from effsearch.proxy_train.augment import to_input
from effsearch.proxy_train.batches import choose_rows
from effsearch.proxy_train.build import build_model
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.kernels.switch import turned_off
from effsearch.proxy_train.score import normalisation_of
from effsearch.proxy_train.short_training import for_short_training
from effsearch.proxy_train.train import TrainingStopped, TrainSettings, narrow_classifier, train_model
from effsearch.proxy_train.worker import prepare_worker
from effsearch.space.cost import layer_cost
from effsearch.space.layer import Layer
from effsearch.space.layers import layers
from effsearch.space.outcome import Fidelity
from effsearch.space.presets import load_preset
from effsearch.space.proxy import proxy_spec
from effsearch.space.space_text import space_from_yaml
from effsearch.space.spec import ModelSpec

NAME = "proxy_throughput"  # of the records
Loop = Literal["jpegs", "memory", "ours"]
LOOPS: tuple[Loop, ...] = ("jpegs", "memory", "ours")

NUM_IMAGES = 10_000
ENDLESS_EPOCHS = 1_000
EXAMPLES = Path(__file__).parent.parent / "examples"


def networks() -> dict[str, ModelSpec]:
    """Give the networks as they train, at 32 pixels with 10 classes."""
    as_proxy = partial(proxy_spec, num_classes=10)
    whole = Fidelity(num_images=NUM_IMAGES, num_epochs=1, resolution=32)
    small = Fidelity(num_images=NUM_IMAGES, num_epochs=1, resolution=32, num_removed_strides=2)
    space = space_from_yaml((EXAMPLES / "small_space.yaml").read_text(), source="small_space.yaml")
    middle = tuple(len(dimension.labels) // 2 for dimension in space.dimensions)
    found = {
        "b0": as_proxy(load_preset("efficientnet-b0"), small),
        "macro-21121212": as_proxy(spec_of("21121212"), whole),
        "macro-11111111": as_proxy(spec_of("11111111"), whole),
        "demo": as_proxy(space.spec_at(middle, resolution=128, num_classes=10), small),
    }
    settings = TrainSettings()
    return {name: for_short_training(spec, settings) for name, spec in found.items()}


def backward_multiply_adds(layer: Layer) -> int:
    """Count a layer's multiply-adds backward: to its weights and to its input, but nobody asks what images want."""
    return layer_cost(layer).multiply_adds * (1 if layer.scope == "stem" else 2)


def training_multiply_adds(spec: ModelSpec) -> int:
    """Count the multiply-adds of one image in a training step, forward and backward."""
    return sum(layer_cost(layer).multiply_adds + backward_multiply_adds(layer) for layer in layers(spec))


def train(
    loop: Loop,
    spec: ModelSpec,
    images: ImageData,
    jpegs: Path,
    *,
    num_epochs: int | None,
    seed: int,
    should_stop: Callable[[], bool] = lambda: False,
) -> nn.Module:
    """Train a fresh network by one of the loops.

    Args:
        loop: By which; call `prepare` first.
        spec: Network as it trains.
        images: Of which the first two loops take NUM_IMAGES.
        jpegs: Folder of the same images, for the third.
        num_epochs: Of NUM_IMAGES; None goes on until it is stopped.
        seed: Of weights, order and augmentation.
        should_stop: Asked before each step.
    """
    settings = TrainSettings()
    model = build_model(spec, seed=seed)
    narrow_classifier(model)
    normalisation = normalisation_of(images)
    if loop == "ours":
        with contextlib.suppress(TrainingStopped):
            train_model(
                model,
                images.train,
                settings=settings,
                normalisation=normalisation,
                resolution=spec.resolution,
                num_images=NUM_IMAGES,
                num_epochs=num_epochs or ENDLESS_EPOCHS,
                seed=seed,
                should_stop=should_stop,
            )
        return model
    num_steps = None if num_epochs is None else num_epochs * (NUM_IMAGES // settings.batch_size)
    with turned_off():
        if loop == "memory":
            pixels, labels = in_memory(images, spec.resolution)
            train_from_memory(
                model,
                pixels,
                labels,
                settings=settings,
                num_steps=num_steps,
                should_stop=should_stop,
                seed=seed,
            )
        else:
            train_from_jpegs(
                model,
                jpegs,
                settings=settings,
                mean=torch.tensor(normalisation.mean),
                std=torch.tensor(normalisation.std),
                num_steps=num_steps,
                should_stop=should_stop,
            )
    return model


def prepare(loop: Loop, num_threads: int) -> None:
    """Make this process ready for a loop: ours prepares it as a search does, which the others know nothing of."""
    torch.set_num_threads(num_threads)
    if loop == "ours":
        prepare_worker()


def in_memory(images: ImageData, resolution: int) -> tuple[Tensor, Tensor]:
    """Give the training images as the plain loop keeps them: normalised, float32, channels-last."""
    rows = choose_rows(images.train.labels, NUM_IMAGES)
    pixels = torch.from_numpy(np.array(images.train.images[rows]))
    inputs = to_input(pixels, normalisation=normalisation_of(images), resolution=resolution)
    return inputs, torch.from_numpy(np.array(images.train.labels[rows]))
