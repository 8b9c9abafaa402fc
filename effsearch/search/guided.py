"""Which networks are worth a screening?

Half are drawn at random from the upper budget, half are those of which a model of the screening's own scores so far
expects the most. The random half keeps the model honest about what it has not seen.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from effsearch.search.surrogate import Surrogate, fit_surrogate
from effsearch.space.search_space import Point, SearchSpace

IntArray = NDArray[np.int64]

WAVE = 32  # networks between two fits of the model
ENOUGH_TO_FIT = 96
NUM_CANDIDATES = 2_000  # drawn for the model to choose from
MAX_EMPTY_WAVES = 5  # waves without a new network after which the space counts as exhausted


def guided_points(
    space: SearchSpace,
    scored: Mapping[Point, float],
    *,
    draw: Callable[[int], IntArray],
    is_new: Callable[[Point], bool],
    rng: np.random.Generator,
) -> Iterator[Point]:
    """Yield points to score, each once, until there is nothing new to draw.

    Args:
        space: Space of the points.
        scored: Grows while the caller takes points; higher is better.
        draw: Gives so many points inside the budget, (num_points, num_dimensions), with repeats.
        is_new: Tells whether a point's network is to be scored, and remembers it.
        rng: Decides between equals.
    """
    model: Surrogate | None = None
    num_empty = 0
    while num_empty < MAX_EMPTY_WAVES:
        wave = [point for point in as_points(draw(WAVE)) if is_new(point)]
        if len(scored) >= ENOUGH_TO_FIT:
            model = _fit(space, scored, model)
            candidates = np.unique(draw(NUM_CANDIDATES), axis=0)
            # A draw rather than the mean: what is uncertain gets its chance.
            worth = model.mean(candidates) + 0.1 * rng.standard_normal(len(candidates)) * np.std(
                list(scored.values())
            )
            for point in as_points(candidates[np.argsort(-worth)]):
                if len(wave) >= 2 * WAVE:
                    break
                if is_new(point):
                    wave.append(point)
        num_empty = 0 if wave else num_empty + 1
        yield from wave


def as_points(rows: IntArray) -> list[Point]:
    """Give the rows of an array of choice indices as points."""
    return [tuple(row) for row in rows.tolist()]


def _fit(space: SearchSpace, scored: Mapping[Point, float], previous: Surrogate | None) -> Surrogate:
    points = np.asarray(list(scored), dtype=np.int64)
    return fit_surrogate(
        points,
        np.asarray(list(scored.values())),
        num_choices=[len(dimension.labels) for dimension in space.dimensions],
        positions=space.positions(),
        previous=previous,
    )
