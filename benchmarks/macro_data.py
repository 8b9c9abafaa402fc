"""What is true of NAS-Bench-Macro's networks, and which of them may be looked at when settings are chosen?

The table stands in $EFFSEARCH_SHARED_DATA. Its 6,561 keys are 3,969 distinct networks, here by their canonical keys.
Settings are chosen on the tuning networks alone; what is reported is the held-out ones.
"""

import hashlib
import json
import os
import statistics
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from effsearch.proxy_train.data.cache import default_cache_dir
from effsearch.proxy_train.data.datasets import ImageData, load_images
from effsearch.space.search_space import Point, SearchSpace
from effsearch.space.shipped_spaces import load_shipped_space
from effsearch.space.spec import ModelSpec

Split = Literal["tuning", "held_out"]
Population = Literal["all", "band", "everything"]

STAGE_DEPTHS = (2, 3, 3)
TUNING_LIMIT = 50_000_000  # multiply-adds; networks at or below are all for tuning
BAND_LIMIT = 60_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MacroNetwork:
    """A distinct network of the table."""

    key: str  # canonical
    runs: tuple[float, ...]  # test accuracies in per cent of the canonical key's three trainings
    mean_accuracy: float  # per cent, over the trainings of all keys of this network: 3 to 27
    multiply_adds: int
    parameters: int

    @property
    def num_blocks(self) -> int:
        """Layers that are no identity."""
        return len(self.key) - self.key.count("0")

    @property
    def split(self) -> Split:
        """What it may be used for: above the tuning limit, half each by a hash of the key."""
        if self.multiply_adds <= TUNING_LIMIT or _hash(f"split {self.key}") % 2:
            return "tuning"
        return "held_out"


def canonical_key(key: str) -> str:
    """Give the key of the same network whose identities stand last in each stage, but for the first layer.

    A stage's first layer strides and widens, so it is another thing as an identity; the others do nothing then.
    """
    stages, start = [], 0
    for depth in STAGE_DEPTHS:
        first, rest = key[start], key[start + 1 : start + depth]
        stages.append(first + rest.replace("0", "").ljust(depth - 1, "0"))
        start += depth
    return "".join(stages)


@cache
def load_table() -> dict[str, MacroNetwork]:
    """Give all distinct networks by canonical key, in the order of the keys."""
    path = shared_data() / "nas-bench-macro" / "nas-bench-macro_cifar10.json"
    rows = json.loads(path.read_text())
    runs_of: dict[str, list[float]] = {}
    for key, row in rows.items():
        runs_of.setdefault(canonical_key(key), []).extend(row["test_acc"])
    return {
        key: MacroNetwork(
            key=key,
            runs=tuple(rows[key]["test_acc"]),
            mean_accuracy=statistics.fmean(runs_of[key]),
            multiply_adds=rows[key]["flops"],
            parameters=rows[key]["params"],
        )
        for key in sorted(runs_of)
    }


def ordered_keys(split: Split, population: Population) -> list[str]:
    """Give the networks of a population in an order drawn once and for all; a sample is its beginning.

    The order is one for all populations, so that samples of several share what they can.

    Args:
        split: Tuning or held out.
        population: `all` of the split; those of the split in the `band` above 50 and up to 60 M; or `everything`,
            whatever the split: held-out and tuning networks together, for comparison only.
    """
    return [
        network.key
        for network in sorted(load_table().values(), key=lambda network: _hash(f"order {network.key}"))
        if population == "everything"
        or (
            network.split == split
            and (population == "all" or TUNING_LIMIT < network.multiply_adds <= BAND_LIMIT)
        )
    ]


def sample_keys(split: Split, population: Population, num_networks: int) -> list[str]:
    """Give some networks of a population: the beginning of its order, so that fewer are a part of more."""
    return ordered_keys(split, population)[:num_networks]


@cache
def macro_space() -> SearchSpace:
    """Give the shipped space whose points are the table's keys."""
    return load_shipped_space("nas-bench-macro")


def point_of(key: str) -> Point:
    """Give the point of a key in the shipped space."""
    space = macro_space()
    return space.point_of(
        {dimension.name: digit for dimension, digit in zip(space.dimensions, key, strict=True)}
    )


@cache
def spec_of(key: str) -> ModelSpec:
    """Give the network of a key, at 32 pixels and with 10 classes."""
    return macro_space().spec_at(point_of(key), resolution=32, num_classes=10)


def load_cifar() -> ImageData:
    """Give CIFAR-10's images at their own 32 pixels."""
    return load_images(
        str(shared_data() / "cifar10-images.tar.xz"), resolution=None, cache_dir=default_cache_dir()
    )


def shared_data() -> Path:
    """Give the folder of the real data."""
    folder = os.environ.get("EFFSEARCH_SHARED_DATA")
    if not folder:
        raise SystemExit("EFFSEARCH_SHARED_DATA must name the folder with nas-bench-macro and CIFAR-10")
    return Path(folder)


def _hash(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
