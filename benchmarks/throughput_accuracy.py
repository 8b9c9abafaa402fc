"""Do our loop and the plain one come to the same accuracy after equal epochs?

Core-seconds are a training's from its first step on, after some steps of another that do not count: neither the
loading and testing of our kernels is among them, nor what the plain loop does to lay its images out in memory.
"""

import math
import time
from collections.abc import Sequence
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from macro_data import load_cifar
from processes import run_processes
from recording import append_record, read_records
from throughput_loops import NAME, Loop, networks, prepare, train

from effsearch.proxy_train.score import normalisation_of, score_on_split
from effsearch.proxy_train.train import TrainSettings

LOOPS: tuple[Loop, ...] = ("memory", "ours")
NETWORKS = ("macro-21121212", "demo")
NUM_WARM_STEPS = 3


class CoreWatch:
    """Asked before each step: starts at the first, and stops a training that goes on for too long.

    Args:
        num_steps: After which the training is stopped.
    """

    def __init__(self, num_steps: float = math.inf) -> None:
        self._num_left = num_steps
        self._started: float | None = None

    def __call__(self) -> bool:
        """Tell whether all steps are done."""
        if self._started is None:
            self._started = time.process_time()
        self._num_left -= 1
        return self._num_left < 0

    def seconds(self) -> float:
        """Give the core-seconds since the first step began."""
        assert self._started is not None, "no step was taken"
        return time.process_time() - self._started


def train_and_score(
    loop: Loop,
    network: str,
    folder: Path,
    num_epochs: int,
    seed: int,
    barrier: Barrier,
    answers: "SimpleQueue[tuple[float, float]]",
) -> None:
    """Train in this process, and answer with the validation accuracy and the core-seconds of the training."""
    prepare(loop, num_threads=1)
    barrier.wait()
    images, spec = load_cifar(), networks()[network]
    train(loop, spec, images, folder, num_epochs=None, seed=seed, should_stop=CoreWatch(NUM_WARM_STEPS))
    watch = CoreWatch()
    model = train(loop, spec, images, folder, num_epochs=num_epochs, seed=seed, should_stop=watch)
    seconds = watch.seconds()
    score = score_on_split(
        model,
        images.val,
        normalisation=normalisation_of(images),
        resolution=spec.resolution,
        max_images=TrainSettings().max_val_images,
    )
    answers.put((score.accuracy, seconds))


def measure_accuracy(folder: Path, *, num_epochs: int, seeds: Sequence[int]) -> None:
    """Train each network that has no record yet in a process of its own, and append its accuracy."""
    done = {
        (record["network"], record["loop"], record["seed"], record["epochs"])
        for record in read_records(NAME)
        if record["what"] == "accuracy"
    }
    for name, seed, loop in ((name, seed, loop) for name in NETWORKS for seed in seeds for loop in LOOPS):
        if (name, loop, seed, num_epochs) in done:
            continue
        ((accuracy, seconds),) = run_processes(1, train_and_score, loop, name, folder, num_epochs, seed)
        record = {
            "what": "accuracy",
            "network": name,
            "loop": loop,
            "seed": seed,
            "epochs": num_epochs,
            "accuracy": accuracy,
            "core_seconds": round(seconds, 1),
        }
        append_record(NAME, record)
        print(record, flush=True)
