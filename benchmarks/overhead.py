"""What does handing out work cost: in time of the workers, and in time and memory of the driver?

    python benchmarks/overhead.py                     on processes of this machine
    python benchmarks/overhead.py --engine ray        on Ray, started here or at --address
    ... overhead.py --only ideal|driver|memory        one of the three

ideal: tasks that sleep a second on 16 workers, all of them up, 320 in all; the share of the time that they would take
if handing out, answering and recording took none. driver: what the driver does for a trial but for the sampler's
proposal, which stands beside it: the last 60 of 2,000 in a search that goes on. memory: what its process held at the
most with 5,000. Trials are recorded as a command records them: ledger, synced, and Optuna's journal. Times are of the
wall clock and of the core: they differ where the disk is waited for or the machine is shared. Every call appends to
benchmarks/results/overhead.jsonl.
"""

import argparse
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line has it

import numpy as np
from overhead_work import Nap, score_at_once, sleep
from recording import append_record

from effsearch.commands.placement import Engine, make_placement
from effsearch.commands.pools import open_pool
from effsearch.results.evaluations import to_entry
from effsearch.results.ledger import Ledger
from effsearch.search.baseline import search_baseline
from effsearch.search.placement.pool import Ended, Pool
from effsearch.search.placement.pool_around import PoolAround
from effsearch.search.placement.pool_executor import PoolExecutor
from effsearch.search.problem import Problem, SamplerName, SearchSettings
from effsearch.search.proposers.make_proposer import make_proposer
from effsearch.search.proposers.proposer import Proposal, Proposer
from effsearch.search.study import JournalStudy, finished_trial
from effsearch.space.budget import parse_budgets
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.outcome import Evaluation, Fidelity, Job, ProxyResult, derive_seed
from effsearch.space.screening import UPPER_SHARE, draw_inside
from effsearch.space.shipped_spaces import load_shipped_space

NAME = "overhead"
TASK_SECONDS = 1.0
WARM_SECONDS = 300.0  # until every worker must be up
NUM_WORKERS, NUM_TASKS = 16, 320
DRIVER_TRIALS, MEMORY_TRIALS = 2_000, 5_000
NUM_TIMED = 60  # trials at the end of a run
DRIVER_WORKERS = 2
AIMS = {"share of the ideal": 0.95, "driver, ms a trial": 20.0, "driver, MB": 500.0}


# ---- share of the ideal ----


def measure_ideal(engine: Engine, address: str | None) -> dict[str, Any]:
    """Time many short tasks on workers that are up, from the first hand-out to the last result."""
    placement = make_placement(engine=engine, address=address, num_workers=NUM_WORKERS)
    pool: Pool[Nap, str] = open_pool(sleep, placement, say=print)
    try:
        warm_up(pool)
        started = time.perf_counter(), time.process_time()
        ended = _do_all(pool, [Nap(f"nap {index}", TASK_SECONDS) for index in range(NUM_TASKS)])
        wall, core = time.perf_counter() - started[0], time.process_time() - started[1]
    finally:
        pool.close()
    assert len(ended) == NUM_TASKS
    assert not any(one.failure for one in ended)
    ideal = NUM_TASKS * TASK_SECONDS / pool.num_slots
    return {
        "workers": pool.num_slots,
        "tasks": NUM_TASKS,
        "seconds": round(wall, 3),
        "share_of_ideal": round(ideal / wall, 4),
        "driver_core_seconds": round(core, 3),
    }


def warm_up(pool: Pool[Nap, str]) -> None:
    """Give tasks until every worker has done one: on Ray the first that are up take the tasks of those to come."""
    until = time.monotonic() + WARM_SECONDS
    workers: set[str | None] = set()
    while len(workers) < pool.num_slots:
        assert time.monotonic() < until, f"{len(workers)} of {pool.num_slots} workers came up"
        tasks = [Nap(f"warm {index}", TASK_SECONDS) for index in range(pool.num_slots)]
        workers |= {ended.value for ended in _do_all(pool, tasks)} - {None}


