"""Does a real search with real training find a network that the table knows to be good?

python benchmarks/end_to_end.py run --budget 60 --minutes 20 --seed 0     # the whole command on CIFAR-10; 20 minutes
python benchmarks/end_to_end.py pool short [--networks 300]                # trainings for the rivals; 1.8 core-hours
python benchmarks/end_to_end.py pool longer [--networks 300]               # as long as our own; 3.5 core-hours
python benchmarks/end_to_end.py table                                      # all of it, and the rivals' replay

`effsearch baseline` is called as a user calls it; the table of NAS-Bench-Macro is opened only when it has ended. The
rivals search with the recorded short trainings alone, and true regret is plotted against the core-minutes spent.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from jobs import Arm, train_arms
from macro_data import canonical_key, load_cifar, load_table, macro_space, ordered_keys, shared_data, spec_of
from recording import append_record, read_records

from effsearch.proxy_train.evaluator import ProxyEvaluator
from effsearch.proxy_train.train import TrainSettings
from effsearch.results.screened import SECOND
from effsearch.search.problem import SamplerName
from effsearch.search.samplers.make_sampler import make_sampler
from effsearch.search.study import distributions_of
from effsearch.search.validating.correlation import correlate_kendall
from effsearch.space.outcome import Fidelity

NAME = "end_to_end"
POOLS = {  # by what it is called: its file and its fidelity
    "short": ("end_to_end_pool", Fidelity(num_images=20_000, num_epochs=1, resolution=16)),
    "longer": ("end_to_end_pool_longer", Fidelity(num_images=10_000, num_epochs=4, resolution=16)),
}
POOL_BUDGET = 60_000_000
REPLAY_SEEDS = 40
LEAST_POOL = 50
CORE_MINUTES = (5, 10, 20, 40, 60)  # at which the rivals' regret is read off
MOST_REPLAYED = 200  # trainings of one replay
RIVALS: tuple[SamplerName, ...] = ("random", "tpe", "evolution")


def best_inside(multiply_adds: float) -> float:
    """Give the accuracy of the table's best network inside a budget, per cent: its own key's mean of three runs."""
    return max(
        statistics.fmean(network.runs)
        for network in load_table().values()
        if network.multiply_adds <= multiply_adds
    )


def run_search(budget: float, minutes: float, seed: int, folder: Path, extra: Sequence[str]) -> None:
    """Run the command, look its winner up in the table, and append what came out."""
    run = folder / f"b{budget:g}-m{minutes:g}-s{seed}"
    command = [
        *(sys.executable, "-m", "effsearch.cli"),
        *("baseline", "--space", "nas-bench-macro", "--budget", f"{budget:g}M-FLOPs"),
        *("--data", str(shared_data() / "cifar10-images.tar.xz"), "--minutes", f"{minutes:g}"),
        *("--seed", str(seed), "--run", str(run), "--no-anchors", "--json", *extra),
    ]
    load_cifar()  # decoding is no part of the search
    started, before = time.monotonic(), os.times()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    wall, after = time.monotonic() - started, os.times()
    report = json.loads(done.stdout)
    ledger = [json.loads(line) for line in (run / "ledger.jsonl").read_text().splitlines()]
    points = {entry["network_hash"]: entry["point"] for entry in ledger if entry["point"]}
    record = {
        "budget": budget,
        "minutes": minutes,
        "seed": seed,
        "options": list(extra),
        "wall_minutes": round(wall / 60, 2),
        "core_minutes": round(
            (after.children_user + after.children_system - before.children_user - before.children_system)
            / 60,
            2,
        ),
        "screened": len({entry["network_hash"] for entry in ledger if entry["kind"] == "screen"}),
        "trained": report["trials"],
        "winner": _looked_up(points[report["best"]["network_hash"]], budget),
        "finalists": [
            _looked_up(points[row["network_hash"]], budget)
            for row in report["finalists"]
            if row["network_hash"] in points
        ],
        "screen_first": _screen_favourite(ledger, budget),
    }
    print(json.dumps(record, indent=1))
    append_record(NAME, record)


def _looked_up(point: dict[str, str], budget: float) -> dict[str, object]:
    key = canonical_key("".join(point[dimension.name] for dimension in macro_space().dimensions))
    table = load_table()
    own = statistics.fmean(table[key].runs)
    better = sum(
        statistics.fmean(network.runs) > own
        for network in table.values()
        if network.multiply_adds <= budget * 1e6
    )
    return {
        "key": key,
        "accuracy": round(own, 3),
        "regret": round(best_inside(budget * 1e6) - own, 3),
        "rank": better + 1,
    }


def _screen_favourite(ledger: Sequence[dict[str, Any]], budget: float) -> dict[str, object] | None:
    """Look up the network that the supernet gives the least loss, among those scored twice where there are any."""
    scored = [entry for entry in ledger if entry["kind"] == "screen" and entry["loss"] is not None]
    if not scored:
        return None
    scored = [entry for entry in scored if entry["features"].get(SECOND)] or scored
    return _looked_up(min(scored, key=lambda entry: entry["loss"])["point"], budget)


def record_pool(name: str, num_networks: int) -> None:
    """Train random networks inside the budget for a short while; goes on where it stopped."""
    images = load_cifar()
    evaluate = ProxyEvaluator(handle=images.handle, settings=TrainSettings())
    file, fidelity = POOLS[name]
    train_arms(file, pool_arms(num_networks, fidelity), evaluate, data=images.fingerprint)


def pool_arms(num_networks: int, fidelity: Fidelity) -> list[Arm]:
    """Give the pool's trainings, always the same networks in the same order."""
    table = load_table()
    keys = [key for key in ordered_keys("tuning", "everything") if table[key].multiply_adds <= POOL_BUDGET]
    return [Arm(name=key, spec=spec_of(key), fidelity=fidelity, seed=0) for key in keys[:num_networks]]


