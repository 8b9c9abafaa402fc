"""Does a real search with real training find a network that the table knows to be good?

python benchmarks/end_to_end.py run --budget 60 --minutes 20 --seed 0     # the whole command on CIFAR-10; 20 minutes
python benchmarks/end_to_end.py pool [--networks 300]                      # short trainings for the rivals; an hour
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

from effsearch.proxy_train.score import ProxyEvaluator
from effsearch.proxy_train.train import TrainSettings
from effsearch.search.problem import SamplerName
from effsearch.search.samplers.make_sampler import make_sampler
from effsearch.search.study import distributions_of
from effsearch.space.outcome import Fidelity

NAME = "end_to_end"
POOL = "end_to_end_pool"
POOL_FIDELITY = Fidelity(num_images=20_000, num_epochs=1, resolution=16)
POOL_BUDGET = 60_000_000
REPLAY_SEEDS = 40
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
        "screened": sum(entry["kind"] == "screen" for entry in ledger),
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
    scored = [entry for entry in ledger if entry["kind"] == "screen" and entry["loss"] is not None]
    if not scored:
        return None
    return _looked_up(min(scored, key=lambda entry: entry["loss"])["point"], budget)


def record_pool(num_networks: int) -> None:
    """Train random networks inside the budget for a short while; goes on where it stopped."""
    images = load_cifar()
    evaluate = ProxyEvaluator(handle=images.handle, settings=TrainSettings())
    train_arms(POOL, pool_arms(num_networks), evaluate, data=images.fingerprint)


def pool_arms(num_networks: int) -> list[Arm]:
    """Give the pool's trainings, always the same ones in the same order."""
    table = load_table()
    keys = [key for key in ordered_keys("tuning", "everything") if table[key].multiply_adds <= POOL_BUDGET]
    return [Arm(name=key, spec=spec_of(key), fidelity=POOL_FIDELITY, seed=0) for key in keys[:num_networks]]


def replay(rival: SamplerName, pool: dict[str, tuple[float, float]], seed: int) -> list[tuple[float, float]]:
    """Search the pool with a rival; give (core-minutes spent, true regret of its best so far) after each training."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    space, table = macro_space(), load_table()
    best = max(statistics.fmean(table[key].runs) for key in pool)
    sampler = make_sampler(rival, seed=seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    rng = np.random.default_rng(seed)
    left, path, spent, top = dict(pool), [], 0.0, (-1.0, "")
    while left and len(path) < 200:
        key = ""
        for _ in range(60):  # proposals outside the pool cost nothing
            trial = study.ask(dict(distributions_of(space)))
            key = canonical_key("".join(trial.params[dimension.name] for dimension in space.dimensions))
            if key in left:
                break
            study.tell(trial, state=optuna.trial.TrialState.FAIL)
        if key not in left:
            key = str(rng.choice(list(left)))
            labels = dict(zip((d.name for d in space.dimensions), key, strict=True))
            study.enqueue_trial(labels)
            trial = study.ask(dict(distributions_of(space)))
        accuracy, seconds = left.pop(key)
        study.tell(trial, accuracy)
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
    pool = {
        record["arm"]: (record["accuracy"], record["seconds"])
        for record in read_records(POOL)
        if "arm" in record
    }
    if len(pool) < 50:
        print(f"pool: {len(pool)} networks trained so far, no replay yet")
        return
    whole = best_inside(POOL_BUDGET) - max(statistics.fmean(load_table()[key].runs) for key in pool)
    print(f"\npool of {len(pool)} networks; its best is {whole:.3f} below the best of all at 60 M")
    for rival in RIVALS:
        paths = [replay(rival, pool, seed) for seed in range(REPLAY_SEEDS)]
        for minutes in (20, 40, 80, 120):
            regrets = [
                whole + next((regret for spent, regret in reversed(path) if spent <= minutes), float("nan"))
                for path in paths
            ]
            known = [regret for regret in regrets if regret == regret]
            if known:
                error = statistics.stdev(known) / len(known) ** 0.5
                print(f"{rival}, {minutes} core-minutes: {statistics.fmean(known):.3f} +- {1.96 * error:.3f}")


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
    pool.add_argument("--networks", type=int, default=300)
    commands.add_parser("table")
    arguments = parser.parse_args()
    if arguments.command == "run":
        run_search(arguments.budget, arguments.minutes, arguments.seed, arguments.folder, arguments.extra)
    elif arguments.command == "pool":
        record_pool(arguments.networks)
    else:
        print_table()


if __name__ == "__main__":
    main()