def _do_all(pool: Pool[Nap, str], tasks: list[Nap]) -> list[Ended[Nap, str]]:
    """Keep every slot busy; the first tasks go out one by one, as many as there are slots."""
    waiting, ended = iter(tasks), list[Ended[Nap, str]]()
    is_more = True
    while is_more or pool.num_running:
        while is_more and pool.num_running < pool.num_slots:
            task = next(waiting, None)
            if task is None:
                is_more = False
            else:
                pool.submit(task)
        if pool.num_running:
            ended.append(pool.wait())
    return ended


# ---- the driver ----


@dataclass(frozen=True, slots=True)
class Moment:
    """A time by both clocks."""

    wall: float
    core: float

    def __sub__(self, other: "Moment") -> "Moment":
        return Moment(self.wall - other.wall, self.core - other.core)

    def __add__(self, other: "Moment") -> "Moment":
        return Moment(self.wall + other.wall, self.core + other.core)


def now() -> Moment:
    """Give the present; the core's clock is this process's alone."""
    return Moment(time.perf_counter(), time.process_time())


class TrialTimes:
    """What the driver did between two waits for a worker: what the sampler took of it, and the rest."""

    def __init__(self) -> None:
        self.asks: list[Moment] = []
        self.rests: list[Moment] = []
        self._ask = Moment(0.0, 0.0)
        self._awake_since: Moment | None = None

    def note_ask(self, taken: Moment) -> None:
        """Take one proposal."""
        self._ask += taken

    def sleep(self) -> None:
        """End a trial: the driver waits for a worker now."""
        if self._awake_since is not None:
            self.asks.append(self._ask)
            self.rests.append(now() - self._awake_since - self._ask)
        self._ask = Moment(0.0, 0.0)

    def wake(self) -> None:
        """Begin a trial: a worker has ended one."""
        self._awake_since = now()


class TimedProposer:
    """A proposer whose proposals are timed.

    Args:
        proposer: Proposes.
        times: Are told.
    """

    def __init__(self, proposer: Proposer, times: TrialTimes) -> None:
        self._proposer = proposer
        self._times = times

    def propose(self, budget_index: int) -> Proposal | None:
        """Propose, and say what that took."""
        started = now()
        proposal = self._proposer.propose(budget_index)
        self._times.note_ask(now() - started)
        return proposal

    def __getattr__(self, name: str) -> Any:  # Any: all that a proposer has, as it is
        return getattr(self._proposer, name)


class TimedPool(PoolAround[Job, ProxyResult]):
    """A pool that says when its driver waits.

    Args:
        pool: Does the work.
        times: Are told.
    """

    def __init__(self, pool: Pool[Job, ProxyResult], times: TrialTimes) -> None:
        super().__init__(pool)
        self._times = times

    def wait(self) -> Ended[Job, ProxyResult]:
        """Wait for a worker, which is not the driver's time."""
        self._times.sleep()
        ended = self._pool.wait()
        self._times.wake()
        return ended


def measure_driver(
    engine: Engine, address: str | None, *, num_trials: int, sampler: SamplerName
) -> dict[str, Any]:
    """Time the driver of a search that goes on and whose trainings cost nothing."""
    problem = Problem(
        space=load_shipped_space("mbconv"),
        budgets=parse_budgets("400M-FLOPs"),
        resolution=224,
        num_classes=1000,
        rungs=(Fidelity(num_images=1_000, num_epochs=1, resolution=32),),
    )
    settings = SearchSettings(
        num_trials=num_trials, minutes=None, seed=0, sampler=sampler, num_finalists=1, num_seeds=1
    )
    history = make_history(problem, num_trials - NUM_TIMED)
    times = TrialTimes()
    placement = make_placement(engine=engine, address=address, num_workers=DRIVER_WORKERS)

    def start_pool(work: Callable[[Job], ProxyResult]) -> Pool[Job, ProxyResult]:
        return TimedPool(open_pool(work, placement, say=print), times)

    proposer = make_proposer(problem, settings, screened={}, earlier=(), seed=0)
    executor = PoolExecutor(score_at_once, start_pool)
    try:
        with recording_as_commands_do(problem) as record:
            for evaluation in history:
                record(evaluation)
            search_baseline(
                problem,
                settings,
                executor=executor,
                proposer=TimedProposer(proposer, times),
                clock=time.monotonic,
                record=record,
                history=history,
            )
    finally:
        executor.close()
    return {
        "sampler": sampler,
        "trials": num_trials,
        "timed": len(times.rests),
        **quantiles("driver", times.rests),
        **quantiles("ask", times.asks),
        "most_megabytes": round(most_megabytes(), 1),
    }


