"""What is a score, and what was paid for it?

These values pass between search, proxy training and results, so they live here, below all three.
"""

from dataclasses import dataclass

from effsearch.space.errors import SpecError


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """How much training a score is bought with."""

    num_images: int  # training images seen in one epoch
    num_epochs: int
    resolution: int  # pixels the proxy trains and is scored at
    width: float = 1.0  # multiplier on the channels of the network that is trained
    num_removed_strides: int = 0  # strides of two taken off the front, so that small images keep a map

    def __post_init__(self) -> None:
        for name in ("num_images", "num_epochs", "resolution"):
            if getattr(self, name) < 1:
                raise SpecError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.width <= 8:
            raise SpecError(f"width must be above 0 and at most 8, got {self.width}")
        if self.num_removed_strides < 0:
            raise SpecError(f"num_removed_strides must not be negative, got {self.num_removed_strides}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyResult:
    """What one short training gave."""

    val_accuracy: float  # top-1, in [0, 1]
    val_loss: float  # cross-entropy, nats, without label smoothing
    train_seconds: float
    num_images_seen: int


class TrainingFailed(Exception):
    """A candidate could not be trained: a recorded outcome with its reason, not the end of the search."""
