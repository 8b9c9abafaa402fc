"""How does a benchmark train many networks on all cores, and go on where it stopped?"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from recording import append_record, read_records

from effsearch.commands.placement import usable_cores
from effsearch.commands.pools import prepare_local_worker
from effsearch.proxy_train.evaluator import ProxyEvaluator, evaluate_on_test
from effsearch.proxy_train.train import TrainSettings
from effsearch.search.placement.executor import drive
from effsearch.search.placement.local_pool import ProcessPool
from effsearch.search.placement.pool_executor import PoolExecutor
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.outcome import Evaluation, Fidelity, Job, ProxyResult
from effsearch.space.spec import ModelSpec


@dataclass(frozen=True, slots=True)
class TestEvaluator:
    """Trains as a search would, and gives the accuracy on the test images in place of the validation's."""

    handle: Path

    def __call__(self, spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        """Train and score on all test images."""
        evaluator = ProxyEvaluator(handle=self.handle, settings=TrainSettings())
        final = evaluate_on_test(evaluator, spec, fidelity, seed)
        return ProxyResult(
            val_accuracy=final.test_accuracy,
            val_loss=final.test_loss,
            train_seconds=final.train_seconds,
            num_images_seen=fidelity.num_images * fidelity.num_epochs,
        )


@dataclass(frozen=True, slots=True)
class TimedEvaluator:
    """Trains as a search would, and gives the core-seconds of all of it in place of the training's seconds."""

    evaluate: ProxyEvaluator

    def __call__(self, spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        """Train and score one network."""
        started = time.process_time()
        result = self.evaluate(spec, fidelity, seed)
        return replace(result, train_seconds=time.process_time() - started)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arm:
    """One training of a benchmark: a name, a network, a fidelity and a seed."""

    name: str
    spec: ModelSpec
    fidelity: Fidelity
    seed: int


def train_arms(
    benchmark: str,
    arms: Sequence[Arm],
    evaluate: Callable[[ModelSpec, Fidelity, int], ProxyResult],
    *,
    data: str,
) -> dict[tuple[str, int], float]:
    """Train what is not yet in the benchmark's file, append each as it ends, and give accuracy by (name, seed)."""
    done: dict[tuple[str, int], float] = {}
    keys = {(arm.name, arm.seed): _key(arm, data) for arm in arms}
    for record in read_records(benchmark):
        pair = (record.get("arm", ""), record.get("seed", -1))
        if pair in keys and record.get("key") == keys[pair]:
            done[pair] = record["accuracy"]
    waiting = iter([arm for arm in arms if (arm.name, arm.seed) not in done])

    def propose() -> Job | None:
        arm = next(waiting, None)
        if arm is None:
            return None
        return Job(
            kind="final",
            name=arm.name,
            spec=arm.spec,
            network=network_hash(arm.spec),
            cost=count_cost(arm.spec),
            fidelity=arm.fidelity,
            seed=arm.seed,
        )

    def take(evaluation: Evaluation) -> None:
        job = evaluation.job
        if evaluation.result is None:
            print(f"{job.name}, seed {job.seed}: failed, {evaluation.failure}")
            return
        pair = (job.name, job.seed)
        done[pair] = evaluation.result.val_accuracy
        print(f"{job.name}, seed {job.seed}: {done[pair]:.3f} in {evaluation.seconds:.0f} s", flush=True)
        append_record(
            benchmark,
            {
                "arm": job.name,
                "seed": job.seed,
                "key": keys[pair],
                "data": data,
                "multiply_adds": job.cost.multiply_adds,
                "accuracy": done[pair],
                "seconds": round(evaluation.seconds, 1),
            },
        )

    start_pool = partial(ProcessPool, num_workers=usable_cores(), prepare=prepare_local_worker)
    executor = PoolExecutor(evaluate, start_pool)
    started = time.monotonic()
    try:
        drive(executor, propose=propose, take=take)
    finally:
        executor.close()
    print(f"{len(done)} trainings, {time.monotonic() - started:.0f} s in this call")
    return done


def _key(arm: Arm, data: str) -> str:
    """All that a benchmark's score depends on, as one string."""
    parts: list[Any] = [network_hash(arm.spec), data, arm.fidelity, TrainSettings()]
    return " ".join(map(str, parts))
