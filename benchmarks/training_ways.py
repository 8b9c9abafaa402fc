"""Does another way of training a candidate for a short while reach more in the same time?

    python benchmarks/training_ways.py run                # 9 ways, 2 networks, 3 seeds: about 2.5 core-hours
    python benchmarks/training_ways.py run --epochs 2 4 --ways default half-at-16 half-at-24 batch-128 bfloat16
                                                          # for the time to an accuracy: about 2 core-hours
    python benchmarks/training_ways.py exits              # 60 networks at 16 px: about 40 core-minutes
    python benchmarks/training_ways.py table

Every way trains on the same 10,000 images of CIFAR-10 for three epochs and is scored on the validation images at 32
pixels. One process of one thread. What has a record is not trained again, but for the default: in each call the ways
of one network and seed take turns with it, and a way's time is told as its ratio to the default's there. So two calls
with different --seeds may run side by side, which slow each other alike, but not two with different --ways. Time to
an accuracy comes from trainings of several lengths, each with its own learning rates, and is interpolated between.
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
from datetime import UTC, datetime
from typing import Any, Literal

from bf16_products import has_bf16, rates_by_type
from early_exits import measure_exits, print_exits
from growing_resolution import check_growing, train_growing
from macro_data import load_cifar
from matrix_limit import words_of
from proxy_rank import settings_of
from recording import append_record, read_records
from throughput_loops import networks

from effsearch.proxy_train.augment import AugmentSettings
from effsearch.proxy_train.build import Network, build_model
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.device import ON_CPU
from effsearch.proxy_train.kernels.switch import can_narrow, narrow_products
from effsearch.proxy_train.score import normalisation_of, score_on_split
from effsearch.proxy_train.train import TrainSettings, narrow_classifier, train_model
from effsearch.proxy_train.worker import prepare_worker
from effsearch.search.ablation import mean_interval
from effsearch.space.outcome import Fidelity
from effsearch.space.spec import ModelSpec

NAME = "training_ways"
NETWORKS = ("macro-21121212", "demo")
DEFAULT = "default"
NUM_WARM_STEPS = 2  # of an untimed training before each: kernels are loaded, memory is asked for

Point = tuple[float, float]  # time and accuracy
Arithmetic = Literal["float32", "bfloat16", "bf16-autocast"]  # the second is --precision bfloat16


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
    "bfloat16": Way(arithmetic="bfloat16"),
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
    is_narrow = way.arithmetic == "bfloat16"
    with narrow_products() if is_narrow else contextlib.nullcontext():
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
    names: Sequence[str],
    *,
    networks_of: Sequence[str],
    num_images: int,
    epochs: Sequence[int],
    seeds: Sequence[int],
) -> None:
    """Train whatever has no record yet, always beside the default, and append the accuracy and the time of each."""
    names = [name for name in names if not _is_skipped(name)]
    done = {_key(record) for record in read_records(NAME) if record["what"] == "way"}
    call = datetime.now(UTC).isoformat()
    turns = []
    for num_epochs, seed, network in itertools.product(epochs, seeds, networks_of):
        turn: list[dict[str, Any]] = [
            {
                "what": "way",
                "way": name,
                "network": network,
                "seed": seed,
                "images": num_images,
                "epochs": num_epochs,
                "settings": str(WAYS[name].settings),
                "call": call,
            }
            for name in dict.fromkeys((DEFAULT, *names))
        ]
        if any(_key(record) not in done for record in turn if record["way"] in names):
            turns.append([one for one in turn if one["way"] == DEFAULT or _key(one) not in done])
    if not turns:
        return
    images = load_cifar()
    if any(WAYS[record["way"]].first_resolution is not None for turn in turns for record in turn):
        for network in networks_of:
            _check(networks()[network], images)
    append_record(NAME, {"what": "bf16", "has_bf16": has_bf16(), "rates": rates_by_type()})
    for record in itertools.chain.from_iterable(turns):
        found = measure_way(
            WAYS[record["way"]],
            networks()[record["network"]],
            images,
            num_images=num_images,
            num_epochs=record["epochs"],
            seed=record["seed"],
        )
        append_record(NAME, record | found)
        print(
            f"{record['network']}, {record['way']}, {record['epochs']} epochs, seed {record['seed']}: "
            f"{found['accuracy']:.3f} in {found['core_seconds']:.1f} core-seconds",
            flush=True,
        )


def _check(spec: ModelSpec, images: ImageData) -> None:
    check_growing(spec, images.train, settings=TrainSettings(), normalisation=normalisation_of(images))


def measure_way(
    way: Way, spec: ModelSpec, images: ImageData, *, num_images: int, num_epochs: int, seed: int
) -> dict[str, float]:
    """Give what one training comes to; another, of two whole batches, goes before it untimed."""
    num_warm = NUM_WARM_STEPS * way.settings.batch_size
    train_way(way, spec, images, num_images=num_warm, num_epochs=1, seed=seed)
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
    return {
        "accuracy": score.accuracy,
        "loss": round(score.loss, 5),
        "core_seconds": round(seconds, 2),
    }


def _is_skipped(name: str) -> bool:
    """Tell whether this process cannot train a way, and say why."""
    arithmetic = WAYS[name].arithmetic
    if arithmetic != "float32" and not has_bf16():
        print(f"{name} is left out: this processor does not multiply in bfloat16", flush=True)
        return True
    if arithmetic == "bfloat16" and not can_narrow():
        print(f"{name} is left out: the kernels do not compute in bfloat16 in this process", flush=True)
        return True
    return False


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
    """Give a way's accuracy, by how much it is ahead of the default's, and the ratio of their times."""
    own, default = accuracies(name, rows), accuracies(DEFAULT, rows)
    words = f"{_interval_words(list(own.values()))}%, {len(own)} seeds"
    if name == DEFAULT:
        seconds = [one["core_seconds"] for one in rows if one["way"] == name]
        return f"{words}; {_spread_words(seconds, '.1f')} core-seconds"
    if seeds := sorted(own.keys() & default.keys()):
        words += f"; {_interval_words([own[seed] - default[seed] for seed in seeds], '+.2f')} points"
    if ratios := time_ratios(name, rows):
        words += f"; {_spread_words(list(ratios.values()))} x the default's time"
    return words


def accuracies(name: str, rows: Sequence[dict[str, Any]]) -> dict[int, float]:
    """Give a way's accuracy by seed, in per cent; a training that is repeated comes to the same."""
    return {one["seed"]: 100 * one["accuracy"] for one in rows if one["way"] == name}


