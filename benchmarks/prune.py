"""Which way of `effsearch prune` keeps the most accuracy, and is pruning better than a small network from scratch?

    python benchmarks/prune.py --arms taylor,magnitude,narrow,rebuilt --seeds 2    # train, prune, record
    python benchmarks/prune.py --arms all --epochs 0 --seeds 2    # prune alone: accuracy right after
    python benchmarks/prune.py table

A network of NAS-Bench-Macro is trained on CIFAR-10 by `effsearch train --recipe fast`, pruned to half of its
multiply-adds, and trained for two epochs more. `narrow` is the same network with all widths scaled until it fits, and
`rebuilt` the one that `taylor` has left, both trained from fresh weights for as many epochs at the recipe's own rate.
The arms `NAME-even` are what `effsearch prune` does by default, the others its `--share global`. Everything goes on
where it stopped, in --folder; what stands in results/prune.jsonl is not repeated.
"""

import argparse
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from macro_data import shared_data, spec_of
from recording import append_record, read_records

from effsearch.commands.placement import Placement
from effsearch.commands.pruning.plan import PruneOptions, plan_pruning
from effsearch.commands.pruning.prune import prune_planned, run_prune
from effsearch.commands.training.options import TrainOptions
from effsearch.commands.training.train import run_train, training_device
from effsearch.commands.watching import Watcher
from effsearch.proxy_train.build import Network
from effsearch.proxy_train.pruning.prune import RANKINGS, PruneSettings
from effsearch.results.export.weights import read_network
from effsearch.space.budget import Budget
from effsearch.space.cost import count_cost
from effsearch.space.scaling import scale_width
from effsearch.space.spec import ModelSpec
from effsearch.space.text import from_json, to_json

NAME = "prune"
KEY = "21210210"  # the winner of the first search in results/end_to_end.jsonl
TRAIN_EPOCHS = 6


def settings_of(name: str) -> PruneSettings:
    """Give how an arm prunes: `taylor` (globally), `taylor-plain`, `magnitude-even`, `taylor-4-steps`."""
    importance, *rest = name.split("-")
    settings = PruneSettings(
        importance=importance,
        ranking=RANKINGS[importance],
        num_steps=1,
        divisor=8,
    )
    for word in rest:
        if word in ("plain", "saving", "even"):
            settings = dataclasses.replace(settings, ranking=word)
        elif word.isdigit():
            settings = dataclasses.replace(settings, num_steps=int(word))
    return settings


PRUNED = (
    "taylor",
    "taylor-plain",
    "taylor-even",
    "taylor-4-steps",
    "magnitude",
    "magnitude-saving",
    "magnitude-even",
    "bn",
    "bn-saving",
)
FRESH = ("narrow", "rebuilt")


def run_arm(
    arm: str, base: Path, budget: Budget, *, num_epochs: int, learning_rate: float, seed: int, folder: Path
) -> None:
    """Prune and train, or train alone, and record what that came to."""
    is_fresh = arm in FRESH
    rate = None if is_fresh else learning_rate
    key = (arm, num_epochs, rate, seed)
    if key in {(row["arm"], row["epochs"], row["rate"], row["seed"]) for row in read_records(NAME)}:
        return
    run = folder / f"{arm}-{num_epochs}ep" / f"rate{rate or 'own'}-seed{seed}"
    data = str(shared_data() / "cifar10-images.tar.xz")
    placement = Placement(engine="local", num_workers=1, device="cpu")
    with Watcher() as watcher:
        if is_fresh:
            spec = fresh_spec(
                arm, base, budget, num_epochs=num_epochs, folder=folder, rate=learning_rate, seed=seed
            )
            path = folder / f"{arm}-seed{seed}.json"
            path.write_text(to_json(spec))
            report = run_train(
                TrainOptions(
                    network=str(path),
                    data=data,
                    num_epochs=num_epochs,
                    resolution=spec.resolution,
                    seed=seed,
                    placement=placement,
                    run=run,
                    runs_root=folder,
                ),
                watcher,
            )
        else:
            options = PruneOptions(
                network=str(base),
                budget=budget,
                data=data,
                settings=settings_of(arm),
                num_epochs=max(1, num_epochs),
                learning_rate=learning_rate,
                seed=seed,
                placement=placement,
                run=run,
                runs_root=folder,
            )
            report = run_prune(options, watcher) if num_epochs else prune_alone(options, watcher)
    assert report is not None
    append_record(NAME, _record(arm, report, rate=rate, seed=seed, num_epochs=num_epochs))


def prune_alone(options: PruneOptions, watcher: Watcher) -> dict[str, Any]:
    """Give what a pruning comes to before any training, in the words of a report."""
    with training_device(options.placement) as compute:
        plan = plan_pruning(options, watcher)
        model = read_network(plan.base.spec, plan.weights)
        assert isinstance(model, Network)
        record = prune_planned(model, plan, compute, watcher).record
    return record | {
        "resolution": plan.base.spec.resolution,
        "multiply_adds": record["right_after"]["multiply_adds"],
        "params": record["right_after"]["params"],
        "best": {"accuracy": record["right_after"]["accuracy"]},
        "test": {"accuracy": None},
        "train_seconds": 0.0,
    }


