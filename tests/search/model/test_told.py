import numpy as np

from effsearch.search.model.told import Scores, Told, joined


def drawn(number: int, *, seed: int) -> Scores:
    rng = np.random.default_rng(seed)
    return Scores(
        points=rng.integers(3, size=(number, 4)),
        values=rng.normal(size=number),
        rungs=rng.integers(2, size=number),
        features=rng.normal(size=(number, 2)),
    )


def test_scores_come_in_the_order_they_were_told_in_however_often_they_are_asked_for() -> None:
    parts = [drawn(number, seed=number) for number in (1, 3, 2, 1)]
    told, total = Told(4), 0
    for index, part in enumerate(parts):
        told.add(part)
        total += len(part.values)
        assert len(told) == total
        if index % 2:
            assert np.array_equal(told.scores().values, joined(parts[: index + 1]).values)
    for name in ("points", "values", "rungs", "features"):
        whole = np.concatenate([getattr(part, name) for part in parts])
        assert np.array_equal(getattr(told.scores(), name), whole)


def test_without_a_training_there_are_arrays_too() -> None:
    nothing = Told(4).scores()
    assert nothing.points.shape == (0, 4)
    assert not len(nothing.values)
    assert not len(Told(4))
