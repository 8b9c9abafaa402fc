"""What may be asked of a training?"""

from dataclasses import dataclass
from pathlib import Path

from effsearch.commands.placement import Placement
from effsearch.proxy_train.full.recipe import RecipeName
from effsearch.space.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """What a user says; None leaves it to effsearch."""

    network: str  # preset, spec file, or run of baseline, train or prune
    data: str | None = None
    recipe: RecipeName = "fast"
    num_epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    resolution: int | None = None
    num_parts: int = 1
    initial: Path | None = None  # weights to begin with
    seed: int = 0
    placement: Placement
    has_tensorboard: bool = False
    run: Path | None = None
    runs_root: Path

    def __post_init__(self) -> None:
        if self.resolution is not None and not 8 <= self.resolution <= 1024:
            raise UsageError(f"--resolution must be from 8 to 1024, got {self.resolution}")
