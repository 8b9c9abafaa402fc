"""What is a search held to under a bound on latency, and what does knowing it cost?"""

from dataclasses import dataclass
from pathlib import Path

from effsearch.commands.latency_table import settle_table
from effsearch.commands.time_left import NO_MINUTES
from effsearch.commands.watching import Watcher
from effsearch.results.latency_file import SettledTable
from effsearch.space.budget import short_time
from effsearch.space.latency_table import LatencyTable
from effsearch.space.search_space import SearchSpace


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyPlan:
    """A bound on latency, and what networks are held to."""

    limit: int  # nanoseconds that a network may take, measured whole
    held_to: int  # nanoseconds that its prediction may come to: less, by the table's error
    settled: SettledTable

    @property
    def table(self) -> LatencyTable:
        """What predicts."""
        return self.settled.table


def plan_latency(
    limit: int,
    space: SearchSpace,
    *,
    space_name: str,
    run: Path | None,
    file: Path | None,
    resolution: int,
    num_classes: int,
    watcher: Watcher,
) -> LatencyPlan:
    """Give what networks are held to so that they keep to `limit` nanoseconds; see `settle_table` for the rest.

    Raises:
        UsageError: A table that was named is none of this space, or another than the run's.
    """
    settled = settle_table(
        space,
        space_name=space_name,
        run=run,
        file=file,
        resolution=resolution,
        num_classes=num_classes,
        watcher=watcher,
    )
    held_to = settled.table.held_to(limit)
    watcher.say(
        f"latency: predictions are held to {short_time(held_to)}, so that networks keep to {short_time(limit)} nine "
        "times in ten; finalists are measured whole"
    )
    if settled.seconds:
        watcher.say(f"latency: measuring took {settled.seconds:.0f} s of the time")
    return LatencyPlan(limit=limit, held_to=held_to, settled=settled)


def minutes_beside(minutes: float | None, latency: LatencyPlan | None) -> float | None:
    """Give what a latency table leaves of the time."""
    if minutes is None or latency is None:
        return minutes
    return max(minutes - latency.settled.seconds / 60, NO_MINUTES)