def _record(
    arm: str, report: dict[str, Any], *, rate: float | None, seed: int, num_epochs: int
) -> dict[str, Any]:
    return {
        "key": KEY,
        "arm": arm,
        "epochs": num_epochs,
        "rate": rate,
        "seed": seed,
        "resolution": report["resolution"],
        "before": report.get("before"),
        "right_after": report.get("right_after"),
        "multiply_adds": report["multiply_adds"],
        "parameters": report["params"],
        "val_accuracy": report["best"]["accuracy"],
        "test_accuracy": report["test"]["accuracy"],
        "train_seconds": round(report["train_seconds"], 1),
    }


def fresh_spec(
    arm: str, base: Path, budget: Budget, *, num_epochs: int, folder: Path, rate: float, seed: int
) -> ModelSpec:
    """Give the network that is trained from fresh weights."""
    if arm == "rebuilt":
        run = folder / f"taylor-{num_epochs}ep" / f"rate{rate}-seed{seed}"
        return from_json((run / "specs" / "trained.json").read_text())
    spec = from_json((base / "specs" / "trained.json").read_text())
    widths = (scale_width(spec, percent / 100) for percent in range(100, 0, -1))
    return next(one for one in widths if budget.allows(count_cost(one)))


def trained_base(seed: int, *, resolution: int, folder: Path) -> Path:
    """Train the network that is pruned, or take what an earlier call has left."""
    spec = dataclasses.replace(spec_of(KEY), resolution=resolution)
    path = folder / f"{KEY}-{resolution}px.json"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(to_json(spec))
    run = folder / f"{path.stem}-{TRAIN_EPOCHS}ep-seed{seed}"
    options = TrainOptions(
        network=str(path),
        data=str(shared_data() / "cifar10-images.tar.xz"),
        num_epochs=TRAIN_EPOCHS,
        resolution=resolution,
        seed=seed,
        placement=Placement(engine="local", num_workers=1, device="cpu"),
        run=run,
        runs_root=folder,
    )
    with Watcher() as watcher:
        run_train(options, watcher)
    return run


def print_table() -> None:
    """Print what has been measured: the mean over seeds, and each."""
    print("| arm | epochs | rate | FLOPs | params | right after | validation | test | test, each seed |")
    print("|---|---|---|---|---|---|---|---|---|")
    for (arm, num_epochs, rate), rows in _grouped():
        tests = [row["test_accuracy"] for row in rows if row["epochs"]]
        after = [row["right_after"]["accuracy"] for row in rows if row["right_after"]]
        print(
            f"| {arm} | {num_epochs} | {rate or 'own'} | {_mean([row['multiply_adds'] for row in rows]) / 1e6:.2f} M "
            f"| {_mean([row['parameters'] for row in rows]) / 1e6:.2f} M "
            f"| {f'{_mean(after):.1%}' if after else '-'} "
            f"| {_mean([row['val_accuracy'] for row in rows]):.1%} "
            f"| {f'{_mean(tests):.1%}' if tests else '-'} | {', '.join(f'{one:.1%}' for one in tests) or '-'} |"
        )


def _grouped() -> Iterator[tuple[tuple[str, int, float | None], list[dict[str, Any]]]]:
    groups: dict[tuple[str, int, float | None], list[dict[str, Any]]] = {}
    for row in read_records(NAME):
        groups.setdefault((row["arm"], row["epochs"], row["rate"]), []).append(row)
    yield from sorted(
        groups.items(), key=lambda item: (-item[0][1], -_mean([row["val_accuracy"] for row in item[1]]))
    )


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=["run", "table"], default="run")
    parser.add_argument(
        "--arms",
        default="taylor,magnitude,bn,narrow,rebuilt",
        help=", ".join((*PRUNED, *FRESH, "all that prune: all")),
    )
    parser.add_argument("--resolution", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--rate", type=float, default=0.05, help="of the training after pruning")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--folder", type=Path, default=Path("runs/prune"))
    arguments = parser.parse_args()
    arms = list(PRUNED) if arguments.arms == "all" else arguments.arms.split(",")
    if unknown := set(arms) - set(PRUNED + FRESH):
        parser.error(f"no arms called {', '.join(sorted(unknown))}")
    if arguments.what == "run":
        for seed in range(arguments.first_seed, arguments.first_seed + arguments.seeds):
            base = trained_base(seed, resolution=arguments.resolution, folder=arguments.folder)
            whole = count_cost(from_json((base / "specs" / "trained.json").read_text()))
            for arm in arms:
                run_arm(
                    arm,
                    base,
                    Budget(multiply_adds=whole.multiply_adds // 2),
                    num_epochs=arguments.epochs,
                    learning_rate=arguments.rate,
                    seed=seed,
                    folder=arguments.folder,
                )
    print_table()


if __name__ == "__main__":
    main()
