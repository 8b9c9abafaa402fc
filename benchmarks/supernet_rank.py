"""How well does a supernet rank NAS-Bench-Macro's networks, by age, sharing and way of drawing paths?

    python benchmarks/supernet_rank.py --steps 10000 --paths whole
    python benchmarks/supernet_rank.py --steps 10000 --replicas 2 --networks 150 --split held_out

Trains one with the search's own code, scores networks with it, and appends a record of each to
results/proxy_rank.jsonl; `proxy_rank.py table` shows them beside all others. Rounds and scores that are there are not
computed again.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from macro_data import (
    Population,
    canonical_key,
    load_cifar,
    load_table,
    macro_space,
    point_of,
    sample_keys,
)
from proxy_rank import append_line, begin, unscored

from effsearch.commands.baseline.screen_plan import stored_plan
from effsearch.commands.pools import prepare_local_worker
from effsearch.proxy_train.screen import SupernetWorker
from effsearch.proxy_train.supernet_train import SupernetSettings
from effsearch.results.run_files import read_settings
from effsearch.results.supernet_files import SupernetFiles, supernet_of
from effsearch.search.placement.local_pool import ProcessPool
from effsearch.search.screening.screen import ScreenAnswer, ScreenTask, score_networks, train_supernet
from effsearch.space.outcome import Fidelity
from effsearch.space.search_space import Point
from effsearch.space.supernet_work import RoundResult, ScreenScore, SupernetPlan

PATHS = {
    "whole": (0.0, 1e12),
    "reach": (0.0, 120e6),
    "upper": (48e6, 60e6),
}  # multiply-adds of the drawn networks
NUM_PATHS = 4_096


def main() -> None:
    """Train, score, append."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=10_000, help="of each replica")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=0, help="default: one for each 400 steps")
    parser.add_argument("--paths", choices=sorted(PATHS), default="reach")
    parser.add_argument("--sharing", choices=("sliced", "separate"), default="sliced")
    parser.add_argument("--resolution", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=("held_out", "tuning"), default="held_out")
    parser.add_argument("--networks", type=int, default=150, help="of each population")
    parser.add_argument("--of-run", type=Path, help="take the supernet that a search has trained")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("runs/supernets"))
    options = parser.parse_args()
    method = (
        f"supernet-{options.steps}x{options.replicas}-{options.paths}-{options.sharing}-"
        f"{options.resolution}px-s{options.seed}"
    )
    images = load_cifar()
    paths = [] if options.of_run else _paths(options.paths)
    plan = SupernetPlan(
        fidelity=Fidelity(num_images=len(images.train), num_epochs=1, resolution=options.resolution),
        num_steps=options.steps,
        num_rounds=options.rounds or max(1, options.steps // 400),
        num_replicas=options.replicas,
        sharing=options.sharing,
        seed=options.seed,
    )
    files = SupernetFiles(options.folder / method)
    if options.of_run:
        stored = read_settings(options.of_run).settings
        plan = stored_plan(stored["screen"]).supernet
        files = supernet_of(options.of_run)
        method = f"supernet-run-{plan.num_steps}x{plan.num_replicas}-s{plan.seed}"
        if files.next_round(plan) < plan.num_rounds:
            parser.error(f"the search in {options.of_run} has not trained its supernet to the end")
    begin(method, {"plan": plan, "settings": SupernetSettings(), "data": images.fingerprint})
    populations: tuple[Population, ...] = (
        ("all", "band", "everything") if options.split == "held_out" else ("all",)
    )
    samples = [sample_keys(options.split, population, options.networks) for population in populations]
    keys = unscored(method, [key for sample in samples for key in sample])
    pool: ProcessPool[ScreenTask, ScreenAnswer] = ProcessPool(
        SupernetWorker(handle=images.handle, space=macro_space()),
        num_workers=options.workers,
        prepare=prepare_local_worker,
    )

    def note(round_index: int, result: RoundResult) -> None:
        files.note(round_index, result, now=datetime.now(UTC))
        print(f"round {round_index + 1} of {plan.num_rounds}: loss {result.train_loss:.3f}", flush=True)

    def take(point: Point, score: ScreenScore | None) -> None:
        key = canonical_key("".join(str(choice) for choice in point))
        assert score is not None, key
        assert score.val_loss is not None
        append_line(
            "proxy_rank",
            {
                "method": method,
                "split": load_table()[key].split,
                "key": key,
                "score": round(-score.val_loss, 6),
                "accuracy": score.val_accuracy,
                "core_seconds": round(score.core_seconds, 4),
                "once_core_seconds": once,
            },
        )

    try:
        weights = train_supernet(plan, paths, pool=pool, files=files, notify=note)
        once = round(files.core_seconds(), 1)
        score_networks(plan, [point_of(key) for key in keys], weights, pool=pool, take=take)
    finally:
        pool.close()
    print(f"{method}: {once:.0f} core-seconds, {len(keys)} networks scored")


def _paths(name: str) -> list[Point]:
    low, high = PATHS[name]
    keys = [key for key, network in load_table().items() if low <= network.multiply_adds <= high]
    rng = np.random.default_rng(0)
    return [point_of(key) for key in rng.choice(keys, NUM_PATHS)]


if __name__ == "__main__":
    main()
