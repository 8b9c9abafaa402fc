"""How many images a second does this machine train on, beside what a user would write?

    python benchmarks/proxy_throughput.py speed      # images per second, three loops, four networks: about 15 minutes
    python benchmarks/proxy_throughput.py accuracy   # ours and the plain loop after equal epochs: about 15
    python benchmarks/proxy_throughput.py workers    # a list of networks with one worker and with two: about 10
    python benchmarks/proxy_throughput.py table      # what the records say

`speed` runs every loop in turns, on all cores: ours as a search does, one process of one thread for each core; the
rivals in the better of two layouts, one process with all threads or one process for each core. It repeats until the
last three rounds of every loop lie within 10 per cent, else the result is void. Nothing else should run.
"""

import argparse
import contextlib
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from macro_data import load_cifar, load_table, shared_data, spec_of
from recording import append_record, read_records
from rival_loops import extract_jpegs, train_from_jpegs, train_from_memory

from effsearch.commands.pools import prepare_local_worker
from effsearch.proxy_train.augment import to_input
from effsearch.proxy_train.batches import choose_rows
from effsearch.proxy_train.build import build_model
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.score import (
    ProxyEvaluator,
    for_short_training,
    normalisation_of,
    score_on_split,
    train_proxy,
)
from effsearch.proxy_train.train import (
    TrainingStopped,
    TrainSettings,
    narrow_classifier,
    train_model,
)
from effsearch.proxy_train.worker import prepare_worker
from effsearch.search.ablation import mean_interval
from effsearch.search.placement.executor import drive
from effsearch.search.placement.local_pool import ProcessPool
from effsearch.search.placement.pool_executor import PoolExecutor
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.outcome import Evaluation, Fidelity, Job
from effsearch.space.presets import load_preset
from effsearch.space.proxy import proxy_spec
from effsearch.space.space_text import space_from_yaml
from effsearch.space.spec import ModelSpec

NAME = "proxy_throughput"
Loop = Literal["jpegs", "memory", "ours"]
LOOPS: tuple[Loop, ...] = ("jpegs", "memory", "ours")

