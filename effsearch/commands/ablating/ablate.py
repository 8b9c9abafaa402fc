"""effsearch ablate: grow a network in one dimension and in all together, and see which pays."""

import dataclasses
import time
from datetime import UTC, datetime
from typing import Any

from effsearch.commands import pools
from effsearch.commands.ablating.plan import (
    FREE_SETTINGS,
    AblateOptions,
    AblationPlan,
    plan_ablation,
    run_settings,
)
from effsearch.commands.ablating.report import make_report, plan_notes
from effsearch.commands.recorder import Recorder
from effsearch.commands.redrawn import redrawn_by
from effsearch.commands.time_left import minutes_left
from effsearch.commands.watching import Watcher, minutes_text
from effsearch.results.plots.ablation import draw_ablation
from effsearch.results.plots.ablation_data import collect_ablation
from effsearch.results.plots.save import save_figure
from effsearch.results.run_dir import RunDir, create_or_resume
from effsearch.search.ablation import AblationResult, AblationSettings, compare_arms
from effsearch.space.outcome import Evaluation
from effsearch.space.text import to_json

PLOT_FILE = "ablation.png"


def run_ablate(options: AblateOptions, watcher: Watcher) -> dict[str, Any]:
    """Train all arms, write the run directory, and give the report as JSON values.

    Raises:
        EffsearchError: Something that was named cannot be used, or nothing came to a score.
    """
    plan = plan_ablation(options, watcher)
    for note in plan_notes(plan):
        watcher.say(note)
    with create_or_resume(
        options.run,
        command="ablate",
        settings=run_settings(plan, options),
        free_settings=FREE_SETTINGS,
        now=datetime.now(UTC),
        runs_root=options.runs_root,
    ) as run:
        watcher.say(f"run: {run.path}{' (resumed)' if run.is_resumed else ''}")
        watcher.follow(run)
        spec_paths = {arm.title: str(run.write_spec(arm.title, to_json(arm.spec))) for arm in plan.arms}
        result = _compare(run, plan, watcher)
        plot_path = run.plots_path / PLOT_FILE
        report = make_report(plan, result, run=run.path, spec_paths=spec_paths, plot_path=plot_path)
        run.write_result(report)
        with redrawn_by(f"effsearch plot {run.path}", done="the ablation", say=watcher.say):
            save_figure(draw_ablation(collect_ablation(run.path)), plot_path)
    return report


def _compare(run: RunDir, plan: AblationPlan, watcher: Watcher) -> AblationResult:
    started = time.monotonic()
    with Recorder(
        run,
        plan.images,
        device=plan.placement.device,
        precision=plan.placement.precision,
        say=watcher.say,
    ) as recorder:
        history = recorder.history()
        left = minutes_left(recorder, plan.settings.minutes, watcher)
        settings = dataclasses.replace(plan.settings, minutes=left)
        with pools.open_executor(
            plan.images,
            plan.placement,
            expected_seconds=plan.base_seconds * max(settings.factors),
            fidelity=plan.fidelity,
            say=watcher.say,
            show_slots=watcher.show_slots,
        ) as executor:
            return compare_arms(
                plan.arms,
                settings,
                fidelity=plan.fidelity,
                target_resolution=plan.base.spec.resolution,
                executor=executor,
                clock=time.monotonic,
                record=recorder.record,
                history=history,
                expected_seconds=plan.base_seconds,
                notify=lambda last, num_ended, num_planned: _show(
                    watcher,
                    settings=settings,
                    last=last,
                    num_ended=num_ended,
                    num_planned=num_planned,
                    seconds=time.monotonic() - started,
                ),
            )


def _show(
    watcher: Watcher,
    *,
    settings: AblationSettings,
    last: Evaluation,
    num_ended: int,
    num_planned: int,
    seconds: float,
) -> None:
    job = last.job
    if last.failure:
        watcher.say(f"{job.name}, seed {job.replicate + 1}, failed: {last.failure}")
    text = f"{num_ended} of {num_planned} trained, last {job.name}"
    if last.result is not None:
        text += f" {last.result.val_accuracy:.1%}"
    if settings.minutes is not None:
        text += f", {minutes_text(max(0.0, settings.minutes * 60 - seconds))} left"
    watcher.show("ablate", num_ended, num_planned, text)
