"""What tests of full training share: a data set in memory, a recipe of three epochs, and a network without norms."""

import dataclasses
from pathlib import Path

import torch
from torch import nn

from effsearch.proxy_train.build import build_model
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.full.loop import train_fully
from effsearch.proxy_train.full.recipe import FAST, recipe_of
from effsearch.proxy_train.full.training import FullTraining

from ..conftest import SMALL_SPEC, coloured_split

SHORT = dataclasses.replace(FAST, num_epochs=3, batch_size=24)
GROWING = dataclasses.replace(
    recipe_of("efficientnetv2", num_parameters=54_000_000), num_epochs=4, batch_size=24
)


def some_images(num_images: int = 96, *, side: int = 10) -> ImageData:
    """Give a data set whose images lie in memory."""
    return ImageData(
        train=coloured_split(num_images, side=side),
        val=coloured_split(30, side=side),
        test=coloured_split(30, side=side),
        class_names=("red", "green", "blue"),
        resolution=side,
        fingerprint="0",
        name="colours",
        native_resolution=side,
        channel_mean=(0.4, 0.4, 0.4),
        channel_std=(0.25, 0.25, 0.25),
        num_left_out=0,
        handle=Path("nowhere"),
    )


def normless(*, seed: int = 0) -> nn.Module:
    """Give a network whose answer to an image does not depend on the rest of the batch."""
    torch.manual_seed(seed)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.SiLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)
    )


def train_small(folder: Path, *, model=None, images=None, recipe=SHORT, num_parts=1, seed=0, **more):
    """Train a small network in a folder; give it and what each epoch came to."""
    model = build_model(SMALL_SPEC, seed=seed) if model is None else model
    training = FullTraining(recipe=recipe, resolution=10, dropout_rate=0.1, num_parts=num_parts, seed=seed)
    rows = train_fully(model, images or some_images(), training, folder=folder, **more)
    return model, rows
