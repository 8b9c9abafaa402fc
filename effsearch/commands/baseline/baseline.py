"""effsearch baseline: find the best network inside a budget."""

import dataclasses
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from effsearch.commands import pools
from effsearch.commands.baseline.latency_check import LatencyCheck, measure_like
from effsearch.commands.baseline.latency_plan import minutes_beside
from effsearch.commands.baseline.latency_words import latency_warnings
from effsearch.commands.baseline.options import BaselineOptions
from effsearch.commands.baseline.plan import FREE_SETTINGS, plan_baseline
from effsearch.commands.baseline.report import chance_warnings, make_report
from effsearch.commands.baseline.screen_plan import describe_screen
from effsearch.commands.baseline.screening import run_screen
from effsearch.commands.baseline.settings import run_settings
from effsearch.commands.baseline.settled import BaselinePlan
from effsearch.commands.baseline.studies import Studies
from effsearch.commands.baseline.survey import plan_report, say_plan
from effsearch.commands.explaining.explain import Explained, explanation_of
from effsearch.commands.recorder import Recorder
from effsearch.commands.redrawn import redrawn_by
from effsearch.commands.run_space import write_own_space
from effsearch.commands.run_studies import reach_storage, storage_setting
from effsearch.commands.time_left import NO_MINUTES, minutes_left
from effsearch.commands.watching import Watcher, minutes_text
from effsearch.results.certificate import words_of_run
from effsearch.results.checkpoints import Checkpoints
from effsearch.results.latency_file import write_run_table
from effsearch.results.plots.collect import collect_front
from effsearch.results.plots.front import draw_front
from effsearch.results.plots.save import save_figure
from effsearch.results.run_dir import RunDir, create_or_resume
from effsearch.search.baseline import BaselineResult, go_on_with_baseline
from effsearch.search.fidelity import relative_cost
from effsearch.search.placement.continuing_executor import ContinuingExecutor
from effsearch.search.placement.executor import Executor
from effsearch.search.problem import Problem, Progress, SearchSettings
from effsearch.search.proposers.make_proposer import make_proposer
from effsearch.search.proposers.proposer import Proposer
from effsearch.search.screening.second_look import on_one_level
from effsearch.space.budget import short_count
from effsearch.space.errors import EffsearchError, UsageError
from effsearch.space.outcome import ContinuedFidelity, Evaluation
from effsearch.space.screen_scores import ScreenScores
from effsearch.space.search_space import Point


def run_baseline(options: BaselineOptions, watcher: Watcher) -> dict[str, Any]:
    """Search, write the run directory, and give the report (or, for a dry run, the plan) as JSON values."""
    storage = None if options.is_dry_run else reach_storage(options.storage, options.run)
    plan = plan_baseline(options, watcher)
    watcher.say(describe_screen(plan.screen))
    say_plan(plan, watcher)
    if options.is_dry_run:
        return plan_report(plan)
    with create_or_resume(
        options.run,
        command="baseline",
        settings=run_settings(plan, options) | storage_setting(storage),
        free_settings=FREE_SETTINGS - ({"num_workers"} if plan.search.step_time_exponent else set()),
        now=datetime.now(UTC),
        runs_root=options.runs_root,
    ) as run:
        watcher.say(f"run: {run.path}{' (resumed)' if run.is_resumed else ''}")
        watcher.follow(run)
        write_own_space(run, options.space)
        check = None
        if plan.latency is not None:
            write_run_table(run.path, plan.latency.settled)
            check = LatencyCheck(run.path, plan.latency, watcher, measure_like(plan.latency.table))
        result, warnings = _search(run, plan, check, storage, watcher)
        report = make_report(run, plan.problem, plan.search, result, check)
        report["warnings"] = latency_warnings(report) + chance_warnings(report, plan.images) + warnings
        run.write_result(report)  # before anything else can go wrong
        _log_result(run, report)
        report["certificate"], explained = _comments(run, watcher)
        report["explanation"] = [] if explained is None else list(explained.report["words"])
        run.write_result(report)
        _draw(run, explained, watcher)  # last: pictures are not to take the room of the result
    return report


