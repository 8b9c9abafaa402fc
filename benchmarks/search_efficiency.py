"""How many trainings does each sampler need on NAS-Bench-Macro, and how long does ours think?

    EFFSEARCH_SHARED_DATA=... python benchmarks/search_efficiency.py    measures what is missing, plots, prints
    ... search_efficiency.py --front                                    the same for the front
    ... search_efficiency.py --report                                   plots and prints what there is
    ... search_efficiency.py --ask-time                                 5,000 trials in one study

Every arm, budget and seed is one line of benchmarks/results/search_efficiency.jsonl; what is there is not run again.
"""

import argparse
import statistics
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import optuna
from macro_table import NUM_CHOICES, NUM_DIMENSIONS, MacroTable, Replay, load_macro_table, rows_of
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.trial import TrialState
from recording import append_record, read_records

from effsearch.search.model.engine import ThompsonEngine
from effsearch.search.model.trade_off import dominated_area, front_of
from effsearch.search.samplers.evolution import EvolutionSampler
from effsearch.search.samplers.thompson import ThompsonSampler
from effsearch.space.screening import sample_points, screen
from effsearch.space.shipped_spaces import load_shipped_space

matplotlib.use("Agg")
import matplotlib.pyplot as plt

NAME = "search_efficiency"
DOCS = Path(__file__).parent.parent / "docs"
CHECKPOINTS = (10, 20, 25, 50, 100, 200)
BUDGETS = (60, 40, 50, 70)  # million multiply-adds; in the order of measuring
NUM_SEEDS = 40
LEAST_SEEDS = 8  # for an arm to be shown
MOST_ASKS = 2_000  # in one search, refused ones too; an arm that has stopped finding new networks ends there
TABLES_START, TABLES_END = "<!-- tables: written by the script -->", "<!-- end of tables -->"
FRONT_TRAININGS = 100
FRONT_REFERENCE = (88.0, 110.0)  # per cent, million multiply-adds
GP_SEEDS, GP_TRAININGS = 10, 50
SPACE: dict[str, BaseDistribution] = {
    f"layer{index}": CategoricalDistribution(tuple(range(NUM_CHOICES))) for index in range(NUM_DIMENSIONS)
}


def best_observed(replay: Replay) -> int:
    """The rule of every arm without a model: the best score seen."""
    return replay.trained[int(np.argmax(replay.values))]


def run_thompson(replay: Replay, budget: float, seed: int, *, has_features: bool) -> Iterator[int]:
    """Train one network after the other and yield what would be recommended."""
    table = replay.table
    engine = ThompsonEngine(
        [NUM_CHOICES] * NUM_DIMENSIONS,
        [None] * NUM_DIMENSIONS,
        costs=lambda points: table.multiply_adds[rows_of(points)],
        budgets=budget,
        features=(lambda points: table.features(rows_of(points))) if has_features else None,
        canonical=lambda point: int(table.networks[int(rows_of(np.asarray(point)))]),
        seed=seed,
    )
    while (point := engine.propose()) is not None:
        engine.tell(point, replay.train(int(rows_of(np.asarray(point)))))
        if len(replay.trained) not in CHECKPOINTS:
            yield best_observed(replay)
            continue
        means, _ = engine.posterior(table.points[replay.trained])
        yield replay.trained[int(np.argmax(means))]


def run_random(replay: Replay, budget: float, seed: int, *, least_share: float) -> Iterator[int]:
    """Draw without replacement among all networks inside, or among those that use most of the budget."""
    costs = replay.table.multiply_adds
    rows = np.flatnonzero((costs <= budget) & (costs >= least_share * budget))
    for row in np.random.default_rng([seed, 1]).permutation(rows):
        replay.train(int(row))
        yield best_observed(replay)


