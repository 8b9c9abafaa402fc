"""What worker processes run in tests: a module of its own, which a spawned process can import."""

import os
import time

from effsearch.space.outcome import Fidelity, ProxyResult, TrainingFailed
from effsearch.space.spec import ModelSpec

DIES, FAILS, BREAKS, SLEEPS = 101, 102, 103, 104  # seeds


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