def _draw(run: RunDir, explained: Explained | None, watcher: Watcher) -> None:
    """Write what people look at, as far as the disk takes it."""
    with redrawn_by(f"effsearch plot {run.path}", done="the search", say=watcher.say):
        save_figure(draw_front(collect_front([run.path])), run.plots_path / "front.png")
    if explained is not None:
        with redrawn_by(f"effsearch explain {run.path}", done="the search", say=watcher.say):
            explained.write()


def _log_result(run: RunDir, report: Mapping[str, Any]) -> None:
    """Put into the run's log what the tables say in more words."""
    best = report["best"]
    run.log.note(f"{report['trials']} networks trained, {report['failures']} failed; best: {best['name']}")
    if report["owed"]:
        run.log.note(f"time was up before {report['owed']} trainings with fresh seeds")
    for line in report["warnings"]:
        run.log.warn(line)


def _comments(run: RunDir, watcher: Watcher) -> tuple[str | None, Explained | None]:
    """Say what the certificate says, and which choices mattered; nothing where too few networks were trained."""
    certificate, explained = None, None
    try:
        certificate = words_of_run(run.path)
        explained = explanation_of(run.path)
    except UsageError:
        pass
    except EffsearchError as error:
        watcher.say(f"the search has ended well, but: {error}")
    return certificate, explained


def _search(
    run: RunDir, plan: BaselinePlan, check: LatencyCheck | None, storage: str | None, watcher: Watcher
) -> tuple[BaselineResult, list[str]]:
    """Give what was found, and warnings; every training goes to the ledger, then to Optuna's studies."""
    problem, settings = plan.problem, plan.search
    started = time.monotonic()
    with (
        Recorder(
            run,
            plan.images,
            device=plan.placement.device,
            precision=plan.placement.precision,
            train_function=plan.placement.train_function,
            say=watcher.say,
        ) as recorder,
        Studies(run, problem, settings, storage=storage, watcher=watcher) as studies,
    ):
        history = recorder.history(problem.budget.latency_table)
        left = minutes_left(recorder, minutes_beside(settings.minutes, plan.latency), watcher)
        scores = ScreenScores()
        if plan.screen is not None:
            scores = run_screen(
                run,
                plan.screen,
                problem,
                plan.images,
                recorder,
                anchors=_points_of_anchors(problem),
                front_measure=problem.front_measure(settings),
                seconds_left=None if left is None else 60 * left,
                placement=plan.placement,
                watcher=watcher,
            )
            studies.add_screened(scores.first)
        for evaluation in history:
            studies.add(evaluation)

        def record(evaluation: Evaluation) -> None:
            recorder.record(evaluation)
            studies.add(evaluation)

        if left is not None:  # what earlier calls and the screening took is gone
            left -= (time.monotonic() - started) / 60
            settings = dataclasses.replace(settings, minutes=max(left, NO_MINUTES))

        def proposer_after(num_trainings: int) -> Proposer:
            return make_proposer(
                problem,
                settings,
                screened=on_one_level(scores),
                earlier=plan.earlier,
                seed=settings.seed + num_trainings,
            )

        share = relative_cost(problem.rungs[0]) / relative_cost(plan.choice.fidelity)
        with pools.open_executor(
            plan.images,
            plan.placement,
            expected_seconds=plan.choice.seconds,
            fidelity=plan.choice.fidelity,
            say=watcher.say,
            show_slots=watcher.show_slots,
        ) as executor:
            result = go_on_with_baseline(
                problem,
                settings,
                executor=_with_checkpoints(executor, run, problem, watcher),
                make_proposer=proposer_after,
                clock=time.monotonic,
                record=record,
                history=history,
                expected_seconds=plan.choice.seconds * share,
                notify=lambda progress: _show(progress, settings, watcher),
                keeps=(lambda spec: True) if check is None else check.keeps,
            )
    return result, studies.warnings


def _with_checkpoints(executor: Executor, run: RunDir, problem: Problem, watcher: Watcher) -> Executor:
    """Give workers that go on from the weights of the rung below, where rungs are continued."""
    if not isinstance(problem.rungs[-1], ContinuedFidelity):
        return executor
    store = Checkpoints(run.path, say=watcher.say)
    return ContinuingExecutor(executor, store, num_rungs=len(problem.rungs))


def _points_of_anchors(problem: Problem) -> list[Point]:
    points = [
        problem.space.find_point(anchor.spec)
        for anchor in problem.anchors
        if anchor.spec.resolution == problem.resolution
    ]
    return [point for point in points if point is not None]


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
