"""effsearch baseline: find the best network inside a budget."""

import dataclasses
import hashlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from effsearch.commands import proxy
from effsearch.commands.inputs import read_space
from effsearch.commands.proxy import ProxyOptions, Recorder
from effsearch.commands.watching import Watcher, minutes_text
from effsearch.proxy_train.measure import check_count
from effsearch.results.plots.collect import collect_front
from effsearch.results.plots.front import draw_front
from effsearch.results.plots.save import save_figure
from effsearch.results.run_dir import RunDir, create_or_resume
from effsearch.search.baseline import (
    BaselineResult,
    Problem,
    Progress,
    SearchSettings,
    score_of,
    search_baseline,
)
from effsearch.search.fidelity import ENOUGH_TRAININGS, FidelityChoice
from effsearch.search.ranking import Ranked, reward
from effsearch.search.study import JournalStudy, finished_trial
from effsearch.space.anchors import ANCHOR_PRESETS, Anchor, make_anchor
from effsearch.space.budget import Budget, parse_budget, short_count
from effsearch.space.outcome import Evaluation
from effsearch.space.screening import draw_inside, sample_points, screen
from effsearch.space.search_space import SearchSpace
from effsearch.space.spec import ModelSpec
from effsearch.space.text import to_json

FREE_SETTINGS = frozenset({"num_trials", "minutes", "num_workers"})
DEFAULT_RESOLUTION = 224
NUM_TIMED_NETWORKS = 2  # beside the anchors, to predict the time of a training
NUM_SURVEYED = 100_000  # candidates drawn to describe the space
JOURNAL_FILE = "study.journal"


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineOptions:
    """What a user asks of `effsearch baseline`."""

    budget: str | None
    max_params: str | None
    max_activations: str | None
    space: str
    resolution: int | None
    num_classes: int | None
    search: SearchSettings
    proxy: ProxyOptions
    num_workers: int | None
    run: Path | None
    runs_root: Path
    is_dry_run: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Survey:
    """What a space looks like from a budget, estimated from uniform draws."""

    size: int
    least_multiply_adds: int
    median_multiply_adds: int
    most_multiply_adds: int
    share_inside: float


def run_baseline(options: BaselineOptions, watcher: Watcher) -> dict[str, Any]:
    """Search, write the run directory, and give the report (or, for a dry run, the plan) as JSON values."""
    budget = parse_budget(
        options.budget, max_params=options.max_params, max_activations=options.max_activations
    )
    space = read_space(options.space)
    resolution = options.resolution or space.resolution or DEFAULT_RESOLUTION
    if options.search.objective == "reward":
        reward(0.5, multiply_adds=1, target=budget.multiply_adds, exponent=options.search.reward_exponent)
    num_classes = options.num_classes
    if num_classes is not None:  # cheap to find out before any image is decoded
        _draw_some(space, budget, resolution, num_classes)
    images = proxy.load_proxy_images(options.proxy, watcher)
    num_classes = num_classes or images.num_classes
    examples = _draw_some(space, budget, resolution, num_classes)
    found = (make_anchor(n, budget, resolution=resolution, num_classes=num_classes) for n in ANCHOR_PRESETS)
    anchors = tuple(anchor for anchor in found if anchor is not None)
    num_workers = proxy.default_num_workers(options.num_workers)

    stored = proxy.stored_fidelity(options.run)
    choice = proxy.plan_fidelity(
        options.proxy,
        images,
        examples + [anchor.spec for anchor in anchors if anchor.phi == 0],
        stored=stored,
        has_fixed_strides=space.has_fixed_strides,
        minutes=options.search.minutes,
        num_workers=num_workers,
    )
    _say_plan(choice, options.search, num_workers, watcher)
    problem = Problem(
        space=space,
        budget=budget,
        resolution=resolution,
        num_classes=num_classes,
        fidelity=choice.fidelity,
        anchors=anchors,
    )
    if options.is_dry_run:
        return _plan_report(problem, choice, options.search, num_workers)
    settings = {
        "budget": str(budget),
        "budget_limits": budget.limits(),
        "space": space.name,
        "space_hash": hashlib.sha256(repr(space).encode()).hexdigest()[:16],
        "data": options.proxy.data,
        "data_fingerprint": images.fingerprint,
        "resolution": resolution,
        "num_classes": num_classes,
        **dataclasses.asdict(options.search),
        "fidelity": dataclasses.asdict(choice.fidelity),
        "training": proxy.train_settings_record(),
        "num_workers": num_workers,
    }
    with create_or_resume(
        options.run,
        command="baseline",
        settings=settings,
        free_settings=FREE_SETTINGS,
        now=datetime.now(UTC),
        runs_root=options.runs_root,
    ) as run:
        watcher.say(f"run: {run.path}{' (resumed)' if run.is_resumed else ''}")
        result = _search(run, problem, options.search, images, num_workers, choice.seconds, watcher)
        report = _report(run, problem, result)
        run.write_result(report)
        save_figure(draw_front(collect_front([run.path])), run.plots_path / "front.png")
    return report


