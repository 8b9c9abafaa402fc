"""What worker processes run in tests: a module of its own, which a spawned process can import."""

import gc
import os
import signal
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from effsearch.space.errors import DataError
from effsearch.space.outcome import Fidelity, OutOfMemory, ProxyResult, TrainingFailed
from effsearch.space.spec import ModelSpec

DIES, FAILS, BREAKS, SLEEPS, REFUSES, KILLED, STARVES = 101, 102, 103, 104, 105, 106, 107  # seeds


def prepare(slot: int = 0) -> None:
    os.environ["PREPARED"] = str(int(os.environ.get("PREPARED", 0)) + 1)


def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
    if seed == DIES:
        os._exit(7)
    if seed == KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    if seed == FAILS:
        raise TrainingFailed("the loss is not a number")
    if seed == STARVES:
        raise OutOfMemory("out of memory: 9 bytes")
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


@dataclass(frozen=True)
class LongAnswer:
    """A task whose answer no pipe holds."""

    name: str = "long"
    seed: int = 0


@dataclass(frozen=True)
class LargeTask:
    """A task that no pipe holds."""

    content: bytes = bytes(10_000_000)
    name: str = "large"
    seed: int = 1


@dataclass
class CountTask:
    """A task whose answer is how many like it its process holds."""

    name: str = "count"


def work(task: NumberTask | LongAnswer | CountTask) -> Any:
    """Give the number, how often this process was prepared, and which process it is."""
    if isinstance(task, LongAnswer):
        return bytes(10_000_000)
    if isinstance(task, CountTask):
        return sum(isinstance(one, CountTask) for one in gc.get_objects())
    if task.seed == REFUSES:
        raise DataError("the images changed")
    result = evaluate(None, None, task.seed)  # type: ignore[arg-type]  # it looks at the seed alone
    return task.seed, int(result.val_loss), result.num_images_seen


def refuse_to_prepare(slot: int) -> None:
    """Fail in the second worker."""
    if slot == 1:
        raise ValueError("no such device")


def die_while_preparing(slot: int) -> None:
    """End the process, as a library that finds its device gone may do."""
    os._exit(3)


def prepare_for_long(slot: int) -> None:
    """Take longer than a task is allowed to."""
    time.sleep(20)


def remember_slot(slot: int) -> None:
    """Keep the slot for `describe_worker`."""
    os.environ["SLOT"] = str(slot)


def describe_worker(task: NumberTask) -> tuple[int, bool]:
    """Give this worker's slot, and whether Ctrl-C is blocked; killed workers give nothing."""
    if task.seed == KILLED:
        os.kill(os.getpid(), signal.SIGKILL)
    return int(os.environ["SLOT"]), signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def is_faulty(seed: int, attempt: int, share: float) -> bool:
    """Tell whether a training goes wrong, by what looks like chance and is always the same."""
    return (seed * 2_654_435_761 + attempt * 40_503) % 1_000 < 1_000 * share


@dataclass(frozen=True)
class FaultyEvaluator:
    """Scores a network by its seed; now and then its worker is killed or hangs, whatever the network."""

    folder: Path  # a file for each attempt, which a killed process leaves behind
    share_killed: float
    share_hung: float = 0.0

    def __call__(self, spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        attempt = len(list(self.folder.glob(f"{seed}-*")))
        (self.folder / f"{seed}-{attempt}").touch()
        if is_faulty(seed, attempt, self.share_killed):
            os.kill(os.getpid(), signal.SIGKILL)
        if is_faulty(seed + 1, attempt, self.share_hung):
            time.sleep(600)
        return ProxyResult(
            val_accuracy=seed % 97 / 97, val_loss=1.0, train_seconds=0.0, num_images_seen=os.getpid()
        )


@dataclass(frozen=True)
class LimitedEvaluator:
    """Takes as many megabytes for a batch of 64 as its seed, in a process that may have only so many more."""

    megabytes_allowed: int
    batch_size: int = 64

    def __call__(self, spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        import resource

        import torch

        from effsearch.proxy_train.memory import memory_as_failure

        in_use = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        allowed = in_use + self.megabytes_allowed * 2**20
        resource.setrlimit(resource.RLIMIT_AS, (allowed, resource.RLIM_INFINITY))
        try:
            with memory_as_failure():
                torch.zeros(self.batch_size, seed, 2**20 // 64, dtype=torch.uint8)
        finally:
            resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        return ProxyResult(val_accuracy=0.5, val_loss=1.0, train_seconds=0.0, num_images_seen=self.batch_size)

    def with_batch_share(self, share: float) -> "LimitedEvaluator":
        return replace(self, batch_size=int(self.batch_size * share))
