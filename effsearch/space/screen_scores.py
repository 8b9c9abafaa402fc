"""What has a search found out about networks before it trains any by itself?"""

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from effsearch.space.search_space import Point
from effsearch.space.supernet_work import ScreenScore


@dataclass(frozen=True, slots=True)
class ScreenScores:
    """The scores of a screening, as they were measured."""

    first: dict[Point, ScreenScore] = field(default_factory=dict)
    second: dict[Point, ScreenScore] = field(default_factory=dict)  # of the best, on more images

    def add(self, point: Point, score: ScreenScore) -> None:
        """Take a score."""
        (self.second if score.is_second else self.first)[point] = score

    def on_one_level(self) -> dict[Point, ScreenScore]:
        """Give one score of each network: the second where there is one, on the level of the first ones.

        Other images, and weights that were trained on for some networks, make all of these better and lie further
        apart, which says nothing for any of them. So second losses and accuracies decide the order alone: they are
        moved and stretched to the mean and the spread of the same networks' first ones.

        Source:
            benchmarks/focus_rank.py, 11 ways to score the best tuning networks of three screenings a second time, tau
            joined with NASWOT: moved and stretched better than only moved in eight, by up to .10, worse in three, by
            up to .04.
        """
        again = {point: score for point, score in self.second.items() if point in self.first}
        before = [self.first[point] for point in again]
        loss = _levelled([one.val_loss for one in again.values()], [one.val_loss for one in before])
        accuracy = _levelled(
            [one.val_accuracy for one in again.values()], [one.val_accuracy for one in before]
        )
        return self.first | {
            point: dataclasses.replace(
                score,
                naswot=self.first[point].naswot,
                val_loss=loss(score.val_loss),
                val_accuracy=accuracy(score.val_accuracy),
            )
            for point, score in again.items()
        }


def _levelled(
    values: Sequence[float | None], before: Sequence[float | None]
) -> Callable[[float | None], float | None]:
    """Give what puts some values on the mean and the spread of others."""
    new, old = ([one for one in some if one is not None] for some in (values, before))
    if not new or not old:
        return lambda value: value
    new_mean, old_mean = statistics.fmean(new), statistics.fmean(old)
    spread = statistics.pstdev(new)
    stretch = statistics.pstdev(old) / spread if spread > 0 else 1.0
    return lambda value: None if value is None else old_mean + stretch * (value - new_mean)
