"""How are the coefficients of a base searched?"""

from dataclasses import dataclass
from typing import Literal

from effsearch.search.placement.time_limit import check_minutes
from effsearch.space.errors import UsageError

FACTOR = 2.0  # candidates cost so many times the base
NUM_FINALISTS = 3  # get all the seeds, and are checked
MAX_SEEDS = 100
LEAST_STEP, MOST_STEP = (
    0.02,
    0.5,
)  # of the grid; a finer one is thousands of rays that no training tells apart


@dataclass(frozen=True, slots=True, kw_only=True)
class CoefficientSettings:
    """What is tried, and how long."""

    method: Literal["grid", "random"] = "grid"
    grid_step: float = 0.05
    tolerance: float = 0.1  # of the surface
    num_trials: int | None = None  # distinct networks trained, over all resumes
    minutes: float | None = None
    seed: int = 0
    num_seeds: int = 5  # trainings of each of the best, the first included
    has_check: bool = False  # whether the best are trained longer in the end

    def __post_init__(self) -> None:
        if self.num_trials is not None and self.num_trials < 1:
            raise UsageError(f"--trials must be at least 1, got {self.num_trials}")
        if self.num_trials is not None and self.num_trials > 10**9:
            raise UsageError(f"--trials must be at most 1,000,000,000, got {self.num_trials}")
        check_minutes(self.minutes)
        if not 1 <= self.num_seeds <= MAX_SEEDS:
            raise UsageError(f"--seeds must be from 1 to {MAX_SEEDS}, got {self.num_seeds}")
        if not LEAST_STEP <= self.grid_step <= MOST_STEP:
            raise UsageError(f"--grid-step must be from {LEAST_STEP} to {MOST_STEP}, got {self.grid_step:g}")
        if not 0.001 <= self.tolerance <= 1:  # below, four decimals of alpha hardly ever meet the surface
            raise UsageError(f"--tolerance must be from 0.001 to 1 in a search, got {self.tolerance:g}")
