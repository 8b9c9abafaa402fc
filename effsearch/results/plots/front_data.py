"""What does the picture of a Pareto front show?

These values are all that the drawing reads, so a test checks a plot by them and not by its pixels.
"""

from dataclasses import dataclass

from effsearch.results.pareto import pareto_front


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontPoint:
    """One network: its cost, and the mean accuracy over its seeds."""

    name: str
    multiply_adds: int  # at the target resolution
    accuracy: float  # in [0, 1]
    accuracy_std: float = 0.0  # over seeds, with n - 1; 0 for a single one
    num_seeds: int = 1
    is_full_fidelity: bool = True  # scored on the dearest rung of its run; only these are ranked
    network_hash: str = (
        ""  # with the cost it says whose trainings these were; "" where only a report names it
    )

    def __post_init__(self) -> None:
        if self.multiply_adds < 1:
            raise ValueError(f"{self.name}: multiply_adds must be at least 1, got {self.multiply_adds}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontSeries:
    """What one search found."""

    name: str
    trials: tuple[FrontPoint, ...]
    anchors: tuple[FrontPoint, ...] = ()  # known networks, drawn with their names
    winners: tuple[FrontPoint, ...] = ()  # one for each budget; none while the search goes on
    budgets: tuple[int, ...] = ()  # multiply-adds; none where something else was limited

    @property
    def front(self) -> tuple[FrontPoint, ...]:
        """The ranked networks that no other beats, anchors included, from the cheapest to the dearest."""
        ranked = [point for point in (*self.trials, *self.anchors) if point.is_full_fidelity]
        indices = pareto_front(
            [point.multiply_adds for point in ranked], [point.accuracy for point in ranked]
        )
        return tuple(ranked[index] for index in indices)


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyMember:
    """One scaled network, as built."""

    phi: float
    multiply_adds: int
    accuracy: float | None = None  # None: not trained


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Networks scaled from one base."""

    name: str
    members: tuple[FamilyMember, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontPlot:
    """Searches and families of one picture."""

    title: str
    series: tuple[FrontSeries, ...]
    families: tuple[Family, ...] = ()
    resolution: int | None = None  # pixels at which costs are counted; None leaves it unsaid
    notes: tuple[str, ...] = ()  # lines below, for what a reader must know to compare

    def __post_init__(self) -> None:
        if not any(series.trials or series.anchors for series in self.series):
            raise ValueError("a front needs at least one scored network, got none")
