"""How are the coefficients of a base searched on a proxy, in a run directory of their own?"""

import dataclasses
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from effsearch.commands import pools, proxy
from effsearch.commands.gpu import fill_gpus
from effsearch.commands.inputs import Base, data_of_base
from effsearch.commands.placement import PLACEMENT_SETTINGS, Placement
from effsearch.commands.proxy import ProxyOptions
from effsearch.commands.recorder import Recorder
from effsearch.commands.run_studies import RunStudies, reach_storage, storage_setting
from effsearch.commands.scaling.coefficient_report import coefficient_report
from effsearch.commands.scaling.options import ScaleOptions
from effsearch.commands.time_left import minutes_left
from effsearch.commands.watching import Watcher, minutes_text
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.results.journal_file import require_sound_journal
from effsearch.results.run_dir import RunDir, create_or_resume
from effsearch.results.run_files import BASE_SPEC, read_settings
from effsearch.results.run_settings import refuse_foreign, refuse_other_settings
from effsearch.search.coefficients.candidates import (
    COST_TOLERANCE,
    CandidateList,
    list_candidates,
    narrow_base,
    triple_name,
)
from effsearch.search.coefficients.divisor import choose_divisor
from effsearch.search.coefficients.search import CoefficientResult, search_coefficients
from effsearch.search.coefficients.settings import FACTOR, CoefficientSettings
from effsearch.search.coefficients.trial import STUDY_NAME, coefficient_trial
from effsearch.search.fidelity import FidelityChoice
from effsearch.space.canonical import network_hash
from effsearch.space.coefficients import ScalingCoefficients
from effsearch.space.outcome import Evaluation, Fidelity
from effsearch.space.scaling import BuildRules
from effsearch.space.text import to_json

FREE_SETTINGS = frozenset({"num_trials", "minutes", "num_seeds", "has_check", "storage"}) | PLACEMENT_SETTINGS
NUM_SHOWN = 3  # of what is left out


def search_for_base(
    options: ScaleOptions, base: Base, watcher: Watcher, *, family: Path
) -> tuple[ScalingCoefficients, dict[str, Any]]:
    """Give the coefficients that suit a base best, and what was found on the way as JSON values.

    Args:
        options: What the user says.
        base: What is to grow.
        watcher: Is told how far it is.
        family: Where the record of the family will be, for `effsearch train RUN --family`.

    Raises:
        EffsearchError: The data or the run cannot be used, nothing can be compared, or trainings keep failing.
    """
    assert options.search is not None, "a search has its settings"
    assert options.proxy is not None, "and its proxy"
    settings = options.search
    refuse_foreign(options.run, command="scale")  # before any image is read
    require_sound_journal(options.run)
    storage = reach_storage(options.storage, options.run)
    proxy_options = dataclasses.replace(options.proxy, data=options.proxy.data or data_of_base(base))
    known = _asked(options, settings, base, proxy_options)
    fidelity_known = proxy.named_fidelity(proxy_options, options.run)
    refuse_other_settings(options.run, "scale", known | fidelity_known, free_settings=FREE_SETTINGS)
    images = proxy.load_proxy_images(proxy_options, watcher)
    stored = proxy.stored_fidelity(options.run) or _fidelity_of_base(base, proxy_options, images.resolution)
    placement = fill_gpus(
        options.placement,
        images,
        [base.spec],
        fidelity=proxy.settled_fidelity(
            proxy_options, images, base.spec, stored=stored, has_fixed_strides=False
        ),
        growth=FACTOR,
        watcher=watcher,
    )
    choice = proxy.plan_fidelity(
        proxy_options,
        images,
        [base.spec],
        stored=stored,
        has_fixed_strides=False,
        minutes=None if settings.minutes is None else settings.minutes / FACTOR,  # what candidates cost
        num_workers=placement.num_workers,
        device=placement.device,
        precision=placement.precision,
        train_function=placement.train_function,
    )
    watcher.say(f"proxy: {proxy.describe_fidelity(choice.fidelity)} for the base; gamma scales its pixels")
    spec, fidelity = narrow_base(base.spec, choice.fidelity)
    rules = search_rules(options.build, choose_divisor(spec))
    listed = list_candidates(spec, settings, fidelity=fidelity, num_classes=images.num_classes, rules=rules)
    _say_listed(listed, fidelity, rules, watcher)
    is_timed = settings.minutes is not None and placement.train_function is None
    if is_timed and choice.num_trainings < len(listed.candidates):
        watcher.say(f"the time buys about {choice.num_trainings} trainings, so not every network is tried")
    largest = max(candidate.fidelity.resolution for candidate in listed.candidates)
    images = proxy.load_large_enough(proxy_options, images, largest, watcher)
    if largest > images.resolution:
        watcher.say(
            f"networks are trained at up to {largest} px and the images are {images.resolution} px: above that gamma "
            "is upsampling, and not really measured; a smaller --proxy-resolution leaves it room"
        )
    record = known | {
        "image_resolution": images.resolution,
        "data_fingerprint": images.fingerprint,
        "search_rules": dataclasses.asdict(rules),
        "fidelity": dataclasses.asdict(choice.fidelity),
        **placement.to_settings(),
        **storage_setting(storage),
    }
    with create_or_resume(
        options.run,
        command="scale",
        settings=record,
        free_settings=FREE_SETTINGS,
        now=datetime.now(UTC),
        runs_root=options.runs_root,
    ) as run:
        watcher.say(f"run: {run.path}{' (resumed)' if run.is_resumed else ''}")
        watcher.follow(run)
        run.write_spec(BASE_SPEC, to_json(base.spec))
        with RunStudies(run, storage, studies={STUDY_NAME: False}, watcher=watcher) as studies:
            result = _search(run, listed, settings, images, choice, placement, studies, watcher)
        found = coefficient_report(
            listed, result, method=settings.method, divisor=rules.divisor, has_check=settings.has_check
        )
        report = {"run": str(run.path), **found, "warnings": studies.warnings}
        coefficients = result.best.coefficients
        run.write_result(
            {
                "base": base.name,
                "base_run": None if base.run is None else str(base.run),
                "family_record": str(family),
                "coefficients": dataclasses.asdict(coefficients),
                **report,
            }
        )
    return coefficients, report


