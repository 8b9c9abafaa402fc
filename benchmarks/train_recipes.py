"""What do the recipes of `effsearch train` come to on CIFAR-10, and in what time?

    python benchmarks/train_recipes.py time         # seconds of an epoch of each arm, and what that makes in hours
    python benchmarks/train_recipes.py winner       # (a) a searched network of about 60 M: does it reach 90 per cent?
    python benchmarks/train_recipes.py ways         # (a) again, each with one more thing changed in the recipe
    python benchmarks/train_recipes.py transfer     # (b) from weights trained on the synthetic set, against scratch
    python benchmarks/train_recipes.py progressive  # (c) sizes that grow against one size, all else equal
    python benchmarks/train_recipes.py table

The network is the winner of a search of `end_to_end.py`, unless --key names another of NAS-Bench-Macro's. One thread
and our kernels. A training that is stopped goes on where it was, from the checkpoints in --folder; those that have
ended stand in results/train_recipes.jsonl and are not repeated.
"""

import argparse
import contextlib
import dataclasses
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from macro_data import load_cifar, spec_of
from recording import append_record, read_records

from effsearch.proxy_train.augment import AugmentSettings
from effsearch.proxy_train.build import build_model
from effsearch.proxy_train.data.cache import default_cache_dir
from effsearch.proxy_train.data.datasets import ImageData, load_images
from effsearch.proxy_train.device import ON_CPU
from effsearch.proxy_train.full.checkpoint import BEST_FILE, EpochRow, load_best
from effsearch.proxy_train.full.epoch import StepLog
from effsearch.proxy_train.full.loop import train_fully
from effsearch.proxy_train.full.recipe import FAST, Recipe, recipe_of
from effsearch.proxy_train.full.score import score_fully
from effsearch.proxy_train.full.training import FullTraining, for_recipe
from effsearch.proxy_train.full.transfer import load_initial
from effsearch.proxy_train.score import normalisation_of
from effsearch.proxy_train.train import narrow_classifier
from effsearch.proxy_train.worker import prepare_worker
from effsearch.space.cost import count_cost
from effsearch.space.spec import ModelSpec

NAME = "train_recipes"
WANTED = 0.90  # test accuracy of (a)
SEEDS = 3
TIMED_STEPS = 5  # after as many that are not timed