NUM_IMAGES = 10_000
SECONDS = 6.0  # of one measurement, after the first steps
NUM_FIRST_STEPS = 5  # that do not count: memory is asked for, kernels are compiled
START_SECONDS = 300.0  # until every process of a measurement is ready, else all give up
NUM_ROUNDS = 3  # that must agree
MAX_ROUNDS = 12
MAX_SPREAD = 0.10  # between the slowest and the fastest of those rounds, as a share of their median
MATRIX = 1_024  # side of the matrices whose product is the machine's limit
WARM_UP = Fidelity(num_images=256, num_epochs=1, resolution=16)
EXAMPLES = Path(__file__).parent.parent / "examples"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a loop uses the cores."""

    num_processes: int
    num_threads: int

    def __str__(self) -> str:
        return f"{self.num_processes} x {self.num_threads}"


def networks() -> dict[str, ModelSpec]:
    """Give the networks as they train, at 32 pixels with 10 classes."""
    as_proxy = partial(proxy_spec, num_classes=10)
    whole = Fidelity(num_images=NUM_IMAGES, num_epochs=1, resolution=32)
    small = Fidelity(num_images=NUM_IMAGES, num_epochs=1, resolution=32, num_removed_strides=2)
    space = space_from_yaml((EXAMPLES / "small_space.yaml").read_text(), source="small_space.yaml")
    middle = tuple(len(dimension.labels) // 2 for dimension in space.dimensions)
    found = {
        "b0": as_proxy(load_preset("efficientnet-b0"), small),
        "macro-21121212": as_proxy(spec_of("21121212"), whole),
        "macro-11111111": as_proxy(spec_of("11111111"), whole),
        "demo": as_proxy(space.spec_at(middle, resolution=128, num_classes=10), small),
    }
    settings = TrainSettings()
    return {name: for_short_training(spec, settings) for name, spec in found.items()}


# ---- speed ----


class StopWatch:
    """Asked before each step: lets the first pass, waits for the others, and counts until the time is up."""

    def __init__(self, barrier: Barrier, seconds: float) -> None:
        self._barrier = barrier
        self._seconds = seconds
        self._num_asked = 0
        self._started = 0.0
        self.elapsed = 0.0

    def __call__(self) -> bool:
        """Tell whether the time is up."""
        self._num_asked += 1
        if self._num_asked == NUM_FIRST_STEPS + 1:
            self._barrier.wait()
            self._started = time.perf_counter()
        if self._num_asked > NUM_FIRST_STEPS:
            self.elapsed = time.perf_counter() - self._started
        return self.elapsed >= self._seconds

    @property
    def num_steps(self) -> int:
        """Steps that were timed."""
        return self._num_asked - NUM_FIRST_STEPS - 1


def time_loop(
    loop: Loop,
    spec: ModelSpec,
    jpegs: Path,
    num_threads: int,
    seconds: float,
    barrier: Barrier,
    answers: "SimpleQueue[float]",
) -> None:
    """Train for some seconds in this process, and answer with the images per second."""
    torch.set_num_threads(num_threads)
    watch = StopWatch(barrier, seconds)
    train(loop, spec, load_cifar(), jpegs, num_steps=None, should_stop=watch, seed=0)
    answers.put(watch.num_steps * TrainSettings().batch_size / watch.elapsed)


def train(
    loop: Loop,
    spec: ModelSpec,
    images: ImageData,
    jpegs: Path,
    *,
    num_steps: int | None,
    should_stop: Callable[[], bool],
    seed: int,
) -> torch.nn.Module:
    """Train a fresh network by one of the loops until it is stopped."""
    settings = TrainSettings()
    model = build_model(spec, seed=seed)
    narrow_classifier(model)
    normalisation = normalisation_of(images)
    mean, std = torch.tensor(normalisation.mean), torch.tensor(normalisation.std)
    if loop == "ours":
        prepare_worker()
        with contextlib.suppress(TrainingStopped):
            train_model(
                model,
                images.train,
                settings=settings,
                normalisation=normalisation,
                resolution=spec.resolution,
                num_images=NUM_IMAGES,
                num_epochs=1_000,
                seed=seed,
                should_stop=should_stop,
            )
    elif loop == "memory":
        pixels, labels = in_memory(images, spec.resolution)
        train_from_memory(
            model, pixels, labels, settings=settings, num_steps=num_steps, should_stop=should_stop, seed=seed
        )
    else:
        train_from_jpegs(
            model, jpegs, settings=settings, mean=mean, std=std, num_steps=num_steps, should_stop=should_stop
        )
    return model


def in_memory(images: ImageData, resolution: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Give the training images as the plain loop keeps them: normalised, float32, channels-last."""
    rows = choose_rows(images.train.labels, NUM_IMAGES)
    pixels = torch.from_numpy(np.array(images.train.images[rows]))
    inputs = to_input(pixels, normalisation=normalisation_of(images), resolution=resolution)
    return inputs, torch.from_numpy(np.array(images.train.labels[rows]))


def images_per_second(loop: Loop, spec: ModelSpec, jpegs: Path, layout: Layout, seconds: float) -> float:
    """Give what all processes of a layout train on together."""
    return sum(run_processes(layout.num_processes, time_loop, loop, spec, jpegs, layout.num_threads, seconds))


