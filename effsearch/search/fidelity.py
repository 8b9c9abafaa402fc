"""How much training should one score be bought with?

Rungs go from dear to cheap. A search takes the dearest rung at which the time it was given buys enough trainings;
without a time it takes a fixed one, so that nothing hangs on how fast the machine happened to be. Smaller maps are
tried before narrower networks: on NAS-Bench-Macro half the size ranked with tau .54 where half the width gave .37.
"""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt

from effsearch.space.outcome import ContinuedFidelity, Evaluation, Fidelity
from effsearch.space.small_images import count_removable_strides
from effsearch.space.spec import ModelSpec

ENOUGH_TRAININGS = 30
ENOUGH_AFTER_SCREENING = 6  # long ones, among the few that a supernet likes best: short ones mislead
TRAININGS_OF_TWO_RUNGS, TRAININGS_OF_THREE_RUNGS = 20, 80
LEAST_RESOLUTION = 16  # pixels, of a cheap rung


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """A proxy before it meets the data: last map, resolution, width, images and epochs."""

    min_map: int  # pixels on a side of the last feature map, where strides may come off
    resolution: float = 1.0  # share of the images' size, of which 16 px are kept
    width: float = 1.0
    num_images: int  # at the most; a smaller training set is used whole
    num_epochs: int


LADDER: tuple[Rung, ...] = (
    Rung(min_map=4, num_images=40_000, num_epochs=10),
    Rung(min_map=4, num_images=20_000, num_epochs=6),
    Rung(min_map=2, num_images=20_000, num_epochs=6),
    Rung(min_map=2, num_images=10_000, num_epochs=6),
    Rung(min_map=2, num_images=8_000, num_epochs=4),
    Rung(min_map=1, num_images=10_000, num_epochs=6),
    Rung(min_map=1, resolution=0.5, num_images=20_000, num_epochs=4),
    Rung(min_map=1, resolution=0.5, num_images=10_000, num_epochs=4),
    Rung(min_map=1, resolution=0.5, num_images=8_000, num_epochs=3),
    Rung(min_map=1, resolution=0.5, num_images=5_000, num_epochs=3),
    Rung(min_map=1, resolution=0.5, width=0.5, num_images=5_000, num_epochs=3),
    Rung(min_map=1, resolution=0.5, width=0.5, num_images=3_000, num_epochs=2),
    Rung(min_map=1, resolution=0.5, width=0.25, num_images=2_000, num_epochs=2),
    Rung(min_map=1, resolution=0.5, width=0.25, num_images=1_000, num_epochs=1),
)
DEFAULT_RUNG = LADDER[4]


@dataclass(frozen=True, slots=True, kw_only=True)
class FidelityChoice:
    """A fidelity, and what the asked time buys of it."""

    fidelity: Fidelity
    seconds: float  # of one training, as measured
    num_trainings: int  # within the asked time, confirmation included
    num_rungs_down: int  # rungs given up to get enough trainings


def make_fidelity(
    rung: Rung,
    base: ModelSpec,
    *,
    resolution: int,
    num_train_images: int,
    has_fixed_strides: bool,
    min_map: int | None = None,
) -> Fidelity:
    """Give what a rung comes to for a base network and a data set; `min_map` replaces the rung's own."""
    wanted_map = rung.min_map if min_map is None else min_map
    resolution = max(min(LEAST_RESOLUTION, resolution), round(rung.resolution * resolution))
    num_removed = (
        0 if has_fixed_strides else count_removable_strides(base, resolution=resolution, min_map=wanted_map)
    )
    return Fidelity(
        num_images=min(rung.num_images, num_train_images),
        num_epochs=rung.num_epochs,
        resolution=resolution,
        width=rung.width,
        num_removed_strides=num_removed,
    )


def relative_cost(fidelity: Fidelity) -> float:
    """Give what a training from fresh weights costs beside others of the same widths and strides.

    Images seen times pixels, all stages together.
    """
    return sum(_stage_cost(stage) for stage in fidelity.stages)


def cost_of(evaluation: Evaluation) -> float:
    """Give what an ended training has cost, in the same measure: its last stage alone where it found a checkpoint."""
    fidelity = evaluation.job.fidelity
    if evaluation.result is not None and evaluation.result.from_checkpoint:
        return _stage_cost(fidelity.stages[-1])
    return relative_cost(fidelity)


def _stage_cost(stage: Fidelity) -> float:
    return stage.num_images * stage.num_epochs * float(stage.resolution) ** 2


def default_num_rungs(num_trainings: int) -> int:
    """Give how many rungs so many trainings at the top one are worth: few are better spent at the top alone."""
    return 1 + (num_trainings >= TRAININGS_OF_TWO_RUNGS) + (num_trainings >= TRAININGS_OF_THREE_RUNGS)


def make_rungs(top: Fidelity, *, num_rungs: int, reduction: int) -> tuple[Fidelity, ...]:
    """Give the rungs of a ladder, cheap to dear; each costs about one `reduction`-th of the next.

    Going down, the resolution shrinks first, by a factor of sqrt(2) a rung and to 16 px at the least, then the
    epochs, then the images. Every rung has a learning-rate schedule of its own over its own epochs. Rungs that come
    out equal are one.
    """
    rungs = [top]
    for _ in range(num_rungs - 1):
        above = rungs[-1]
        resolution = max(min(LEAST_RESOLUTION, above.resolution), round(above.resolution / sqrt(2)))
        left = reduction * (resolution / above.resolution) ** 2  # what epochs and images still have to save
        num_epochs = max(1, round(above.num_epochs / max(1.0, left)))
        left = max(1.0, left * num_epochs / above.num_epochs)
        num_images = max(1, round(above.num_images / left))
        rungs.append(
            dataclasses.replace(above, resolution=resolution, num_epochs=num_epochs, num_images=num_images)
        )
    return tuple(dict.fromkeys(reversed(rungs)))


def continue_rungs(rungs: Sequence[Fidelity]) -> tuple[Fidelity, ...]:
    """Give the same rungs, each going on from the weights that the one below leaves.

    A rung's epochs are fewer by what those below it have cost, to the nearest epoch and at least one: so all stages
    together cost about what the rung did from fresh weights, and more where that was an epoch or two.
    """
    continued = [rungs[0]]
    for rung in rungs[1:]:
        cost_of_epoch = relative_cost(rung) / rung.num_epochs
        num_epochs = max(1, round(rung.num_epochs - relative_cost(continued[-1]) / cost_of_epoch))
        own = dataclasses.asdict(rung) | {"num_epochs": num_epochs}
        continued.append(ContinuedFidelity(continues=continued[-1], **own))
    return tuple(continued)


def choose_fidelity(
    rungs: Sequence[Fidelity],
    seconds_of: Callable[[Fidelity], float],
    *,
    minutes: float,
    num_workers: int,
    enough: int = ENOUGH_TRAININGS,
) -> FidelityChoice:
    """Take the dearest fidelity of which the time buys enough trainings, else the cheapest.

    Args:
        rungs: Fidelities, dear to cheap, at least one.
        seconds_of: Measures or predicts the seconds of one training.
        minutes: Time asked for, all trainings together.
        num_workers: Trainings side by side.
        enough: Trainings wanted.
    """
    for index, fidelity in enumerate(rungs):
        seconds = seconds_of(fidelity)
        num_trainings = int(minutes * 60 * num_workers / max(seconds, 1e-9))
        if num_trainings >= enough or index == len(rungs) - 1:
            return FidelityChoice(
                fidelity=fidelity, seconds=seconds, num_trainings=num_trainings, num_rungs_down=index
            )
    raise AssertionError("no rungs")
