"""What worker processes run in tests: a module of its own, which a spawned process can import."""

import os
import time
from dataclasses import dataclass

from effsearch.space.errors import DataError
from effsearch.space.outcome import Fidelity, ProxyResult, TrainingFailed
from effsearch.space.spec import ModelSpec

DIES, FAILS, BREAKS, SLEEPS, REFUSES = 101, 102, 103, 104, 105  # seeds


def prepare() -> None:
    os.environ["PREPARED"] = str(int(os.environ.get("PREPARED", 0)) + 1)


def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
    if seed == DIES:
        os._exit(7)
    if seed == FAILS:
        raise TrainingFailed("the loss is not a number")
    if seed == BREAKS:
        raise ValueError("shapes differ")
    if seed == SLEEPS:
        time.sleep(600)
    return ProxyResult(
        val_accuracy=seed / 1000,
        val_loss=float(os.environ["PREPARED"]),
        train_seconds=0.0,
        num_images_seen=os.getpid(),
    )


@dataclass(frozen=True)
class NumberTask:
    """A task that is its seed."""

    seed: int

    @property
    def name(self) -> str:
        return f"number {self.seed}"


def work(task: NumberTask) -> tuple[int, int, int]:
    """Give the number, how often this process was prepared, and which process it is."""
    if task.seed == REFUSES:
        raise DataError("the images changed")
    result = evaluate(None, None, task.seed)  # type: ignore[arg-type]  # it looks at the seed alone
    return task.seed, int(result.val_loss), result.num_images_seen
