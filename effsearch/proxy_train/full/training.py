"""What is one full training, which network does it train, and does its batch fit?"""

import dataclasses
from dataclasses import dataclass

from effsearch.proxy_train.full.group import ALONE, Group
from effsearch.proxy_train.full.recipe import Recipe
from effsearch.space.errors import UsageError
from effsearch.space.spec import ModelSpec

NORM_MOMENTUM = 0.1  # of recipes that set aside the network's own regularisation; as in a search's trainings


@dataclass(frozen=True, slots=True, kw_only=True)
class FullTraining:
    """One training, but for the network and the images."""

    recipe: Recipe
    resolution: int  # that is trained for and scored at, pixels
    dropout_rate: float = 0.0  # the network's own, for recipes that leave it alone
    num_parts: int = 1  # that the batch of a step is computed in, one after another
    seed: int = 0


def for_recipe(spec: ModelSpec, recipe: Recipe) -> ModelSpec:
    """Give a network as a recipe trains it: with its own dropout, stochastic depth and norm momentum, or without."""
    if recipe.keeps_regularisation:
        return spec
    return dataclasses.replace(
        spec,
        head=dataclasses.replace(spec.head, dropout_rate=0.0),
        drop_path_rate=0.0,
        norm_momentum=NORM_MOMENTUM,
    )


def fill_batch(recipe: Recipe, asked: int | None, *, num_images: int) -> int:
    """Give the images of a step: as asked, else the recipe's, halved until the training images fill it."""
    if asked is not None:
        return asked
    batch_size = recipe.batch_size
    while batch_size > max(2, num_images):
        batch_size //= 2
    return batch_size


def check_batch(training: FullTraining, *, num_images: int, group: Group = ALONE) -> None:
    """Refuse a batch that does not go into its parts and processes, or that there are too few images for.

    Raises:
        UsageError: It is one.
    """
    batch, num_shares = training.recipe.batch_size, training.num_parts * group.size
    if training.num_parts < 1:
        raise UsageError(f"--accumulate must be at least 1, got {training.num_parts}")
    if batch % num_shares or batch // num_shares < 2:
        parts = f"--accumulate {training.num_parts}"
        if group.size > 1:
            parts += f" times {group.size} processes"
        raise UsageError(f"--batch-size {batch} does not go into {parts} with at least 2 images each")
    if batch > num_images:
        raise UsageError(f"--batch-size {batch} is more than there are training images: {num_images}")