def run_local_search(replay: Replay, budget: float, seed: int) -> Iterator[int]:
    """Climb: move to the first better neighbour by one choice, start anew at the top; starts are in the band."""
    rng = np.random.default_rng([seed, 2])
    costs = replay.table.multiply_adds
    starts = np.flatnonzero((costs <= budget) & (costs >= 0.8 * budget))
    while True:
        here = int(rng.choice(starts))
        value = replay.train(here)
        yield best_observed(replay)
        is_top = False
        while not is_top:
            is_top = True
            point = replay.table.points[here]
            moves = [(index, step) for index in range(NUM_DIMENSIONS) for step in range(1, NUM_CHOICES)]
            for index, step in rng.permutation(moves):
                rival = point.copy()
                rival[index] = (rival[index] + step) % NUM_CHOICES
                row = int(rows_of(rival))
                if costs[row] > budget:
                    continue
                rival_value = replay.train(row)
                yield best_observed(replay)
                if rival_value > value:
                    here, value, is_top = row, rival_value, False
                    break


def run_optuna(replay: Replay, budget: float, sampler: BaseSampler) -> Iterator[int]:
    """Ask and tell; what is over the budget is told as failed, a network known already gets its score again."""
    study = optuna.create_study(direction="maximize", sampler=sampler)
    for _ in range(MOST_ASKS):
        trial = study.ask(dict(SPACE))
        row = int(rows_of(np.asarray([trial.params[name] for name in SPACE])))
        if replay.table.multiply_adds[row] > budget:
            study.tell(trial, state=TrialState.FAIL)
            continue
        study.tell(trial, replay.train(row))
        yield best_observed(replay)


def searches(arm: str, replay: Replay, budget: float, seed: int) -> Iterator[int]:
    """Give the search that an arm's name stands for."""

    def cost(parameters: dict[str, Any]) -> float:
        row = int(rows_of(np.asarray([parameters[name] for name in SPACE])))
        return float(replay.table.multiply_adds[row])

    match arm:
        case "thompson":
            return run_thompson(replay, budget, seed, has_features=True)
        case "thompson without features":
            return run_thompson(replay, budget, seed, has_features=False)
        case "random":
            return run_random(replay, budget, seed, least_share=0.0)
        case "random in the band":
            return run_random(replay, budget, seed, least_share=0.8)
        case "local search":
            return run_local_search(replay, budget, seed)
        case "evolution":
            sampler = EvolutionSampler(
                seed=seed, population=20, tournament=5, cost=cost, budget=budget, space=SPACE
            )
            return run_optuna(replay, budget, sampler)
        case "TPE independent":
            return run_optuna(replay, budget, optuna.samplers.TPESampler(seed=seed, multivariate=False))
        case "TPE multivariate":
            return run_optuna(replay, budget, optuna.samplers.TPESampler(seed=seed, multivariate=True))
        case "NSGA-II":
            return run_optuna(replay, budget, optuna.samplers.NSGAIISampler(seed=seed, population_size=20))
        case "GP":
            return run_optuna(replay, budget, optuna.samplers.GPSampler(seed=seed))
    raise ValueError(arm)


ARMS = (
    "thompson",
    "thompson without features",
    "random",
    "random in the band",
    "local search",
    "evolution",
    "TPE multivariate",
    "TPE independent",
    "NSGA-II",
    "GP",
)


def measure_search(table: MacroTable, arm: str, budget: int, seed: int) -> None:
    """Run one search and append its regrets at the checkpoints."""
    replay = Replay(table, seed=seed)
    best = table.best_inside(budget * 1e6)
    most = GP_TRAININGS if arm == "GP" else CHECKPOINTS[-1]
    started = time.process_time()
    record: dict[str, Any] = {"arm": arm, "budget": budget, "seed": seed}
    reached = 0

    def note(number: int, network: int) -> None:
        observed = best_observed(replay)
        record[f"regret_{number}"] = best - float(table.means[network])
        record[f"regret_others_{number}"] = best - replay.others_mean(network)
        record[f"regret_observed_{number}"] = best - float(table.means[observed])
        record[f"regret_trained_{number}"] = best - float(table.means[replay.trained].max())

    for network in searches(arm, replay, budget * 1e6, seed):
        number = len(replay.trained)
        if number > reached and number in CHECKPOINTS:
            note(number, network)
        reached = number
        if number >= most:
            break
    for number in CHECKPOINTS:
        if reached < number <= most:  # the arm finds no more: what it has is what it would have then
            note(number, best_observed(replay))
    record["trained"] = reached
    append_record(NAME, record | {"core_seconds": time.process_time() - started})


