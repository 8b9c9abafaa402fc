"""How many images a second does each loop train on, when it has the whole machine?"""

import os
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from macro_data import load_cifar, shared_data
from matrix_limit import limit_of, measure_products
from processes import run_processes
from recording import append_record
from rival_loops import extract_jpegs
from throughput_loops import (
    LOOPS,
    NAME,
    NUM_IMAGES,
    Loop,
    networks,
    prepare,
    train,
    training_multiply_adds,
)

from effsearch.proxy_train.train import TrainSettings
from effsearch.space.cost import count_cost
from effsearch.space.spec import ModelSpec

SECONDS = 6.0  # of one measurement, after the first steps
NUM_FIRST_STEPS = 5  # that do not count: memory is asked for, kernels are compiled
NUM_ROUNDS = 3  # that must agree
MAX_ROUNDS = 12
MAX_SPREAD = 0.10  # between the slowest and the fastest of those rounds, as a share of their median


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """How a loop uses the cores."""

    num_processes: int
    num_threads: int

    def __str__(self) -> str:
        return f"{self.num_processes} x {self.num_threads}"


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
    prepare(loop, num_threads)
    watch = StopWatch(barrier, seconds)
    train(loop, spec, load_cifar(), jpegs, num_epochs=None, seed=0, should_stop=watch)
    answers.put(watch.num_steps * TrainSettings().batch_size / watch.elapsed)


def images_per_second(loop: Loop, spec: ModelSpec, jpegs: Path, layout: Layout, seconds: float) -> float:
    """Give what all processes of a layout train on together."""
    rates: list[float] = run_processes(
        layout.num_processes, time_loop, loop, spec, jpegs, layout.num_threads, seconds
    )
    return sum(rates)


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
            products.append(measure_products(num_cores, clock=time.perf_counter))  # as the images are timed
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
        # Of the rounds that count; each share is of a rate and a limit of one round.
        products = products[-NUM_ROUNDS:]
        of_products = {one: statistics.median(found[one] for found in products) for one in products[0]}
        product, limit = limit_of(of_products)
        share = statistics.median(
            training_multiply_adds(spec) * ours / found[product]
            for ours, found in zip(last["ours"], products, strict=True)
        )
        append_record(
            NAME,
            {
                "what": "speed",
                "network": name,
                "multiply_adds": count_cost(spec).multiply_adds,
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
                "share_of_matrix_rate": round(share, 4),
                "matrix_multiply_adds_per_second": round(limit),
                "matrix_product": product,
                "matrix_products": {one: round(rate) for one, rate in of_products.items()},
                "loads": [round(load, 2) for load in loads],
            },
        )
