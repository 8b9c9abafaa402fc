"""What does a baseline search tell at its end?"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from effsearch.commands.baseline.latency_check import LatencyCheck
from effsearch.commands.baseline.latency_report import front_seconds, latency_fields, latency_record
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.latency.measure import measure_latency
from effsearch.proxy_train.measure import check_count
from effsearch.results.ledger import read_entries
from effsearch.results.operators import count_operators
from effsearch.results.pareto import pareto_front
from effsearch.results.run_dir import RunDir
from effsearch.search.baseline import BaselineResult
from effsearch.search.problem import Problem, SearchSettings
from effsearch.search.ranking import Ranked
from effsearch.space.budget import Budget
from effsearch.space.canonical import network_hash
from effsearch.space.proxy import fidelity_for
from effsearch.space.text import to_json


def make_report(
    run: RunDir,
    problem: Problem,
    settings: SearchSettings,
    result: BaselineResult,
    check: LatencyCheck | None = None,
) -> dict[str, Any]:
    """Write the emitted networks to the run, and give the report as JSON values.

    Args:
        run: Where they go.
        problem: What was searched.
        settings: How.
        result: What was found.
        check: Measures networks where latency is bounded.
    """
    paths = {
        one.network: run.write_spec(one.name, to_json(one.spec))
        for one in (*result.finalists, *result.anchors, *result.winners)
    }
    winners = []
    # A budget inside which nothing was scored has no winner.
    budgets = [budget for budget in problem.budgets if any(budget.allows(one.cost) for one in result.ranked)]
    for index, (winner, budget) in enumerate(zip(result.winners, budgets, strict=True)):
        check_count(winner.spec)
        name = "best" if index == len(result.winners) - 1 else f"best {budget}"
        path = run.write_spec(name, to_json(winner.spec))
        winners.append(_row(winner, path, problem, check) | {"budget": _limits(budget)})
    phis = {anchor.name: anchor.phi for anchor in problem.anchors}
    return {
        "run": str(run.path),
        "best": {key: value for key, value in winners[-1].items() if key != "budget"},
        "winners": winners,
        "anchors": [
            _row(one, paths[one.network], problem, check) | {"phi": phis[one.name]}
            for one in result.anchors
            if one.name in phis
        ],
        "finalists": [_row(one, paths[one.network], problem, check) for one in result.finalists],
        "front": front_rows(result.ranked, settings, check),
        "trials": result.num_trials,
        "failures": result.num_failed,
        "promoted": result.num_promoted,
        "owed": result.num_owed,
        "operators": count_operators(read_entries(run.ledger_path)),
        "stopped_by": result.stopped_by,
        "budget": _limits(problem.budget),
        "latency": None if check is None else latency_record(check),
        "resolution": problem.resolution,
        "classes": problem.num_classes,
        "fidelity": dataclasses.asdict(problem.rungs[-1]),
        "sampler": settings.sampler,
        "objective": settings.objective,
        "second_objective": settings.second_objective,
        "untrained_anchors": untrained_anchors(problem, result),
        "warnings": [],
        "certificate": None,
        "explanation": [],
    }


def untrained_anchors(problem: Problem, result: BaselineResult) -> list[str]:
    """Give the known networks that there was no trial or no time for."""
    trained = {one.network for one in result.ranked}
    return [anchor.name for anchor in problem.anchors if network_hash(anchor.spec) not in trained]


def chance_warnings(report: Mapping[str, Any], images: ImageData) -> list[str]:
    """Say it where the winner may have learned nothing: within two deviations of naming one class always."""
    chance, accuracy = images.chance_accuracy, report["best"]["accuracy"]
    if accuracy > images.learned_from:
        return []
    return [
        f"the winner scores {accuracy:.1%}, and naming the commonest class always {chance:.1%}: nothing was learned, "
        "so the ranking means nothing; give more --minutes, or longer trainings with --images and --epochs"
    ]


def front_rows(
    ranked: Sequence[Ranked], settings: SearchSettings, check: LatencyCheck | None = None
) -> list[dict[str, Any]]:
    """Give the networks that no other beats in both the expected score and the cost, cheapest first.

    The cost is the second objective, else the multiply-adds. Latency is that of every scored network: where latency
    is bounded, under the conditions of the bound, else measured with torch on this machine.
    """
    name = settings.second_objective or "multiply_adds"
    if name == "latency" and check is not None:
        costs = front_seconds(ranked, check)
    elif name == "latency":
        costs = [measure_latency(one.spec) for one in ranked]
    else:
        costs = [float(getattr(one.cost, name)) for one in ranked]
    rows = []
    for index in pareto_front(costs, [one.belief for one in ranked]):
        one = ranked[index]
        row = {
            "name": one.name,
            "network_hash": one.network,
            "multiply_adds": one.cost.multiply_adds,
            "params": one.cost.parameters,
            "activations": one.cost.activations,
            "accuracy": one.mean_accuracy,
            "expected_score": one.belief,
            "seeds": len(one.seeds),
        }
        rows.append(row | ({"latency_seconds": costs[index]} if name == "latency" else {}))
    return rows


def _limits(budget: Budget) -> dict[str, int | None]:
    """Give the bounds by name; those of counts are there in any case."""
    return {"multiply_adds": None, "parameters": None, "activations": None} | budget.limits()


def _row(ranked: Ranked, path: Path, problem: Problem, check: LatencyCheck | None) -> dict[str, Any]:
    fidelity = fidelity_for(ranked.spec, problem.rungs[ranked.rung], target_resolution=problem.resolution)
    return {
        "name": ranked.name,
        "network_hash": ranked.network,
        "spec_path": str(path),
        "multiply_adds": ranked.cost.multiply_adds,
        "params": ranked.cost.parameters,
        "activations": ranked.cost.activations,
        "accuracy": ranked.mean_accuracy,
        "expected_score": ranked.belief,
        "rung": ranked.rung,
        "trained_resolution": fidelity.resolution,  # pixels
        "seeds": list(ranked.seeds),
        "accuracies": list(ranked.accuracies),
        **latency_fields(ranked, check),
    }
