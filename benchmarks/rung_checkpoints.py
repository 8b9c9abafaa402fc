"""Does a promoted network that goes on from its weights rank as well as one that starts anew, in less time?

    python benchmarks/rung_checkpoints.py run --networks 20        # some 80 core-minutes
    python benchmarks/rung_checkpoints.py table

Each of some tuning networks of NAS-Bench-Macro climbs a ladder of three rungs on CIFAR-10 three times with one seed:
every rung from fresh weights; each going on from the rung below, as a search does; and the same at half the learning
rate. The first rung is the same in all. What is told: validation accuracy, what each promotion takes beside one from
fresh weights, and Kendall's tau with the true accuracy. Ways take turns in one process, so that load falls on all.
"""

import argparse
import dataclasses
import statistics
from dataclasses import dataclass
from typing import Any

import numpy as np
from macro_data import load_cifar, load_table, sample_keys, spec_of
from recording import append_record, read_records

from effsearch.commands.placement import usable_cores
from effsearch.commands.pools import prepare_local_worker
from effsearch.proxy_train.evaluator import ProxyEvaluator
from effsearch.proxy_train.train import TrainSettings
from effsearch.search.ablation import mean_interval
from effsearch.search.fidelity import continue_rungs, make_rungs
from effsearch.search.placement.local_pool import ProcessPool
from effsearch.search.validating.correlation import correlate_kendall
from effsearch.space.outcome import Fidelity, ProxyResult

NAME = "rung_checkpoints"
PLAIN = make_rungs(Fidelity(num_images=8_000, num_epochs=4, resolution=32), num_rungs=3, reduction=3)
CONTINUED = continue_rungs(PLAIN)
RUNGS = [dataclasses.asdict(rung) for rung in PLAIN]
WAYS = ("fresh", "continued", "half-rate")


@dataclass(frozen=True, slots=True)
class Climb:
    """One network to be trained on all rungs."""

    key: str
    seed: int

    @property
    def name(self) -> str:
        """As people see it."""
        return f"{self.key}, seed {self.seed}"


@dataclass(frozen=True, slots=True)
class Climber:
    """Trains a network on all rungs in every way: the work of a pool."""

    evaluator: ProxyEvaluator

    def __call__(self, climb: Climb) -> dict[str, list[ProxyResult]]:
        """Give the result of each rung by way, cheap to dear."""
        spec, keeping = spec_of(climb.key), dataclasses.replace(self.evaluator, keeps_weights=True)
        first = keeping(spec, PLAIN[0], climb.seed)
        found: dict[str, list[ProxyResult]] = {way: [first] for way in WAYS}
        for plain, continued in zip(PLAIN[1:], CONTINUED[1:], strict=True):
            for way in WAYS:
                evaluator = keeping
                if way != "fresh":
                    evaluator = evaluator.with_weights(found[way][-1].weights, keeps_weights=True)
                if way == "half-rate":
                    half = TrainSettings(learning_rate=TrainSettings().learning_rate / 2)
                    evaluator = dataclasses.replace(evaluator, settings=half)
                result = evaluator(spec, plain if way == "fresh" else continued, climb.seed)
                assert (result.from_checkpoint is True) is (way != "fresh")
                found[way].append(result)
        return {
            way: [dataclasses.replace(one, weights=None) for one in results] for way, results in found.items()
        }


def own_records() -> list[dict[str, Any]]:
    """Give the records of these rungs."""
    return [one for one in read_records(NAME) if one["rungs"] == RUNGS]


def run(num_networks: int, seed: int) -> None:
    """Train what has no record yet, and append each network as it ends."""
    done = {(one["key"], one["seed"]) for one in own_records()}
    keys = sample_keys("tuning", "all", num_networks)
    waiting = [Climb(key, seed) for key in keys if (key, seed) not in done]
    evaluator = ProxyEvaluator(load_cifar().handle, TrainSettings())
    pool: ProcessPool[Climb, dict[str, list[ProxyResult]]] = ProcessPool(
        Climber(evaluator), num_workers=usable_cores(), prepare=prepare_local_worker
    )
    try:
        while waiting or pool.num_running:
            while waiting and pool.num_running < pool.num_slots:
                pool.submit(waiting.pop(0))
            ended = pool.wait()
            if ended.value is None:
                raise SystemExit(f"{ended.task.name}: {ended.failure}")
            climb = ended.task
            record = {
                way: [{"accuracy": one.val_accuracy, "seconds": one.train_seconds} for one in results]
                for way, results in ended.value.items()
            }
            append_record(NAME, {"key": climb.key, "seed": climb.seed, "rungs": RUNGS, **record})
            tops = ", ".join(f"{way} {record[way][-1]['accuracy']:.3f}" for way in WAYS)
            print(f"{climb.name}: {tops} in {ended.seconds:.0f} s", flush=True)
    finally:
        pool.close()


def print_table() -> None:
    """Print what the records come to."""
    records = own_records()
    if len(records) < 3:
        raise SystemExit("a table needs three networks: call run first")
    truth = np.array([load_table()[one["key"]].mean_accuracy for one in records])
    print(f"{len(records)} networks, {len(PLAIN)} rungs: {', '.join(str(rung) for rung in PLAIN)}")
    for rung in range(len(PLAIN)):
        for way in WAYS if rung else WAYS[:1]:
            accuracy = np.array([one[way][rung]["accuracy"] for one in records])
            tau = correlate_kendall(accuracy, truth, seed=0)
            words = f"rung {rung + 1}, {way:9}: {100 * accuracy.mean():.1f} %"
            words += f", tau {tau.value:.2f} ({tau.low:.2f} to {tau.high:.2f})"
            if way != "fresh":
                gain = [
                    100 * (one[way][rung]["accuracy"] - one["fresh"][rung]["accuracy"]) for one in records
                ]
                interval = mean_interval(gain)
                share = [one[way][rung]["seconds"] / one["fresh"][rung]["seconds"] for one in records]
                assert interval.low is not None, "three networks at least"
                assert interval.high is not None
                words += f", {interval.mean:+.1f} points ({interval.low:+.1f} to {interval.high:+.1f})"
                words += f", {statistics.fmean(share):.2f} of the time"
                words += f" (deviation {statistics.stdev(share):.2f})"
            print(words)


def main() -> None:
    """Run or print."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    runner = commands.add_parser("run")
    runner.add_argument("--networks", type=int, default=20)
    runner.add_argument("--seed", type=int, default=0)
    commands.add_parser("table")
    options = parser.parse_args()
    if options.command == "run":
        run(options.networks, options.seed)
    else:
        print_table()


if __name__ == "__main__":
    main()
