"""What does each place where a run's work is done do right now, and what has it done so far?

These values pass from search to results, so they live here, below both.
"""

from dataclasses import dataclass

from effsearch.space.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class SlotStatus:
    """One place for a task at a time: a worker process, or a share of a cluster."""

    slot: int  # from 0
    task: str = ""  # as users see it; "" while it waits
    task_seconds: float = 0.0  # since the task was handed out
    num_ended: int = 0  # tasks, failures included
    num_failed: int = 0
    num_images: int = 0  # trained on by what has ended
    train_seconds: float = 0.0  # of that
    open_seconds: float = 0.0  # since the slot was opened

    def __post_init__(self) -> None:
        for name in (
            "task_seconds",
            "slot",
            "num_ended",
            "num_failed",
            "num_images",
            "train_seconds",
            "open_seconds",
        ):
            if isinstance(getattr(self, name), bool) or not isinstance(getattr(self, name), int | float):
                raise UsageError(f"{name} must be a number, got {getattr(self, name)!r:.60}")
        for name in ("slot", "num_ended", "num_failed", "num_images", "train_seconds", "open_seconds"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} must be at least 0, got {getattr(self, name)}")

    @property
    def images_per_second(self) -> float | None:
        """While training; None before anything has ended."""
        return self.num_images / self.train_seconds if self.num_images and self.train_seconds else None

    @property
    def busy_share(self) -> float | None:
        """Share of its time up to now that the slot trained: what has ended and all of what runs; None at first."""
        if not self.open_seconds:
            return None
        return min(1.0, (self.train_seconds + self.task_seconds) / self.open_seconds)