WINNER = dataclasses.replace(FAST, num_epochs=40)
# Ways to more than that: five times the decay; half the rate with it, as most train CIFAR-10; longer, with cutout.
DECAYED = dataclasses.replace(WINNER, weight_decay=5e-4)
SLOWER = dataclasses.replace(DECAYED, learning_rate=0.1)
CUT_OUT = dataclasses.replace(SLOWER, num_epochs=60, augment=AugmentSettings(cutout_share=0.25))
PRETRAINING = FAST  # on the synthetic set
SHORT = dataclasses.replace(FAST, num_epochs=5)
# Mixup and much dropout are for long trainings of large networks: column M, so that all that can grow does.
GROWING = dataclasses.replace(recipe_of("efficientnetv2", num_parameters=54_000_000), num_epochs=40)
# What the last stage has, from the first epoch on.
FIXED = dataclasses.replace(
    GROWING,
    progress=dataclasses.replace(
        GROWING.progress,
        num_stages=1,
        first_size_share=1.0,
        magnitude=(GROWING.progress.magnitude[1],) * 2,
        mixup=(GROWING.progress.mixup[1],) * 2,
        dropout=(GROWING.progress.dropout[-1],) * 2,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One training of the benchmark."""

    name: str
    recipe: Recipe
    is_synthetic: bool = False  # what is trained on, else CIFAR-10
    begins_with: str = ""  # name of the arm whose best weights of the same seed are taken over


ARMS = {
    "winner": (Arm(name="winner", recipe=WINNER),),
    "ways": (
        Arm(name="winner-decay", recipe=DECAYED),
        Arm(name="winner-decay-slower", recipe=SLOWER),
        Arm(name="winner-decay-slower-cutout-60", recipe=CUT_OUT),
    ),
    "transfer": (
        Arm(name="synthetic", recipe=PRETRAINING, is_synthetic=True),
        Arm(name="transferred", recipe=SHORT, begins_with="synthetic"),
        Arm(name="scratch", recipe=SHORT),
    ),
    "progressive": (Arm(name="growing", recipe=GROWING), Arm(name="fixed", recipe=FIXED)),
}


def default_key() -> str:
    """Give the winner of the first recorded search."""
    return next(record["winner"]["key"] for record in read_records("end_to_end") if "winner" in record)


def images_of(arm: Arm) -> ImageData:
    """Give what an arm trains on, at 32 pixels."""
    if arm.is_synthetic:
        return load_images("synthetic", resolution=32, cache_dir=default_cache_dir())
    return load_cifar()


def spec_for(key: str, recipe: Recipe, images: ImageData) -> ModelSpec:
    """Give a network with the classes of the images, as a recipe trains it."""
    return for_recipe(dataclasses.replace(spec_of(key), num_classes=images.num_classes), recipe)


def run_arm(arm: Arm, key: str, seed: int, folder: Path) -> None:
    """Train an arm, or go on with it, and record it once it has ended."""
    done = {(record["arm"], record["key"], record["seed"]) for record in read_records(NAME)}
    if (arm.name, key, seed) in done:
        return
    images = images_of(arm)
    spec = spec_for(key, arm.recipe, images)
    model = build_model(spec, seed=seed)
    narrow_classifier(model)
    if arm.begins_with:
        load_initial(model, folder / f"{arm.begins_with}-{key}-{seed}" / BEST_FILE)
    own = folder / f"{arm.name}-{key}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    training = FullTraining(
        recipe=arm.recipe,
        resolution=images.resolution,
        dropout_rate=spec.head.dropout_rate,
        seed=seed,
    )
    began = time.process_time()
    seen: list[int] = []

    def note(rows: Sequence[EpochRow]) -> None:
        seen.append(rows[-1].epoch)
        print(f"{arm.name}, seed {seed}: {words_of(rows[-1])}", flush=True)

    rows = train_fully(model, images, training, folder=own, on_epoch=note)
    processor_seconds = time.process_time() - began
    load_best(model, own)
    test = score_fully(
        model,
        images.test,
        normalisation=normalisation_of(images),
        resolution=images.resolution,
        compute=ON_CPU,
    )
    record = {
        "arm": arm.name,
        "key": key,
        "seed": seed,
        "recipe": dataclasses.asdict(arm.recipe),
        "multiply_adds": count_cost(spec).multiply_adds,
        "test_accuracy": test.accuracy,
        "test_top5": test.top5,
        "val_accuracy": max(row.best[0] for row in rows),
        "val_by_epoch": [row.best[0] for row in rows],
        "train_seconds": round(sum(row.train_seconds for row in rows), 1),
        # Validation is within; of the epochs since the training was last gone on with, else of all.
        "processor_seconds": round(processor_seconds, 1),
        "epochs_in_processor_seconds": len(seen),
    }
    append_record(NAME, record)
    print(f"{arm.name}, seed {seed}: test accuracy {test.accuracy:.2%}", flush=True)


def words_of(row: EpochRow) -> str:
    """Say what an epoch came to."""
    return f"epoch {row.epoch}: loss {row.train_loss:.3f}, validation {row.best[0]:.2%}, {row.train_seconds:.0f} s"


def print_times(key: str) -> None:
    """Time some steps of each arm at each of its sizes, and print what its whole training would take."""
    print("| arm | epochs | seconds an epoch, by stage | hours for one seed |")
    print("|---|---|---|---|")
    for arms in ARMS.values():
        for arm in arms:
            images = images_of(arm)
            spec = spec_for(key, arm.recipe, images)
            seconds = [time_epoch(recipe, spec, images) for recipe in stages_of(arm.recipe)]
            hours = arm.recipe.num_epochs * statistics.fmean(seconds) / 3600
            shown = ", ".join(f"{one:.0f}" for one in seconds)
            print(f"| {arm.name} | {arm.recipe.num_epochs} | {shown} | {hours:.1f} |", flush=True)


def stages_of(recipe: Recipe) -> Iterator[Recipe]:
    """Give recipes that train as each stage of one does from their first epoch on."""
    progress = recipe.progress
    for index in range(progress.num_stages):
        way = index / max(1, progress.num_stages - 1) if progress.num_stages > 1 else 1.0
        share = progress.first_size_share + way * (1 - progress.first_size_share)
        # A second stage, which is never reached, has the whole size.
        alone = dataclasses.replace(progress, num_stages=2 if share < 1 else 1, first_size_share=share)
        yield dataclasses.replace(recipe, progress=alone, num_epochs=max(2, recipe.num_epochs))


class TimedError(Exception):
    """Enough steps were timed."""


def time_epoch(recipe: Recipe, spec: ModelSpec, images: ImageData) -> float:
    """Give the seconds of an epoch, from some steps in it; CPU seconds, since other jobs may share the machine."""
    moments: list[float] = []

    def take(log: StepLog) -> None:
        if log.step in (TIMED_STEPS, 2 * TIMED_STEPS):
            moments.append(time.process_time())
        if len(moments) == 2:
            raise TimedError

    model = build_model(spec, seed=0)
    training = FullTraining(recipe=recipe, resolution=images.resolution)
    with contextlib.suppress(TimedError):
        train_fully(model, images, training, folder=Path("nowhere"), on_step=take)
    return (moments[1] - moments[0]) / TIMED_STEPS * (len(images.train) // recipe.batch_size)


def print_table() -> None:
    """Print what has been measured."""
    records = read_records(NAME)
    print("| arm | network | seeds | test accuracy | spread | hours each | processor-hours each |")
    print("|---|---|---|---|---|---|---|")
    for name, key in dict.fromkeys((record["arm"], record["key"]) for record in records):
        own = [record for record in records if (record["arm"], record["key"]) == (name, key)]
        scores = [record["test_accuracy"] for record in own]
        spread = f"{statistics.stdev(scores):.2%}" if len(scores) > 1 else ""
        mark = ""
        if name.startswith("winner"):
            mark = f" ({'at least' if min(scores) >= WANTED else 'below'} {WANTED:.0%})"
        hours = statistics.fmean(record["train_seconds"] for record in own) / 3600
        whole = [
            record["processor_seconds"]
            for record in own
            if record.get("epochs_in_processor_seconds") == record["recipe"]["num_epochs"]
        ]
        processor = f"{statistics.fmean(whole) / 3600:.2f}" if whole else ""
        print(
            f"| {name} | {key} | {len(own)} | {statistics.fmean(scores):.2%}{mark} | {spread} | {hours:.2f} "
            f"| {processor} |"
        )


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["time", *ARMS, "table"])
    parser.add_argument(
        "--key", default="", help="of NAS-Bench-Macro; default: the first recorded search's winner"
    )
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--folder", type=Path, default=Path("runs/train_recipes"))
    arguments = parser.parse_args()
    if arguments.what == "table":
        print_table()
        return
    prepare_worker()
    key = arguments.key or default_key()
    print(f"network {key}: {count_cost(spec_of(key)).multiply_adds / 1e6:.1f} M; torch {torch.__version__}")
    if arguments.what == "time":
        print_times(key)
        return
    for seed in range(arguments.seeds):
        for arm in ARMS[arguments.what]:
            run_arm(arm, key, seed, arguments.folder)


if __name__ == "__main__":
    main()
