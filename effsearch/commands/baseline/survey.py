"""What does a search look like before it starts: its space, its screening, its trainings?"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from effsearch.commands import proxy
from effsearch.commands.baseline.screen_plan import describe_screen
from effsearch.commands.baseline.settled import BaselinePlan
from effsearch.commands.watching import Watcher, short_seconds
from effsearch.search.fidelity import ENOUGH_AFTER_SCREENING
from effsearch.space.budget import Budget
from effsearch.space.outcome import ContinuedFidelity, Fidelity
from effsearch.space.screening import sample_points, screen
from effsearch.space.search_space import SearchSpace

NUM_SURVEYED = 100_000  # candidates drawn to describe the space


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a space looks like from a budget, estimated from uniform draws."""

    size: int
    least_multiply_adds: int
    median_multiply_adds: int
    most_multiply_adds: int
    share_inside: float
    least_latency: int | None = None  # nanoseconds, predicted; None where latency is not bounded
    median_latency: int | None = None
    most_latency: int | None = None


def survey_space(space: SearchSpace, budget: Budget, *, resolution: int, num_classes: int) -> Survey:
    """Draw many candidates and say what they cost."""
    points = sample_points(space, NUM_SURVEYED, rng=np.random.default_rng(0))
    costs = screen(space, points, resolution=resolution, num_classes=num_classes, table=budget.latency_table)
    latencies = costs.latency_nanoseconds
    return Survey(
        least_latency=None if latencies is None else int(latencies.min()),
        median_latency=None if latencies is None else int(np.median(latencies)),
        most_latency=None if latencies is None else int(latencies.max()),
        size=space.size,
        least_multiply_adds=int(costs.multiply_adds.min()),
        median_multiply_adds=int(np.median(costs.multiply_adds)),
        most_multiply_adds=int(costs.multiply_adds.max()),
        share_inside=float(costs.inside(budget).mean()),
    )


def say_plan(plan: BaselinePlan, watcher: Watcher) -> None:
    """Say what one training is, what the time buys of it, and when that is too little."""
    choice, settings, rungs = plan.choice, plan.search, plan.problem.rungs
    own = plan.placement.train_function
    is_continued = isinstance(rungs[-1], ContinuedFidelity)
    whole = proxy.describe_fidelity(choice.fidelity)
    text = f"proxy: {f'all rungs together cost what {whole} would' if is_continued else whole}; "
    text += f"{short_seconds(choice.seconds)} each" if own is None else f"trained by {own.name}"
    if len(rungs) > 1:
        watcher.say(f"ladder: {describe_ladder(rungs)}; {promotion_words(settings.reduction, is_continued)}")
    if settings.minutes is not None and own is None:
        text += (
            f", and the time left for them on {plan.placement.num_workers} worker(s) buys about "
            f"{choice.num_trainings} trainings"
        )
    watcher.say(text)
    if plan.placement.precision == "bfloat16":
        watcher.say(
            "precision: products in bfloat16 where a worker's processor has them; the ledger says where"
        )
    if choice.num_rungs_down and settings.minutes is not None:
        watcher.say(
            "a dearer proxy would have bought too few trainings, so a cheaper one is used; more --minutes buy a "
            "better one"
        )
    if settings.minutes is not None and own is None and choice.num_trainings < ENOUGH_AFTER_SCREENING:
        watcher.say(
            f"only about {choice.num_trainings} trainings fit: expect little of the search; give more --minutes"
        )


def describe_ladder(rungs: Sequence[Fidelity]) -> str:
    """Say what is trained on each rung; of rungs that go on from weights, what comes on top of those below."""
    return f"{len(rungs)} rungs, {', then '.join(map(proxy.describe_fidelity, rungs))}"


def promotion_words(reduction: int, is_continued: bool) -> str:
    """Say who climbs, and with what."""
    return f"one in {reduction} is promoted{' and goes on from its weights' if is_continued else ''}"


def plan_report(plan: BaselinePlan) -> dict[str, Any]:
    """Give what a dry run found out, as JSON values."""
    problem, choice, settings = plan.problem, plan.choice, plan.search
    survey = survey_space(
        problem.space, problem.budget, resolution=problem.resolution, num_classes=problem.num_classes
    )
    return {
        "space": problem.space.name,
        "budget": "; ".join(map(str, problem.budgets)),
        "resolution": problem.resolution,
        "classes": problem.num_classes,
        "latency": None
        if plan.latency is None
        else {
            "limit_nanoseconds": plan.latency.limit,
            "held_to_nanoseconds": plan.latency.held_to,
            "conditions": str(plan.latency.table.conditions),
            "least_nanoseconds": survey.least_latency,
            "median_nanoseconds": survey.median_latency,
            "most_nanoseconds": survey.most_latency,
        },
        "size": survey.size,
        "multiply_adds": {
            "least": survey.least_multiply_adds,
            "median": survey.median_multiply_adds,
            "most": survey.most_multiply_adds,
        },
        "share_inside": survey.share_inside,
        "screening": describe_screen(plan.screen).removeprefix("screening: "),
        "screen": None if plan.screen is None else dataclasses.asdict(plan.screen),
        "proxy": dataclasses.asdict(choice.fidelity),
        "rungs": [dataclasses.asdict(rung) for rung in problem.rungs],
        "seconds_per_training": choice.seconds,
        "minutes": settings.minutes,
        "workers": plan.placement.num_workers,
        "trainings": choice.num_trainings if settings.minutes is not None else settings.num_trials,
        "anchors": [anchor.name for anchor in problem.anchors],
    }
