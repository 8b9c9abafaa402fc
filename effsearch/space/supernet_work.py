"""What is asked of those who train a supernet and score networks with it, and what do they answer?

These values pass between search and proxy training, so they live here, below both.
"""

from dataclasses import dataclass
from pathlib import Path

from effsearch.space.errors import UsageError
from effsearch.space.outcome import Fidelity
from effsearch.space.search_space import Point
from effsearch.space.sharing import Sharing


@dataclass(frozen=True, slots=True, kw_only=True)
class SupernetPlan:
    """How a supernet is trained: all that its weights depend on, beside space, budget and data.

    Replicas train side by side from the same weights, which are averaged after each round. How many there are is
    part of the plan and not of the machine: fewer workers take longer and give the same weights.
    """

    fidelity: Fidelity  # its epochs say nothing; the steps do
    num_steps: int  # of each replica, all rounds together
    num_rounds: int
    num_replicas: int
    sharing: Sharing
    seed: int
    rate_share: float = 1.0  # of the learning rate that a fresh supernet is trained at

    def __post_init__(self) -> None:
        for name in ("num_steps", "num_rounds", "num_replicas"):
            if getattr(self, name) < 1:
                raise UsageError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.num_rounds > self.num_steps:
            raise UsageError(f"{self.num_rounds} rounds need as many steps, got {self.num_steps}")
        if not 0 < self.rate_share <= 1:
            raise UsageError(f"rate_share must be above 0 and at most 1, got {self.rate_share}")

    def steps_of(self, round_index: int) -> range:
        """Give the steps of one round, counted over all rounds."""
        ends = [self.num_steps * index // self.num_rounds for index in (round_index, round_index + 1)]
        return range(ends[0], ends[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainRound:
    """Train one replica for one round."""

    plan: SupernetPlan
    round_index: int
    replica: int
    paths: tuple[Point, ...]  # one is drawn for each step
    inputs: tuple[Path, ...]  # weights to start from, one file a replica; none: fresh ones
    output: Path

    @property
    def name(self) -> str:
        """As users see it."""
        return f"supernet round {self.round_index + 1}, replica {self.replica + 1}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundResult:
    """What one round came to."""

    train_loss: float  # nats, mean over the round
    num_images_seen: int
    core_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreBatch:
    """Score some networks without training them."""

    plan: SupernetPlan
    points: tuple[Point, ...]
    weights: tuple[Path, ...]  # of the last round; none: zero-cost scores only
    is_second: bool = False  # whether they were scored before; then more images are looked at

    @property
    def name(self) -> str:
        """As users see it."""
        return f"{'second look at' if self.is_second else 'screening of'} {len(self.points)} networks"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScreenScore:
    """What is known of a network without training it by itself."""

    naswot: float
    val_loss: (
        float | None
    )  # cross-entropy with the supernet's weights, nats, each image's capped; None without one
    val_accuracy: float | None  # top-1, in [0, 1]
    core_seconds: float
    is_second: bool = False  # whether it is a second one: the best get these, on more images

    @property
    def value(self) -> float:
        """The one number to rank by, higher is better."""
        return self.naswot if self.val_loss is None else -self.val_loss