def replay(rival: SamplerName, pool: dict[str, tuple[float, float]], seed: int) -> list[tuple[float, float]]:
    """Search the pool with a rival; give (core-minutes spent, true regret of its best so far) after each training.

    A proposal is answered by the pool's nearest network that is not trained yet (fewest layers that differ, ties
    drawn), and the rival is told of that one: of the 2,225 networks inside the budget only the pool's were trained.
    """
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space, table = macro_space(), load_table()
    distributions = dict(distributions_of(space))
    names = [dimension.name for dimension in space.dimensions]
    best = max(statistics.fmean(table[key].runs) for key in pool)
    study = optuna.create_study(direction="maximize", sampler=make_sampler(rival, seed=seed))
    rng = np.random.default_rng(seed)
    left, path, spent, top = sorted(pool), [], 0.0, (-1.0, "")
    digits = np.array([list(key) for key in left])
    is_left = np.ones(len(left), dtype=bool)
    while is_left.any() and len(path) < MOST_REPLAYED:
        trial = study.ask(distributions)
        proposal = np.array([trial.params[name] for name in names])
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        distances = (digits != proposal).sum(axis=1) + rng.random(len(left))  # the share of one draws ties
        index = int(np.where(is_left, distances, np.inf).argmin())
        is_left[index] = False
        key = left[index]
        accuracy, seconds = pool[key]
        labels = dict(zip(names, key, strict=True))
        study.add_trial(optuna.trial.create_trial(params=labels, distributions=distributions, value=accuracy))
        spent += seconds / 60
        top = max(top, (accuracy, key))
        path.append((spent, best - statistics.fmean(table[top[1]].runs)))
    return path


def print_table() -> None:
    """Print every run, and the rivals' regret on the pool at the same core-minutes."""
    records = [record for record in read_records(NAME) if "winner" in record]
    print("| budget | minutes | seed | screened | trained | winner | regret | rank | screen's first | wall |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for record in sorted(records, key=lambda one: (one["budget"], one["minutes"], one["seed"])):
        favourite = record["screen_first"] or {"regret": "-"}
        print(
            f"| {record['budget']:g} M | {record['minutes']:g} | {record['seed']} | {record['screened']} | "
            f"{record['trained']} | {record['winner']['key']} | {record['winner']['regret']:.3f} | "
            f"{record['winner']['rank']} | {favourite['regret']} | {record['wall_minutes']} |"
        )
    for name, (file, fidelity) in POOLS.items():
        records = [record for record in read_records(file) if "arm" in record]
        pool = {record["arm"]: (record["accuracy"], record["seconds"]) for record in records}
        print(
            f"\npool `{name}`: {len(pool)} random networks of at most 60 M, {fidelity.num_images:,} images x "
            f"{fidelity.num_epochs} epochs at {fidelity.resolution} px"
        )
        if len(pool) >= LEAST_POOL:
            print_replays(pool)


def print_replays(pool: dict[str, tuple[float, float]]) -> None:
    """Print what the rivals come to on a pool: accuracy and core-seconds by key."""
    truth = {key: statistics.fmean(load_table()[key].runs) for key in pool}
    whole = best_inside(POOL_BUDGET) - max(truth.values())
    seconds = statistics.fmean(seconds for _, seconds in pool.values())
    tau = correlate_kendall(
        np.array([accuracy for accuracy, _ in pool.values()]), np.array([truth[key] for key in pool])
    )
    print(
        f"{seconds:.0f} core-seconds each; the pool's best is {whole:.3f} below the best of all at 60 M; tau of its "
        f"trainings with the truth {tau.value:.2f} ({tau.low:.2f} to {tau.high:.2f})\n"
    )
    print("| rival | " + " | ".join(f"{minutes} core-min" for minutes in CORE_MINUTES) + " |")
    print("|---|" + "---|" * len(CORE_MINUTES))
    for rival in RIVALS:
        paths = [replay(rival, pool, seed) for seed in range(REPLAY_SEEDS)]
        cells = []
        for minutes in CORE_MINUTES:
            regrets = [
                whole + next(regret for spent, regret in reversed(path) if spent <= minutes) for path in paths
            ]
            error = 1.96 * statistics.stdev(regrets) / len(regrets) ** 0.5
            cells.append(f"{statistics.fmean(regrets):.3f} ± {error:.3f}")
        print(f"| {rival} | {' | '.join(cells)} |")


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    search = commands.add_parser("run")
    search.add_argument("--budget", type=float, default=60)
    search.add_argument("--minutes", type=float, default=20)
    search.add_argument("--seed", type=int, default=0)
    search.add_argument("--folder", type=Path, default=Path("runs/end_to_end"))
    search.add_argument("extra", nargs="*", help="further options of effsearch baseline, after --")
    pool = commands.add_parser("pool")
    pool.add_argument("name", choices=POOLS)
    pool.add_argument("--networks", type=int, default=300)
    commands.add_parser("table")
    arguments = parser.parse_args()
    if arguments.command == "run":
        run_search(arguments.budget, arguments.minutes, arguments.seed, arguments.folder, arguments.extra)
    elif arguments.command == "pool":
        record_pool(arguments.name, arguments.networks)
    else:
        print_table()


if __name__ == "__main__":
    main()
