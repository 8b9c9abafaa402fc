"""Does another way of training a candidate for a short while reach more in the same time?

    python benchmarks/training_ways.py run                # 9 ways, 2 networks, 3 seeds: about 2.5 core-hours
    python benchmarks/training_ways.py run --epochs 2 4 --ways default half-at-16 half-at-24 batch-128 bf16-pointwise
                                                          # for the time to an accuracy: about 2 core-hours
    python benchmarks/training_ways.py exits              # 60 networks at 16 px: about 40 core-minutes
    python benchmarks/training_ways.py table

Every way trains on the same 10,000 images of CIFAR-10 for three epochs and is scored on the validation images at 32
pixels. One process of one thread; ways take turns, and what has a record is not trained again, so that two calls with
different --seeds may run side by side. Time to an accuracy comes from trainings of several lengths, each with its own
learning rates, between which it is interpolated.
"""

import argparse
import contextlib
import dataclasses
import itertools
import math
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bf16_products import bf16_pointwise, has_bf16, rates_by_type
from early_exits import measure_exits, print_exits
from growing_resolution import train_growing
from macro_data import load_cifar
from matrix_limit import words_of
from recording import append_record, read_records
from throughput_loops import networks

from effsearch.proxy_train.augment import AugmentSettings
from effsearch.proxy_train.build import Network, build_model
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.device import ON_CPU
from effsearch.proxy_train.score import normalisation_of, score_on_split
from effsearch.proxy_train.train import TrainSettings, narrow_classifier, train_model
from effsearch.proxy_train.worker import prepare_worker
from effsearch.search.ablation import MeanInterval, mean_interval
from effsearch.space.outcome import Fidelity
from effsearch.space.spec import ModelSpec

NAME = "training_ways"
NETWORKS = ("macro-21121212", "demo")
DEFAULT = "default"
WARM_UP_IMAGES = 128  # of a training before each that is timed, so that its kernels are loaded

