"""What is a score, and what was paid for it?

These values pass between search, proxy training and results, so they live here, below all three.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal  # Any: values out of a file

from effsearch.space.cost import Cost
from effsearch.space.errors import SpecError
from effsearch.space.spec import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Fidelity:
    """How much training a score is bought with."""

    num_images: int  # training images seen in one epoch
    num_epochs: int
    resolution: int  # pixels the proxy trains and is scored at
    width: float = 1.0  # multiplier on the channels of the network that is trained
    num_removed_strides: int = 0  # strides of two taken off the front, so that small images keep a map

    def __post_init__(self) -> None:
        for name in ("num_images", "num_epochs", "resolution", "num_removed_strides"):
            if type(getattr(self, name)) is not int:
                raise SpecError(f"{name} must be a whole number, got {getattr(self, name)!r:.60}")
        for name in ("num_images", "num_epochs", "resolution"):
            if getattr(self, name) < 1:
                raise SpecError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.width <= 8:
            raise SpecError(f"width must be above 0 and at most 8, got {self.width}")
        if self.num_removed_strides < 0:
            raise SpecError(f"num_removed_strides must not be negative, got {self.num_removed_strides}")

    @property
    def stages(self) -> tuple["Fidelity", ...]:
        """What is trained one after another, first to last, each with a schedule of its own."""
        return (self,)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContinuedFidelity(Fidelity):
    """Further training of the weights that another fidelity leaves; its own numbers are those of the last stage."""

    continues: Fidelity

    def __post_init__(self) -> None:
        Fidelity.__post_init__(self)
        before = self.continues
        if (self.width, self.num_removed_strides) != (before.width, before.num_removed_strides):
            raise SpecError(
                "weights go on at the width and strides that they were trained with: "
                f"{before.width:g} and {before.num_removed_strides} removed, "
                f"got {self.width:g} and {self.num_removed_strides}"
            )

    @property
    def stages(self) -> tuple[Fidelity, ...]:
        """What is trained one after another, first to last, each with a schedule of its own."""
        own = {name: getattr(self, name) for name in (one.name for one in fields(Fidelity))}
        return (*self.continues.stages, Fidelity(**own))


def fidelity_from(record: Mapping[str, Any]) -> Fidelity:
    """Give the fidelity behind its fields by name, as `dataclasses.asdict` gives them.

    Raises:
        SpecError: They are none.
    """
    before = record.get("continues")
    try:
        values = {name: value for name, value in record.items() if name != "continues"}
        if before is None:
            return Fidelity(**values)
        return ContinuedFidelity(continues=fidelity_from(before), **values)
    except TypeError as error:  # a field too many or too few, or no number
        raise SpecError(f"no fidelity: {error}") from error


# Of the products in a training's convolutions: on a GPU of all, on a CPU of the pointwise ones. The rest is float32.
Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyResult:
    """What one short training gave."""

    val_accuracy: float  # top-1, in [0, 1]
    val_loss: float | None  # cross-entropy, nats, without label smoothing; None where nobody measured it
    train_seconds: float
    num_images_seen: int
    used_kernels: bool | None = None  # of effsearch's own, as far as they go; None where nobody says so
    precision: Precision | None = None  # that convolutions really had; None where nobody says so
    from_checkpoint: bool | None = (
        None  # of a continued fidelity: whether only its last stage was trained here
    )
    weights: bytes | None = field(default=None, repr=False)  # as safetensors, where the job asked for them


class TrainingFailed(Exception):  # noqa: N818 - an outcome to be recorded, not an error
    """A candidate could not be trained: a recorded outcome with its reason, not the end of the search."""


class TooLargeToBuild(TrainingFailed, SpecError):  # noqa: N818 - an outcome too
    """A network that the machine has no memory for; a search records it, and a user's own is refused."""


class OutOfMemory(TrainingFailed):
    """A candidate needed more memory than there was; a smaller batch needs less."""


EvaluationKind = Literal[
    "anchor", "trial", "confirm", "coefficient", "ablation", "final", "validate", "rung", "screen"
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One training to be done: all that its score depends on, what it is called, and what weights travel with it."""

    kind: EvaluationKind
    name: str  # as users see it: "trial 12", "efficientnet-b0"
    spec: ModelSpec  # at the target resolution; the proxy is made from it
    network: str  # its canonical hash
    cost: Cost  # of `spec`
    fidelity: Fidelity
    seed: int
    replicate: int = 0  # 0 for the first training of a network, then 1, 2, ...
    choices: Mapping[str, str | int | float] = field(default_factory=dict)  # the point, where there is one
    coefficients: tuple[float, float, float] | None = None  # alpha, beta, gamma
    phi: float = 0.0
    batch_share: float = 1.0  # of the settings' batch; less where memory ran out with all of it
    checkpoint: bytes | None = field(default=None, repr=False)  # what `fidelity` continues; None: not at hand
    keeps_weights: bool = False  # whether the result is to bring them

    def __post_init__(self) -> None:
        if not 0 < self.batch_share <= 1:
            raise SpecError(f"batch_share must be above 0 and at most 1, got {self.batch_share}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """A job that has ended: with a result, or with the reason why there is none."""

    job: Job
    result: ProxyResult | None
    failure: str = ""
    seconds: float = 0.0  # from hand-out to end, by the driver's clock


def derive_seed(run_seed: int, network: str, replicate: int) -> int:
    """Give the seed of one training, from the run's seed, the network's hash and the replicate alone.

    Other things that need a seed of their own have a name in place of the hash.
    """
    digest = hashlib.sha256(f"{run_seed}/{network}/{replicate}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1
