"""What is settled before a training begins?"""

from dataclasses import dataclass
from pathlib import Path

from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.full.training import FullTraining
from effsearch.space.spec import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """What is done to a network so that it suits the images; one for a whole family."""

    target_resolution: int  # of the network it was made for
    resolution: int  # that this one is trained at
    num_removed_strides: int


@dataclass(frozen=True, slots=True)
class Winner:
    """A search's winner as it was when its training began; a search that goes on meanwhile may have another."""

    search: Path  # directory
    network_hash: str  # before it was fitted to the images


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPlan:
    """All that is settled before a training begins."""

    name: str
    spec: ModelSpec  # as it is trained
    data: str
    split_seed: int
    images: ImageData
    training: FullTraining
    fitting: Fitting
    notes: tuple[str, ...]
    winner: Winner | None = None  # of which search, where one has found it