Arithmetic = Literal["float32", "bf16-pointwise", "bf16-autocast"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How a network is trained; the default differs from a search's in nothing."""

    settings: TrainSettings = dataclasses.field(default_factory=TrainSettings)
    first_resolution: int | None = None  # of the first half of the steps; None: the network's own
    arithmetic: Arithmetic = "float32"  # bf16-autocast is torch's, on its own operators


WAYS: Mapping[str, Way] = {
    DEFAULT: Way(),
    "half-at-16": Way(first_resolution=16),
    "half-at-24": Way(first_resolution=24),
    "batch-128": Way(settings=TrainSettings(batch_size=128)),
    "batch-256": Way(settings=TrainSettings(batch_size=256)),
    "flips-only": Way(settings=TrainSettings(augment=AugmentSettings(crop_share=0.0))),
    "no-augmentation": Way(settings=TrainSettings(augment=AugmentSettings(crop_share=0.0, flips=False))),
    "bf16-pointwise": Way(arithmetic="bf16-pointwise"),
    "bf16-autocast": Way(arithmetic="bf16-autocast"),
}


def train_way(
    way: Way, spec: ModelSpec, images: ImageData, *, num_images: int, num_epochs: int, seed: int
) -> Network:
    """Train a fresh network."""
    model = build_model(spec, seed=seed)
    narrow_classifier(model)
    if way.first_resolution is not None:
        train_growing(
            model,
            images.train,
            settings=way.settings,
            normalisation=normalisation_of(images),
            resolutions=(way.first_resolution, spec.resolution),
            num_images=num_images,
            num_epochs=num_epochs,
            seed=seed,
        )
        return model
    is_narrow = way.arithmetic == "bf16-pointwise"
    with bf16_pointwise() if is_narrow else contextlib.nullcontext():
        train_model(
            model,
            images.train,
            settings=way.settings,
            normalisation=normalisation_of(images),
            resolution=spec.resolution,
            num_images=num_images,
            num_epochs=num_epochs,
            seed=seed,
            compute=dataclasses.replace(ON_CPU, has_autocast=way.arithmetic == "bf16-autocast"),
        )
    return model


def measure_ways(
    names: Sequence[str], *, num_images: int, epochs: Sequence[int], seeds: Sequence[int]
) -> None:
    """Train whatever has no record yet, and append the accuracy and the time of each."""
    records = read_records(NAME)
    if not any(record["what"] == "bf16" for record in records):
        append_record(NAME, {"what": "bf16", "has_bf16": has_bf16(), "rates": rates_by_type()})
    done = {_key(record) for record in records if record["what"] == "way"}
    images = load_cifar()
    for num_epochs, seed, network, name in (
        (num_epochs, seed, network, name)
        for num_epochs in epochs
        for seed in seeds
        for network in NETWORKS
        for name in names
    ):
        way, spec = WAYS[name], networks()[network]
        record: dict[str, Any] = {
            "what": "way",
            "way": name,
            "network": network,
            "seed": seed,
            "images": num_images,
            "epochs": num_epochs,
            "settings": str(way.settings),
        }
        if _key(record) in done or (way.arithmetic != "float32" and not has_bf16()):
            continue
        train_way(way, spec, images, num_images=WARM_UP_IMAGES, num_epochs=1, seed=seed)
        started = time.process_time()
        model = train_way(way, spec, images, num_images=num_images, num_epochs=num_epochs, seed=seed)
        seconds = time.process_time() - started
        score = score_on_split(
            model,
            images.val,
            normalisation=normalisation_of(images),
            resolution=spec.resolution,
            max_images=way.settings.max_val_images,
        )
        record |= {
            "accuracy": score.accuracy,
            "loss": round(score.loss, 5),
            "core_seconds": round(seconds, 2),
        }
        append_record(NAME, record)
        words = f"{score.accuracy:.3f} in {seconds:.1f} core-seconds"
        print(f"{network}, {name}, {num_epochs} epochs, seed {seed}: {words}", flush=True)


def print_table(num_epochs: int) -> None:
    """Print every way beside the default, then the time each takes to what the default reaches in some epochs."""
    records = read_records(NAME)
    for record in [record for record in records if record["what"] == "bf16"][-1:]:
        print(f"the processor multiplies in bfloat16: {'yes' if record['has_bf16'] else 'no'}")
        for dtype, rates in record["rates"].items():
            print(f"  {dtype}: {words_of(rates)}")
    ways = [record for record in records if record["what"] == "way"]
    for group in sorted({(one["network"], one["images"], one["epochs"]) for one in ways}):
        print(f"\n{group[0]}, {group[1]:,} images x {group[2]} epochs:")
        rows = [one for one in ways if (one["network"], one["images"], one["epochs"]) == group]
        for name in (name for name in WAYS if any(one["way"] == name for one in rows)):
            print(f"  {name:16} {_words_of(name, rows)}")
    for network, num_images in sorted({(one["network"], one["images"]) for one in ways}):
        rows = [one for one in ways if (one["network"], one["images"]) == (network, num_images)]
        _print_times(network, num_images, num_epochs, rows)
    print_exits([record for record in records if record["what"] == "exit"])


def _words_of(name: str, rows: Sequence[dict[str, Any]]) -> str:
    """Give a way's accuracy and time, and both beside the default's of the same seeds."""
    own = {one["seed"]: one for one in rows if one["way"] == name}
    default = {one["seed"]: one for one in rows if one["way"] == DEFAULT}
    accuracy = mean_interval([100 * one["accuracy"] for one in own.values()])
    seconds = statistics.fmean(one["core_seconds"] for one in own.values())
    words = f"{_interval_words(accuracy)}%, {seconds:.1f} core-seconds, {len(own)} seeds"
    seeds = sorted(own.keys() & default.keys())
    if name == DEFAULT or not seeds:
        return words
    ahead = mean_interval([100 * (own[seed]["accuracy"] - default[seed]["accuracy"]) for seed in seeds])
    of_default = mean_interval([own[seed]["core_seconds"] / default[seed]["core_seconds"] for seed in seeds])
    return (
        f"{words}; {_interval_words(ahead, '+.2f')} points, {_interval_words(of_default, '.2f')} x the time"
    )


def _interval_words(interval: MeanInterval, form: str = ".2f") -> str:
    if interval.low is None:
        return f"{interval.mean:{form}}"
    return f"{interval.mean:{form}} ({interval.low:{form}} to {interval.high:{form}})"


def _print_times(network: str, num_images: int, num_epochs: int, rows: Sequence[dict[str, Any]]) -> None:
    """Print how long each way with trainings of several lengths takes to the default's accuracy."""
    curves: dict[str, list[tuple[float, float]]] = {}
    wanted = None
    for name in WAYS:
        for length in sorted({one["epochs"] for one in rows if one["way"] == name}):
            own = [one for one in rows if (one["way"], one["epochs"]) == (name, length)]
            point = (
                statistics.fmean(one["core_seconds"] for one in own),
                statistics.fmean(one["accuracy"] for one in own),
            )
            curves.setdefault(name, []).append(point)
            if (name, length) == (DEFAULT, num_epochs):
                wanted = point
    several = {name: curve for name, curve in curves.items() if len(curve) > 1}
    if wanted is None or not several:
        return
    print(
        f"\n{network}, {num_images:,} images: core-seconds to {wanted[1]:.1%}, the default's after {num_epochs} "
        f"epochs, which take it {wanted[0]:.1f}"
    )
    for name, curve in several.items():
        print(f"  {name:16} {time_words(curve, wanted[1])}")


def time_words(curve: Sequence[tuple[float, float]], wanted: float) -> str:
    """Give the seconds at which a curve of (seconds, accuracy) reaches an accuracy, between points by logarithm."""
    if curve[0][1] >= wanted:
        return f"at most {curve[0][0]:.1f}"
    for (before, low), (after, high) in itertools.pairwise(curve):
        if low < wanted <= high:
            share = (wanted - low) / (high - low)
            return f"{math.exp((1 - share) * math.log(before) + share * math.log(after)):.1f}"
    return f"more than {curve[-1][0]:.1f}"


def _key(record: Mapping[str, Any]) -> tuple[Any, ...]:
    return tuple(record[name] for name in ("way", "network", "seed", "images", "epochs", "settings"))


def main() -> None:
    """Train, or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    run.add_argument("--epochs", type=int, nargs="+", default=[3])
    run.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    exits = commands.add_parser("exits")
    exits.add_argument("--networks", type=int, default=60)
    exits.add_argument("--epochs", type=int, default=3)
    exits.add_argument("--resolution", type=int, default=16)
    for one in (run, exits):
        one.add_argument("--images", type=int, default=10_000)
    table = commands.add_parser("table")
    table.add_argument("--epochs", type=int, default=3, help="whose accuracy the others are timed to")
    options = parser.parse_args()
    if options.command == "table":
        print_table(options.epochs)
        return
    prepare_worker()
    if options.command == "run":
        measure_ways(options.ways, num_images=options.images, epochs=options.epochs, seeds=options.seeds)
    else:
        fidelity = Fidelity(
            num_images=options.images, num_epochs=options.epochs, resolution=options.resolution
        )
        measure_exits(NAME, num_networks=options.networks, fidelity=fidelity)


if __name__ == "__main__":
    main()