def measure_front(table: MacroTable, arm: str, seed: int) -> None:
    """Search the front of accuracy against multiply-adds; append the share of the true hypervolume."""

    def cost(parameters: dict[str, Any]) -> float:
        return float(table.multiply_adds[row_of(parameters)] / 1e6)

    def row_of(parameters: dict[str, Any]) -> int:
        return int(rows_of(np.asarray([parameters[name] for name in SPACE])))

    samplers: dict[str, Callable[[], BaseSampler]] = {
        "thompson": lambda: ThompsonSampler(
            seed=seed,
            cost=cost,
            features=lambda parameters: table.features(np.asarray([row_of(parameters)]))[0].tolist(),
            canonical=lambda parameters: int(table.networks[row_of(parameters)]),
            space=SPACE,
        ),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        "TPE independent": lambda: optuna.samplers.TPESampler(seed=seed, multivariate=False),
        "TPE multivariate": lambda: optuna.samplers.TPESampler(seed=seed, multivariate=True),
        "NSGA-II": lambda: optuna.samplers.NSGAIISampler(seed=seed, population_size=20),
    }
    replay = Replay(table, seed=seed)
    study = optuna.create_study(directions=["maximize", "minimize"], sampler=samplers[arm]())
    for _ in range(MOST_ASKS):
        trial = study.ask(dict(SPACE))
        study.tell(trial, (replay.train(row_of(trial.params)), cost(trial.params)))
        if len(replay.trained) >= FRONT_TRAININGS:
            break
    reference = np.asarray([FRONT_REFERENCE[0], -FRONT_REFERENCE[1]])
    costs = -table.multiply_adds / 1e6
    seen = np.column_stack([replay.values, costs[replay.trained]])
    kept = {tuple(row) for row in front_of(seen).tolist()}
    chosen = [row for row, pair in zip(replay.trained, seen.tolist(), strict=True) if tuple(pair) in kept]
    whole = dominated_area(np.column_stack([table.means, costs]), reference)
    shares = {
        "share": dominated_area(np.column_stack([table.means[chosen], costs[chosen]]), reference) / whole,
        "share_trained": dominated_area(
            np.column_stack([table.means[replay.trained], costs[replay.trained]]), reference
        )
        / whole,
    }
    append_record(f"{NAME}_front", {"arm": arm, "seed": seed} | shares)


def measure_ask_time() -> None:
    """Time every ask of a study of 5,000 trials on the dimensions of the mbconv space."""
    space = load_shipped_space("mbconv")
    distributions = {one.name: CategoricalDistribution(one.labels) for one in space.dimensions}
    rng = np.random.default_rng(0)
    points = sample_points(space, 4_900, rng=rng)
    effects = [rng.normal(size=len(one.labels)) for one in space.dimensions]

    def cost(parameters: dict[str, Any]) -> float:
        point = np.asarray([space.point_of(parameters)])
        return float(screen(space, point, resolution=224, num_classes=1000).multiply_adds[0])

    def score(point: Any) -> float:
        noise = rng.normal() / 2
        return float(sum(effect[index] for effect, index in zip(effects, point, strict=True)) + noise)

    engine = ThompsonEngine(
        [len(one.labels) for one in space.dimensions],
        [None] * len(space.dimensions),
        costs=lambda some: screen(space, some, resolution=224, num_classes=1000).multiply_adds,
        budgets=400e6,
        seed=0,
    )
    study = optuna.create_study(direction="maximize", sampler=ThompsonSampler(seed=0, space=distributions))
    for point in points:
        value = score(point)
        engine.tell(tuple(point), value)
        study.add_trial(
            optuna.trial.create_trial(
                params=space.labels_at(point), distributions=dict(distributions), value=value
            )
        )
    for name in ("engine, exact costs", "ThompsonSampler"):
        seconds = []
        for _ in range(61):
            started = time.perf_counter(), time.process_time()
            if name == "ThompsonSampler":
                trial = study.ask(dict(distributions))
                point = space.point_of(trial.params)
            else:
                point = engine.propose()
            seconds.append((time.perf_counter() - started[0], time.process_time() - started[1]))
            if name == "ThompsonSampler":
                study.tell(trial, score(point))
            else:
                engine.tell(point, score(point))
        wall, core = (np.asarray(seconds)[1:, column] for column in (0, 1))  # the first one reads the study
        record = {
            "what": name,
            "trials": 5_000,
            "wall_median": float(np.median(wall)),
            "wall_95": float(np.quantile(wall, 0.95)),
            "core_median": float(np.median(core)),
            "core_95": float(np.quantile(core, 0.95)),
            "first": seconds[0][0],
        }
        print({key: round(value, 4) if isinstance(value, float) else value for key, value in record.items()})
        append_record(f"{NAME}_ask_time", record)