def _asked(
    options: ScaleOptions, settings: CoefficientSettings, base: Base, proxy_options: ProxyOptions
) -> dict[str, Any]:
    """Give those of the stored settings that hang on no image."""
    return {
        "base": base.name,
        "base_network": network_hash(base.spec),
        "base_resolution": base.spec.resolution,
        "data": proxy_options.data,
        **dataclasses.asdict(settings),
        "training": proxy.placed_settings_record(options.placement),
    }


def search_rules(build: BuildRules, divisor: int) -> BuildRules:
    """Give the rules by which candidates are built: those of the family, but as fine in width and pixels as can be.

    Args:
        build: Rules of the family.
        divisor: Channels need be multiples of nothing coarser.
    """
    return dataclasses.replace(
        build, divisor=min(divisor, build.divisor), resolution_multiple=1, max_resolution=None
    )


def _search(
    run: RunDir,
    listed: CandidateList,
    settings: CoefficientSettings,
    images: ImageData,
    choice: FidelityChoice,
    placement: Placement,
    studies: RunStudies,
    watcher: Watcher,
) -> CoefficientResult:
    """Train what the run has not trained yet; every training goes to the ledger, then to Optuna's study."""
    started = time.monotonic()

    def tell(evaluation: Evaluation) -> None:
        trial = coefficient_trial(evaluation)
        if trial is not None:
            studies.write(STUDY_NAME, trial)

    def notify(evaluation: Evaluation, num_done: int) -> None:
        if evaluation.failure:
            watcher.say(f"{evaluation.job.name} failed: {evaluation.failure}")
        text = f"{num_done} trained, last {evaluation.job.name}"
        if evaluation.result:
            text += f" {evaluation.result.val_accuracy:.1%}"
        if settings.minutes is None:
            watcher.show("coefficients", num_done, None, text)
            return
        seconds = time.monotonic() - started
        left = minutes_text(max(0.0, settings.minutes * 60 - seconds))
        watcher.show("coefficients", seconds, settings.minutes * 60, f"{text}, {left} left")

    with Recorder(
        run,
        images,
        device=placement.device,
        precision=placement.precision,
        train_function=placement.train_function,
        say=watcher.say,
    ) as recorder:

        def record(evaluation: Evaluation) -> None:
            recorder.record(evaluation)
            tell(evaluation)

        history = recorder.history()
        for evaluation in history:
            tell(evaluation)
        settings = dataclasses.replace(settings, minutes=minutes_left(recorder, settings.minutes, watcher))
        with pools.open_executor(
            images,
            placement,
            expected_seconds=FACTOR * choice.seconds,
            fidelity=choice.fidelity,
            say=watcher.say,
            show_slots=watcher.show_slots,
        ) as executor:
            return search_coefficients(
                listed,
                settings,
                executor=executor,
                clock=time.monotonic,
                record=record,
                history=history,
                expected_seconds=FACTOR * choice.seconds,
                notify=notify,
            )


def _say_listed(listed: CandidateList, fidelity: Fidelity, rules: BuildRules, watcher: Watcher) -> None:
    watcher.say(
        f"coefficients: {listed.num_points} points of the surface are {listed.num_networks} networks; "
        f"{listed.num_arrived} points reach 2 x the base within {COST_TOLERANCE:.0%} at {fidelity.resolution} px "
        f"and are {len(listed.candidates)} networks (channels in multiples of {rules.divisor} for the search)"
    )
    if listed.left_out:
        some = [f"{triple_name(one.coefficients)} ({one.off:+.1%})" for one in listed.left_out[:NUM_SHOWN]]
        more = " and so on" if len(listed.left_out) > NUM_SHOWN else ""
        watcher.say(
            f"left out, as their rays miss that cost: {len(listed.left_out)}: {', '.join(some)}{more}"
        )


def _fidelity_of_base(base: Base, options: ProxyOptions, resolution: int) -> Fidelity | None:
    """Give the fidelity of the base's run, where it was found on images of the same size."""
    if base.run is None:
        return None
    settings = read_settings(base.run).settings
    fidelity = proxy.stored_fidelity(base.run)
    if fidelity is None or options.data != settings.get("data"):
        return None
    return fidelity if settings.get("image_resolution", fidelity.resolution) == resolution else None
