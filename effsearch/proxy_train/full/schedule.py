"""What holds at a place of a training: which learning rate, and which stage of what grows?"""

import math
from dataclasses import dataclass

from effsearch.proxy_train.full.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What an epoch is trained with."""

    resolution: int  # pixels
    magnitude: float  # of RandAugment
    mixup: float  # alpha; 0 mixes nothing
    dropout_rate: float  # before the classifier


def rate_share(step: int, num_steps: int, recipe: Recipe) -> float:
    """Give the share of the peak learning rate in a step, from 0; it is never quite zero.

    The steps stand in the middle of their share of the way. An exponential decay counts from the first step on, so
    that the warm-up ends where the decay has come to.

    Source:
        Stairs rather than a slope, and the decay below the warm-up: tensorflow/tpu, models/official/efficientnet. Its
        rate rises to the peak and falls to the decay's value at once: by 6 per cent of 350 epochs, but 35 of 30.
    """
    way = (step + 0.5) / num_steps
    warmup = warmup_share(recipe)
    if recipe.schedule == "exponential":
        decayed = recipe.decay_rate ** math.floor(max(way, warmup) / recipe.decay_share)
        return decayed * min(1.0, way / warmup)
    return way / warmup if way < warmup else (1 - way) / (1 - warmup)


def warmup_share(recipe: Recipe) -> float:
    """Give the share of a training in which the learning rate rises."""
    return min(recipe.max_warmup_share, recipe.warmup_epochs / recipe.num_epochs)


def stage_of(epoch: int, recipe: Recipe, *, resolution: int, dropout_rate: float) -> Stage:
    """Give what an epoch, from 0, is trained with.

    Args:
        epoch: Below the recipe's number; where there are fewer epochs than stages, the last ones are kept.
        recipe: Says how many stages there are, and what grows from where to where.
        resolution: Pixels of the last stage.
        dropout_rate: The network's own, for recipes that leave it alone.

    Source:
        arXiv:2104.00298, algorithm 1: all in equal steps from the first stage to the last.
    """
    progress = recipe.progress
    num_stages = min(progress.num_stages, recipe.num_epochs)
    index = epoch * num_stages // recipe.num_epochs
    way = index / (num_stages - 1) if num_stages > 1 else 1.0

    def between(ends: tuple[float, float]) -> float:
        return ends[0] + way * (ends[1] - ends[0])

    return Stage(
        resolution=max(1, round(between((progress.first_size_share, 1.0)) * resolution)),
        magnitude=between(progress.magnitude),
        mixup=between(progress.mixup),
        dropout_rate=between(progress.dropout) if progress.dropout else dropout_rate,
    )
