"""What has a search found out about networks before it trains any by itself?"""

from dataclasses import dataclass, field

from effsearch.space.search_space import Point
from effsearch.space.supernet_work import ScreenScore


@dataclass(slots=True)
class ScreenScores:
    """The scores of a screening, as they were measured."""

    first: dict[Point, ScreenScore] = field(default_factory=dict)
    second: dict[Point, ScreenScore] = field(default_factory=dict)  # of the best, on more images

    def add(self, point: Point, score: ScreenScore) -> None:
        """Take a score."""
        (self.second if score.is_second else self.first)[point] = score