def time_ratios(name: str, rows: Sequence[dict[str, Any]]) -> dict[int, float]:
    """Give a way's time by seed, as its ratio to the default's in the same call."""
    default = {(one["seed"], one["call"]): one["core_seconds"] for one in rows if one["way"] == DEFAULT}
    return {
        one["seed"]: one["core_seconds"] / default[one["seed"], one["call"]]
        for one in rows
        if one["way"] == name and (one["seed"], one["call"]) in default
    }


def _interval_words(values: Sequence[float], form: str = ".2f") -> str:
    interval = mean_interval(values)
    if interval.low is None:
        return f"{interval.mean:{form}}"
    return f"{interval.mean:{form}} ({interval.low:{form}} to {interval.high:{form}})"


def _spread_words(values: Sequence[float], form: str = ".2f") -> str:
    """Give the mean of some values, with the least and the most of them."""
    mean = f"{statistics.fmean(values):{form}}"
    return mean if len(values) < 2 else f"{mean} [{min(values):{form}}, {max(values):{form}}]"


def _print_times(network: str, num_images: int, num_epochs: int, rows: Sequence[dict[str, Any]]) -> None:
    """Print how long each way with trainings of several lengths takes to the default's accuracy.

    A training's time is the default's epochs that it lasts: its ratio to a default of its own length, times those
    epochs. So whatever else slowed the machine down in between is left out.
    """
    curves: dict[str, dict[int, dict[int, Point]]] = {}  # by way, seed and length
    for name in WAYS:
        for length in sorted({one["epochs"] for one in rows if one["way"] == name}):
            alike = [one for one in rows if one["epochs"] == length]
            ratios, reached = time_ratios(name, alike), accuracies(name, alike)
            for seed, ratio in ratios.items():
                point = (ratio * length / num_epochs, reached[seed])
                curves.setdefault(name, {}).setdefault(seed, {})[length] = point
    wanted = accuracies(DEFAULT, [one for one in rows if one["epochs"] == num_epochs])
    several = {
        name: {seed: curve for seed, curve in by_seed.items() if seed in wanted and len(curve) > 1}
        for name, by_seed in curves.items()
    }
    if not any(several.values()):
        return
    print(
        f"\n{network}, {num_images:,} images: time to what the default reaches in {num_epochs} epochs, as a share of "
        "the default's; of all seeds' mean, and of each seed by itself"
    )
    for name, by_seed in several.items():
        if by_seed:
            whole = mean_curve(list(by_seed.values()))
            mean = time_words(whole, statistics.fmean(wanted[seed] for seed in by_seed))
            each = [time_words(list(curve.values()), wanted[seed]) for seed, curve in by_seed.items()]
            print(f"  {name:16} {mean} ({', '.join(each)})")


def mean_curve(curves: Sequence[Mapping[int, Point]]) -> list[Point]:
    """Give the mean of curves at the lengths that all of them have."""
    lengths = sorted(set.intersection(*(set(curve) for curve in curves)))
    return [
        (
            statistics.fmean(curve[length][0] for curve in curves),
            statistics.fmean(curve[length][1] for curve in curves),
        )
        for length in lengths
    ]


def time_words(curve: Sequence[Point], wanted: float) -> str:
    """Give the time at which a curve reaches an accuracy, between points by logarithm."""
    if curve[0][1] >= wanted:
        return f"at most {curve[0][0]:.2f}"
    for (before, low), (after, high) in itertools.pairwise(curve):
        if low < wanted <= high:
            share = (wanted - low) / (high - low)
            return f"{math.exp((1 - share) * math.log(before) + share * math.log(after)):.2f}"
    return f"more than {curve[-1][0]:.2f}"


def _key(record: Mapping[str, Any]) -> tuple[Any, ...]:
    names = ("way", "network", "seed", "images", "epochs")
    return *(record[name] for name in names), settings_of(record["settings"])


def main() -> None:
    """Train, or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--ways", nargs="+", choices=list(WAYS), default=list(WAYS))
    run.add_argument("--networks", nargs="+", choices=NETWORKS, default=list(NETWORKS))
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
        measure_ways(
            options.ways,
            networks_of=options.networks,
            num_images=options.images,
            epochs=options.epochs,
            seeds=options.seeds,
        )
    else:
        fidelity = Fidelity(
            num_images=options.images, num_epochs=options.epochs, resolution=options.resolution
        )
        measure_exits(NAME, num_networks=options.networks, fidelity=fidelity)


if __name__ == "__main__":
    main()
