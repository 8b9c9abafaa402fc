"""Which networks are scored a second time, and is the supernet trained on for, when all have been scored once?

Among the best the first scores can tell few apart. A second one, on more images, ranks them a little better. And one
supernet serves all networks of a space, so its weights suit none of them: trained on for the best alone it ranks
these better still, if it is old enough. docs/supernet.md has what was measured.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import zip_longest

from effsearch.space.search_space import Point


def choose_best(
    expected: Mapping[Point, float], groups: Iterable[Sequence[Point]], *, number: int
) -> list[Point]:
    """Give the points of which most is expected, the best of each group before any group's second.

    Args:
        expected: Of each point; higher is better.
        groups: Points that compete with each other; one may be in several.
        number: How many to give at the most.
    """
    ordered = [sorted(group, key=lambda point: -expected[point]) for group in groups]
    in_turn = [point for places in zip_longest(*ordered) for point in places if point is not None]
    return list(dict.fromkeys(in_turn))[:number]