def make_history(problem: Problem, num_trials: int) -> list[Evaluation]:
    """Give the trainings of earlier calls: networks drawn inside the budget, each once."""
    points = draw_inside(
        problem.space,
        problem.budget,
        num_trials + num_trials // 2,
        resolution=problem.resolution,
        num_classes=problem.num_classes,
        rng=np.random.default_rng(0),
        least_share=UPPER_SHARE,
    )
    found: dict[str, Evaluation] = {}
    for point in points.tolist():
        spec = problem.space.spec_at(point, resolution=problem.resolution, num_classes=problem.num_classes)
        network = network_hash(spec)
        job = Job(
            kind="trial",
            name=f"trial {len(found) + 1}",
            spec=spec,
            network=network,
            cost=count_cost(spec),
            fidelity=problem.rungs[0],
            seed=derive_seed(0, network, 0),
            choices=problem.space.labels_at(point),
        )
        result = score_at_once(spec, job.fidelity, job.seed)
        found.setdefault(network, Evaluation(job=job, result=result, seconds=0.1))
        if len(found) == num_trials:
            break
    assert len(found) == num_trials
    return list(found.values())


def quantiles(name: str, moments: list[Moment]) -> dict[str, float]:
    """Give the median and the 95th percentile by both clocks, in milliseconds."""
    found = {}
    for clock in ("wall", "core"):
        times = [1_000 * getattr(moment, clock) for moment in moments]
        found[f"{name}_ms_{clock}_median"] = round(float(np.median(times)), 2)
        found[f"{name}_ms_{clock}_95"] = round(float(np.quantile(times, 0.95)), 2)
    return found


@contextmanager
def recording_as_commands_do(problem: Problem) -> Iterator[Callable[[Evaluation], None]]:
    """Give what keeps a training as a command does: in a ledger, and in Optuna's journal."""
    with tempfile.TemporaryDirectory() as name:
        study = JournalStudy(Path(name, "study.journal"), study_name="baseline")
        with Ledger.open(Path(name, "ledger.jsonl")) as ledger:

            def record(evaluation: Evaluation) -> None:
                job, result = evaluation.job, evaluation.result
                entry = partial(to_entry, data_fingerprint="none", settings_hash="none")
                ledger.append(entry(evaluation, now=datetime.now(UTC)))
                values = None if result is None else (result.val_accuracy,)
                study.add(finished_trial(problem.space, job.choices, values=values, network=job.network))

            yield record


def most_megabytes() -> float:
    """Give the most memory that this process ever held."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    """Measure, print, and append."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--engine", choices=("local", "ray"), default="local")
    parser.add_argument("--address", help="of a Ray cluster; default: one started here")
    parser.add_argument("--only", choices=("ideal", "driver", "memory"))
    parser.add_argument("--sampler", default="thompson", help="of the searches")
    options = parser.parse_args()
    engine: Engine = options.engine
    search = partial(measure_driver, engine, options.address, sampler=options.sampler)
    measures: dict[str, Callable[[], dict[str, Any]]] = {
        "ideal": partial(measure_ideal, engine, options.address),
        "driver": partial(search, num_trials=DRIVER_TRIALS),
        "memory": partial(search, num_trials=MEMORY_TRIALS),
    }
    for what, measure in measures.items():
        if options.only in (None, what):
            record = {"what": what, "engine": engine, **measure()}
            print(record, flush=True)
            append_record(NAME, record)
    print("aims:", ", ".join(f"{name} {aim:g}" for name, aim in AIMS.items()))


if __name__ == "__main__":
    main()