def survey_space(space: SearchSpace, budget: Budget, *, resolution: int, num_classes: int) -> Survey:
    """Draw many candidates and say what they cost."""
    points = sample_points(space, NUM_SURVEYED, rng=np.random.default_rng(0))
    costs = screen(space, points, resolution=resolution, num_classes=num_classes)
    return Survey(
        size=space.size,
        least_multiply_adds=int(costs.multiply_adds.min()),
        median_multiply_adds=int(np.median(costs.multiply_adds)),
        most_multiply_adds=int(costs.multiply_adds.max()),
        share_inside=float(costs.inside(budget).mean()),
    )


def _draw_some(space: SearchSpace, budget: Budget, resolution: int, num_classes: int) -> list[ModelSpec]:
    """Draw a few networks from the upper budget; raises where nothing fits."""
    points = draw_inside(
        space,
        budget,
        NUM_TIMED_NETWORKS,
        resolution=resolution,
        num_classes=num_classes,
        rng=np.random.default_rng(0),
        least_share=0.8,
    )
    return [space.spec_at(point, resolution=resolution, num_classes=num_classes) for point in points.tolist()]


def _search(
    run: RunDir,
    problem: Problem,
    settings: SearchSettings,
    images: Any,
    num_workers: int,
    expected_seconds: float,
    watcher: Watcher,
) -> BaselineResult:
    recorder = Recorder(run, images)
    try:
        history = recorder.history()
        journal = JournalStudy(run.path / JOURNAL_FILE, study_name="baseline")
        for evaluation in history:
            _add_to_journal(journal, problem, settings, evaluation)

        def record(evaluation: Evaluation) -> None:
            recorder.record(evaluation)
            _add_to_journal(journal, problem, settings, evaluation)

        with proxy.local_executor(images, num_workers) as executor:
            return search_baseline(
                problem,
                settings,
                executor=executor,
                clock=time.monotonic,
                record=record,
                history=history,
                expected_seconds=expected_seconds,
                notify=lambda progress: _show(progress, settings, watcher),
            )
    finally:
        recorder.close()


def _add_to_journal(
    journal: JournalStudy, problem: Problem, settings: SearchSettings, evaluation: Evaluation
) -> None:
    """Write a network's first separate training to the study, where the network is a point of the space."""
    job = evaluation.job
    if job.choices and job.replicate == 0:
        value = None if evaluation.result is None else score_of(evaluation, problem, settings)
        journal.add(finished_trial(problem.space, job.choices, value=value, network=job.network))


