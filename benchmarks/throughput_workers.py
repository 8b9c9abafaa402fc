"""How much faster is a list of networks trained by two workers than by one?"""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier

from macro_data import load_cifar, load_table, spec_of
from processes import run_processes
from recording import append_record
from throughput_loops import NAME

from effsearch.commands.pools import prepare_local_worker
from effsearch.proxy_train.evaluator import ProxyEvaluator
from effsearch.proxy_train.short_training import train_proxy
from effsearch.proxy_train.train import TrainSettings
from effsearch.proxy_train.worker import prepare_worker
from effsearch.search.placement.executor import drive
from effsearch.search.placement.local_pool import ProcessPool
from effsearch.search.placement.pool_executor import PoolExecutor
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.outcome import Evaluation, Fidelity, Job

WARM_UP = Fidelity(num_images=256, num_epochs=1, resolution=16)


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