def run_processes(num_processes: int, work: Callable[..., None], *arguments: Any) -> list[float]:
    """Do some work in several fresh processes that start together; each answers with a number."""
    context = get_context("spawn")
    barrier, answers = context.Barrier(num_processes, timeout=START_SECONDS), context.SimpleQueue()
    processes = [
        context.Process(target=work, args=(*arguments, barrier, answers)) for _ in range(num_processes)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        if process.exitcode:
            raise SystemExit(f"a measuring process ended with exit code {process.exitcode}")
    return [answers.get() for _ in processes]


def time_products(num_threads: int, seconds: float, barrier: Barrier, answers: "SimpleQueue[float]") -> None:
    """Multiply matrices for some seconds, and answer with the multiply-adds per second."""
    torch.set_num_threads(num_threads)
    one, other = torch.randn(MATRIX, MATRIX), torch.randn(MATRIX, MATRIX)
    torch.mm(one, other)
    barrier.wait()
    started, number = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        torch.mm(one, other)
        number += 1
    answers.put(number * MATRIX**3 / (time.perf_counter() - started))


def spread(values: Sequence[float]) -> float:
    """Give how far values lie apart, as a share of their median."""
    return (max(values) - min(values)) / statistics.median(values)


def measure_speed(folder: Path, *, seconds: float, names: Sequence[str]) -> None:
    """Measure every network that was asked for, and append a record of each."""
    num_cores = len(os.sched_getaffinity(0))
    many = Layout(num_processes=num_cores, num_threads=1)
    layouts = {
        loop: [many] if loop == "ours" else [Layout(num_processes=1, num_threads=num_cores), many]
        for loop in LOOPS
    }
    jpegs = extract_jpegs(shared_data() / "cifar10-images.tar.xz", folder, num_images=NUM_IMAGES)
    for name in names:
        spec = networks()[name]
        rates: dict[tuple[Loop, Layout], list[float]] = {}
        loads, products = [], []
        best: dict[Loop, Layout] = {}
        for _ in range(MAX_ROUNDS):
            loads.append(os.getloadavg()[0])
            products.append(sum(run_processes(num_cores, time_products, 1, 1.0)))
            for loop in LOOPS:
                for layout in [best[loop]] if loop in best else layouts[loop]:
                    rate = images_per_second(loop, spec, jpegs, layout, seconds)
                    rates.setdefault((loop, layout), []).append(rate)
                best[loop] = max(
                    layouts[loop], key=lambda one: statistics.median(rates.get((loop, one), [0.0]))
                )
            last = {loop: rates[loop, best[loop]][-NUM_ROUNDS:] for loop in LOOPS}
            print(name, {loop: [round(rate) for rate in found] for loop, found in last.items()}, flush=True)
            is_steady = all(
                len(found) == NUM_ROUNDS and spread(found) <= MAX_SPREAD for found in last.values()
            )
            if is_steady:
                break
        multiply_adds = count_cost(spec).multiply_adds
        ours = statistics.median(last["ours"])
        append_record(
            NAME,
            {
                "what": "speed",
                "network": name,
                "multiply_adds": multiply_adds,
                "is_void": not is_steady,
                "images_per_second": {
                    loop: round(statistics.median(found), 1) for loop, found in last.items()
                },
                "rounds": {loop: [round(rate, 1) for rate in found] for loop, found in last.items()},
                "layouts": {loop: str(best[loop]) for loop in LOOPS},
                "all": {
                    f"{loop} {layout}": [round(rate, 1) for rate in found]
                    for (loop, layout), found in rates.items()
                },
                # A step costs its forward pass and twice as much backward.
                "share_of_matrix_rate": round(3 * multiply_adds * ours / statistics.median(products), 4),
                "matrix_multiply_adds_per_second": round(statistics.median(products)),
                "loads": [round(load, 2) for load in loads],
            },
        )


# ---- accuracy ----


class StepLimit:
    """Asked before each step: lets so many pass."""

    def __init__(self, num_steps: int) -> None:
        self._num_left = num_steps

    def __call__(self) -> bool:
        """Tell whether all steps are taken."""
        self._num_left -= 1
        return self._num_left < 0


def measure_accuracy(folder: Path, *, num_epochs: int, seeds: Sequence[int]) -> None:
    """Train by our loop and by the plain one for equal epochs, and append each accuracy."""
    images = load_cifar()
    done = {
        (record["network"], record["loop"], record["seed"], record["epochs"])
        for record in read_records(NAME)
        if record["what"] == "accuracy"
    }
    settings = TrainSettings()
    steps_per_epoch = NUM_IMAGES // settings.batch_size
    for name, seed, loop in (
        (name, seed, loop)
        for name in ("macro-21121212", "demo")
        for seed in seeds
        for loop in ("memory", "ours")
    ):
        if (name, loop, seed, num_epochs) in done:
            continue
        spec = networks()[name]
        torch.set_num_threads(1)
        started = time.process_time()
        if loop == "ours":
            prepare_worker()
            model: torch.nn.Module = build_model(spec, seed=seed)
            narrow_classifier(model)  # type: ignore[arg-type]
            train_model(
                model,
                images.train,
                settings=settings,
                normalisation=normalisation_of(images),
                resolution=spec.resolution,
                num_images=NUM_IMAGES,
                num_epochs=num_epochs,
                seed=seed,
            )
        else:
            should_stop = StepLimit(steps_per_epoch * num_epochs)
            model = train(
                "memory",
                spec,
                images,
                folder,
                num_steps=steps_per_epoch * num_epochs,
                should_stop=should_stop,
                seed=seed,
            )
        seconds = time.process_time() - started
        score = score_on_split(
            model,
            images.val,
            normalisation=normalisation_of(images),
            resolution=spec.resolution,
            max_images=settings.max_val_images,
        )
        record = {
            "what": "accuracy",
            "network": name,
            "loop": loop,
            "seed": seed,
            "epochs": num_epochs,
            "accuracy": score.accuracy,
            "core_seconds": round(seconds, 1),
        }
        append_record(NAME, record)
        print(record, flush=True)


# ---- workers ----


def equal_networks(number: int) -> list[str]:
    """Give keys of networks of nearly one cost, so that no worker is left with a larger share."""
    ordered = sorted(load_table().values(), key=lambda network: abs(network.multiply_adds - 50_000_000))
    return [network.key for network in ordered[:number]]


def train_list(
    keys: Sequence[str],
    num_processes: int,
    fidelity: Fidelity,
    barrier: Barrier,
    answers: "SimpleQueue[float]",
) -> None:
    """Train this process's share of a list, and answer with the seconds it took."""
    prepare_worker()
    images = load_cifar()
    train_proxy(images, spec_of(keys[0]), WARM_UP, 0, TrainSettings())
    place = barrier.wait()
    started = time.perf_counter()
    evaluate = ProxyEvaluator(handle=images.handle, settings=TrainSettings())
    for key in keys[place::num_processes]:
        evaluate(spec_of(key), fidelity, 0)
    answers.put(time.perf_counter() - started)


def seconds_of_executor(keys: Sequence[str], num_workers: int, fidelity: Fidelity) -> float:
    """Give the seconds that a search's executor takes for a list, with workers already up."""
    images = load_cifar()
    executor = PoolExecutor(
        ProxyEvaluator(handle=images.handle, settings=TrainSettings()),
        partial(ProcessPool, num_workers=num_workers, prepare=prepare_local_worker),
    )

    def jobs_of(some: Sequence[str], one: Fidelity) -> Callable[[], Job | None]:
        waiting = iter(some)

        def propose() -> Job | None:
            key = next(waiting, None)
            if key is None:
                return None
            spec = spec_of(key)
            return Job(
                kind="final",
                name=key,
                spec=spec,
                network=network_hash(spec),
                cost=count_cost(spec),
                fidelity=one,
                seed=0,
            )

        return propose

    def take(evaluation: Evaluation) -> None:
        if evaluation.result is None:
            raise SystemExit(f"{evaluation.job.name} failed: {evaluation.failure}")

    try:
        drive(executor, propose=jobs_of([keys[0]] * num_workers, WARM_UP), take=take)
        started = time.perf_counter()
        drive(executor, propose=jobs_of(keys, fidelity), take=take)
        return time.perf_counter() - started
    finally:
        executor.close()


def measure_workers(*, num_networks: int, num_images: int, num_rounds: int) -> None:
    """Measure the speed-up of the second worker, and of a second process that knows nothing of a search."""
    keys = equal_networks(num_networks)
    fidelity = Fidelity(num_images=num_images, num_epochs=1, resolution=16)
    for _ in range(num_rounds):
        load = os.getloadavg()[0]
        ours = [seconds_of_executor(keys, number, fidelity) for number in (1, 2)]
        plain = [max(run_processes(number, train_list, keys, number, fidelity)) for number in (1, 2)]
        record = {
            "what": "workers",
            "networks": num_networks,
            "images": num_images,
            "seconds": [round(one, 2) for one in ours],
            "plain_seconds": [round(one, 2) for one in plain],
            "speed_up": round(ours[0] / ours[1], 3),
            "plain_speed_up": round(plain[0] / plain[1], 3),
            "load": round(load, 2),
        }
        append_record(NAME, record)
        print(record, flush=True)


# ---- table ----


def print_table() -> None:
    """Print what the records say, the newest of each network."""
    records = read_records(NAME)
    newest = {record["network"]: record for record in records if record["what"] == "speed"}
    for name, record in newest.items():
        rates = record["images_per_second"]
        words = ", ".join(
            f"{loop} {rates[loop]:,.0f} ({record['layouts'][loop]}, spread {spread(record['rounds'][loop]):.0%})"
            for loop in LOOPS
        )
        void = "VOID, " if record["is_void"] else ""
        print(
            f"{name}: {void}{words}; ours is {rates['ours'] / rates['jpegs']:.2f} x jpegs and "
            f"{rates['ours'] / rates['memory']:.2f} x memory, at {record['share_of_matrix_rate']:.0%} of the rate "
            "of a matrix product"
        )
    accuracies = [record for record in records if record["what"] == "accuracy"]
    for name, num_epochs in dict.fromkeys((one["network"], one["epochs"]) for one in accuracies):
        for loop in ("memory", "ours"):
            rows = [
                one
                for one in accuracies
                if (one["network"], one["epochs"], one["loop"]) == (name, num_epochs, loop)
            ]
            if not rows:
                continue
            interval = mean_interval([100 * one["accuracy"] for one in rows])
            bounds = "" if interval.low is None else f" ({interval.low:.1f} to {interval.high:.1f})"
            seconds = statistics.fmean(one["core_seconds"] for one in rows)
            print(
                f"{name}, {num_epochs} epochs, {loop}: {interval.mean:.1f}%{bounds} over {len(rows)} seeds, "
                f"{seconds:.0f} core-seconds"
            )
    for record in records:
        if record["what"] == "workers":
            share = record["speed_up"] / record["plain_speed_up"]
            print(
                f"second worker: {record['speed_up']:.2f} x, independent processes {record['plain_speed_up']:.2f} x: "
                f"{share:.2f} of it"
            )


def main() -> None:
    """Measure, or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    speed = commands.add_parser("speed")
    speed.add_argument("--seconds", type=float, default=SECONDS, help="of one measurement")
    speed.add_argument("--networks", nargs="+", choices=sorted(networks()), default=list(networks()))
    accuracy = commands.add_parser("accuracy")
    accuracy.add_argument("--epochs", type=int, default=3)
    accuracy.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    workers = commands.add_parser("workers")
    workers.add_argument("--networks", type=int, default=20)
    workers.add_argument("--images", type=int, default=2_000)
    workers.add_argument("--rounds", type=int, default=3)
    for one in (speed, accuracy, workers):
        one.add_argument("--folder", type=Path, default=Path("runs/throughput"), help="for the JPEGs")
    commands.add_parser("table")
    options = parser.parse_args()
    if options.command == "speed":
        measure_speed(options.folder, seconds=options.seconds, names=options.networks)
    elif options.command == "accuracy":
        measure_accuracy(options.folder, num_epochs=options.epochs, seeds=options.seeds)
    elif options.command == "workers":
        measure_workers(num_networks=options.networks, num_images=options.images, num_rounds=options.rounds)
    else:
        print_table()


if __name__ == "__main__":
    main()