def interval(values: list[float]) -> tuple[float, float]:
    """Mean and half the width of its 95 per cent interval."""
    if len(values) < 2:
        return values[0], float("nan")
    return statistics.fmean(values), 1.96 * statistics.stdev(values) / len(values) ** 0.5


def _with_enough_seeds(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out what has been measured with too few seeds so far to say anything."""
    counts = Counter((one["arm"], one["budget"]) for one in records)
    return [one for one in records if counts[one["arm"], one["budget"]] >= LEAST_SEEDS]


def report() -> str:
    """Give the tables as Markdown, and write them into the page, and the plot."""
    lines = []
    records = _with_enough_seeds(read_records(NAME))
    for budget in sorted(BUDGETS):
        lines += [f"\n### At no more than {budget} M multiply-adds\n"]
        lines += ["| | seeds | " + " | ".join(map(str, CHECKPOINTS)) + " |"]
        lines += ["|---|---:|" + "---:|" * len(CHECKPOINTS)]
        for arm in ARMS:
            own = [one for one in records if (one["arm"], one["budget"]) == (arm, budget)]
            if not own:
                continue
            cells = []
            for number in CHECKPOINTS:
                found = [one[f"regret_{number}"] for one in own if f"regret_{number}" in one]
                cells.append("{:.3f} ± {:.3f}".format(*interval(found)) if found else "")
            lines.append(f"| {arm} | {len(own)} | " + " | ".join(cells) + " |")
    lines += [
        "\n### At 60 M, by other measures\n",
        "| | measure | " + " | ".join(map(str, CHECKPOINTS)) + " |",
    ]
    lines += ["|---|---|" + "---:|" * len(CHECKPOINTS)]
    measures = {
        "others": "recommended, by the mean of the two other runs",
        "observed": "best noisy observation",
        "trained": "best of all trained (an oracle's choice)",
    }
    for arm in ARMS:
        own = [one for one in records if (one["arm"], one["budget"]) == (arm, 60)]
        for key, what in measures.items():
            found = {
                n: [one[f"regret_{key}_{n}"] for one in own if f"regret_{key}_{n}" in one]
                for n in CHECKPOINTS
            }
            if own:
                cells = [f"{statistics.fmean(found[n]):.3f}" if found[n] else "" for n in CHECKPOINTS]
                lines.append(f"| {arm} | {what} | " + " | ".join(cells) + " |")
    fronts = read_records(f"{NAME}_front")
    lines += [
        "\n### The front after 100 trainings\n",
        "| | seeds | share of the true hypervolume, own front | all trained |",
    ]
    lines += ["|---|---:|---:|---:|"]
    for arm in ARMS:
        own = [one for one in fronts if one["arm"] == arm]
        if own:
            share, trained = (interval([one[key] for one in own]) for key in ("share", "share_trained"))
            lines.append(
                f"| {arm} | {len(own)} | {share[0]:.4f} ± {share[1]:.4f} | {trained[0]:.4f} ± {trained[1]:.4f} |"
            )
    plot(records)
    text = "\n".join(lines).strip() + "\n"
    page = DOCS / f"{NAME}.md"
    head, _, rest = page.read_text().partition(TABLES_START)
    page.write_text(f"{head}{TABLES_START}\n\n{text}\n{TABLES_END}{rest.partition(TABLES_END)[2]}")
    return text


def plot(records: list[dict[str, Any]]) -> None:
    """Draw mean regret against trainings with 95 per cent bands, one panel for each budget."""
    figure, axes = plt.subplots(2, 2, figsize=(11, 8), sharex=True, sharey=True, layout="constrained")
    colours = dict(zip(ARMS, plt.get_cmap("tab10").colors, strict=True))
    for axis, budget in zip(axes.flat, sorted(BUDGETS), strict=True):
        for arm in ARMS:
            own = [one for one in records if (one["arm"], one["budget"]) == (arm, budget)]
            shown = [n for n in CHECKPOINTS if n != 25 and any(f"regret_{n}" in one for one in own)]
            if not shown:
                continue
            pairs = [interval([one[f"regret_{n}"] for one in own if f"regret_{n}" in one]) for n in shown]
            mean, half = np.asarray(pairs).T
            is_ours = arm.startswith("thompson")
            axis.plot(
                shown,
                mean,
                label=arm,
                color=colours[arm],
                linewidth=2.4 if is_ours else 1.2,
                marker="o",
                ms=3,
            )
            axis.fill_between(
                shown, np.maximum(mean - half, 1e-3), mean + half, color=colours[arm], alpha=0.12, lw=0
            )
        axis.set_title(f"at most {budget} M multiply-adds", fontsize=10)
        axis.set_xscale("log")
        axis.set_yscale("log")
        axis.set_ylim(0.01, 2.2)
        axis.set_xticks([10, 20, 50, 100, 200], labels=["10", "20", "50", "100", "200"])
        axis.minorticks_off()
        axis.set_yticks(
            [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2], labels=["0.02", "0.05", "0.1", "0.2", "0.5", "1", "2"]
        )
        axis.grid(alpha=0.25)
    for axis in axes[1]:
        axis.set_xlabel("trainings")
    figure.supylabel("regret: points below the best network inside the budget")
    handles, labels = axes[1, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=5, frameon=False, fontsize=9)
    figure.savefig(DOCS / "images" / f"{NAME}.png", dpi=110)
    plt.close(figure)


def main() -> None:
    """Measure what is missing, then report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--report", action="store_true")
    parser.add_argument("--ask-time", action="store_true")
    parser.add_argument("--arms", nargs="*", default=ARMS, choices=ARMS)
    parser.add_argument("--budgets", nargs="*", type=int, default=BUDGETS)
    parser.add_argument("--seeds", type=int, default=NUM_SEEDS)
    parser.add_argument("--front", action="store_true", help="only the front")
    options = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
    if options.ask_time:
        measure_ask_time()
        return
    if not options.report:
        table = load_macro_table()
        done = {(one["arm"], one["budget"], one["seed"]) for one in read_records(NAME)}
        for budget in () if options.front else options.budgets:
            for seed in range(options.seeds):
                for arm in options.arms:
                    if arm == "GP" and (budget != 60 or seed >= GP_SEEDS):
                        continue
                    if (arm, budget, seed) not in done:
                        measure_search(table, arm, budget, seed)
        done_fronts = {(one["arm"], one["seed"]) for one in read_records(f"{NAME}_front")}
        for seed in range(options.seeds):
            for arm in ("thompson", "random", "TPE independent", "TPE multivariate", "NSGA-II"):
                if options.front and arm in options.arms and (arm, seed) not in done_fronts:
                    measure_front(table, arm, seed)
    print(report())


if __name__ == "__main__":
    main()