def _show(progress: Progress, settings: SearchSettings, watcher: Watcher) -> None:
    last = progress.last
    if last is not None and last.failure:
        watcher.say(f"{last.job.name} failed: {last.failure}")
    best = progress.best
    words = [
        f"{progress.num_done} trained" if progress.phase == "trials" else f"{progress.num_done} confirmed"
    ]
    if best is not None and best.result is not None:
        words.append(
            f"best {best.result.val_accuracy:.1%} ({best.job.name}, {short_count(best.job.cost.multiply_adds)})"
        )
    if progress.num_failed:
        words.append(f"{progress.num_failed} failed")
    if settings.minutes is not None:
        left = max(0.0, settings.minutes * 60 - progress.seconds)
        words.append(f"{minutes_text(left)} left")
        watcher.show("search", progress.seconds, settings.minutes * 60, ", ".join(words))
    else:
        total = settings.num_trials if progress.phase == "trials" else None
        watcher.show("search" if total else "confirm", progress.num_done, total, ", ".join(words))


def _say_plan(choice: FidelityChoice, settings: SearchSettings, num_workers: int, watcher: Watcher) -> None:
    text = f"proxy: {proxy.describe_fidelity(choice.fidelity)}; about {choice.seconds:.0f} s each"
    if settings.minutes is not None:
        text += (
            f", so {settings.minutes:g} minutes on {num_workers} worker(s) buy about "
            f"{choice.num_trainings} trainings"
        )
    watcher.say(text)
    if choice.num_rungs_down and settings.minutes is not None:
        watcher.say(
            f"a dearer proxy would have bought fewer than {ENOUGH_TRAININGS} trainings, so a cheaper one is used; "
            "more --minutes buy a better one"
        )
    if settings.minutes is not None and choice.num_trainings < ENOUGH_TRAININGS:
        watcher.say(
            f"only about {choice.num_trainings} trainings fit: expect little of the search; give more --minutes"
        )


def _plan_report(
    problem: Problem, choice: FidelityChoice, settings: SearchSettings, num_workers: int
) -> dict[str, Any]:
    survey = survey_space(
        problem.space, problem.budget, resolution=problem.resolution, num_classes=problem.num_classes
    )
    return {
        "space": problem.space.name,
        "budget": str(problem.budget),
        "resolution": problem.resolution,
        "classes": problem.num_classes,
        "size": survey.size,
        "multiply_adds": {
            "least": survey.least_multiply_adds,
            "median": survey.median_multiply_adds,
            "most": survey.most_multiply_adds,
        },
        "share_inside": survey.share_inside,
        "proxy": dataclasses.asdict(choice.fidelity),
        "seconds_per_training": choice.seconds,
        "minutes": settings.minutes,
        "workers": num_workers,
        "trainings": choice.num_trainings if settings.minutes is not None else settings.num_trials,
        "anchors": [anchor.name for anchor in problem.anchors],
    }


def _report(run: RunDir, problem: Problem, result: BaselineResult) -> dict[str, Any]:
    check_count(result.best.spec)
    best_path = run.write_spec("best", to_json(result.best.spec))
    phis: dict[str, Anchor] = {anchor.name: anchor for anchor in problem.anchors}
    return {
        "run": str(run.path),
        "best": _row(result.best, best_path),
        "anchors": [
            _row(anchor, run.write_spec(anchor.name, to_json(anchor.spec))) | {"phi": phis[anchor.name].phi}
            for anchor in result.anchors
            if anchor.name in phis
        ],
        "finalists": [_row(one, run.write_spec(one.name, to_json(one.spec))) for one in result.finalists],
        "trials": result.num_trials,
        "failures": result.num_failed,
        "stopped_by": result.stopped_by,
        "budget": dataclasses.asdict(problem.budget),
        "resolution": problem.resolution,
        "classes": problem.num_classes,
        "fidelity": dataclasses.asdict(problem.fidelity),
    }


def _row(ranked: Ranked, path: Path) -> dict[str, Any]:
    return {
        "name": ranked.name,
        "network_hash": ranked.network,
        "spec_path": str(path),
        "multiply_adds": ranked.cost.multiply_adds,
        "params": ranked.cost.parameters,
        "activations": ranked.cost.activations,
        "accuracy": ranked.mean_accuracy,
        "seeds": list(ranked.seeds),
        "accuracies": list(ranked.accuracies),
    }
