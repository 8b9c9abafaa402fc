"""Which networks are worth a screening?

Half are drawn at random from the upper budget, half are those of which a model of the screening's own scores so far
expects the most. The random half keeps the model honest about what it has not seen.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from effsearch.search.model.surrogate import Surrogate, fit_surrogate
from effsearch.space.search_space import Point, SearchSpace

IntArray = NDArray[np.int64]

WAVE = 32  # networks between two fits of the model
ENOUGH_TO_FIT = 96
NUM_CANDIDATES = 2_000  # drawn for the model to choose from
MAX_EMPTY_WAVES = 5  # waves without a new network after which the space counts as exhausted


def guided_points(
    space: SearchSpace,
    scored: Callable[[], Mapping[Point, float]],
    *,
    draw: Callable[[int], IntArray],
    is_new: Callable[[Point], bool],
    rng: np.random.Generator,
) -> Iterator[Point]:
    """Yield points to score, each once, until there is nothing new to draw.

    Args:
        space: Space of the points.
        scored: Gives the scores so far, higher is better; there are more as the caller takes points.
        draw: Gives so many points inside the budget, (num_points, num_dimensions), with repeats.
        is_new: Tells whether a point's network is to be scored, and remembers it.
        rng: Decides between equals.
    """
    model: Surrogate | None = None
    num_empty = 0
    while num_empty < MAX_EMPTY_WAVES:
        wave = [point for point in as_points(draw(WAVE)) if is_new(point)]
        known = scored()
        if len(known) >= ENOUGH_TO_FIT:
            model = _fit(space, known, model)
            candidates = np.unique(draw(NUM_CANDIDATES), axis=0)
            # A draw rather than the mean: what is uncertain gets its chance.
            spread = float(np.std(list(known.values())))
            worth = model.mean(candidates) + 0.1 * spread * rng.standard_normal(len(candidates))
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
