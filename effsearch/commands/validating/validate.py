"""effsearch validate: find out how far the proxy of a run can be trusted."""

import dataclasses
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from effsearch.commands import pools, proxy
from effsearch.commands.gpu import fill_gpus
from effsearch.commands.placement import Placement
from effsearch.commands.recorder import Recorder
from effsearch.commands.redrawn import redrawn_by
from effsearch.commands.validating.certificate import make_certificate
from effsearch.commands.validating.judged import (
    ValidateOptions,
    load_scored_images,
    read_baseline,
    scored_of,
    separate_trainings,
)
from effsearch.commands.watching import Watcher
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.results.certificate import (
    Judged,
    certificate_words,
    write_certificate,
)
from effsearch.results.plots.agreement import draw_agreement
from effsearch.results.plots.save import save_figure
from effsearch.results.run_dir import RunDir, create_or_resume
from effsearch.search.fidelity import cost_of, relative_cost
from effsearch.search.validating.sample import ScoredNetwork
from effsearch.search.validating.validation import (
    Validation,
    ValidationSettings,
    require_enough,
    validate_proxy,
)
from effsearch.space.outcome import Evaluation, Fidelity

PLOT_FILES: dict[Judged, str] = {"trainings": "validation.png", "screening": "validation-screening.png"}
FEW = 8  # networks, of which a ranking says little


def run_validate(options: ValidateOptions, watcher: Watcher) -> dict[str, Any]:
    """Train a sample of a run's networks longer, and give the certificate of its proxy as JSON values.

    Every longer training goes to the run's own ledger, the certificate to `validation.json` beside it.

    Raises:
        EffsearchError: There is no such run, its data have changed, or too little of it can be compared.
    """
    settings = ValidationSettings(
        factor=options.factor,
        num_networks=options.num_networks,
        minutes=options.minutes,
        stop_at=options.stop_at,
        seed=options.seed or 0,
    )
    stored = read_baseline(options.run, options.placement)
    if options.seed is None:
        settings = dataclasses.replace(settings, seed=stored.settings["seed"])
    rungs = proxy.stored_rungs(stored.settings)
    # What longer trainings are a multiple of: the proxy from fresh weights, whatever the search's rungs go on from.
    top = Fidelity(**stored.settings["fidelity"])
    judged = rungs[0]  # at which every network is scored; of a screening no rung at all
    scored = scored_of(options, stored, judged)  # before any image is decoded
    require_enough(scored)
    images = load_scored_images(
        options.run,
        stored,
        resolution=stored.settings.get("image_resolution", top.resolution),
        watcher=watcher,
    )
    placement = fill_gpus(
        options.placement,
        images,
        [network.job.spec for network in scored[: settings.num_networks]],
        fidelity=top,
        watcher=watcher,
    )
    watcher.say(
        f"{_judged_words(options, rungs)}; {min(settings.num_networks, len(scored))} of {len(scored)} "
        f"{'screened ' if options.of == 'screening' else ''}networks are trained from fresh weights with "
        f"{settings.factor} x the proxy's epochs, {settings.factor * top.num_epochs}"
    )
    if options.of == "trainings" and len(scored) < FEW and stored.settings.get("screen"):
        watcher.say(
            f"only {len(scored)} networks were trained; --of screening judges what they were picked by"
        )
    with create_or_resume(
        options.run,
        command="baseline",
        settings=stored.settings,
        free_settings=frozenset(),
        now=datetime.now(UTC),
        runs_root=options.runs_root,
        is_newest=False,
    ) as run:
        watcher.follow(run)
        validation = _validate(
            run, scored, settings, top, images=images, placement=placement, watcher=watcher
        )
        certificate = make_certificate(
            validation, settings, top if options.of == "screening" else judged, of=options.of
        )
        plot_path = run.plots_path / PLOT_FILES[options.of]
        path = write_certificate(run.path, certificate)
        with redrawn_by("the same command", done="the validation", say=watcher.say):
            save_figure(draw_agreement(certificate), plot_path)
    return {
        **certificate.to_json(),
        "run": str(options.run),
        "words": certificate_words(certificate),
        "path": str(path),
        "plot": str(plot_path),
    }


def _judged_words(options: ValidateOptions, rungs: Sequence[Fidelity]) -> str:
    if options.of == "screening":
        return "judged: the screening"
    which = "the proxy" if len(rungs) == 1 else f"the first of {len(rungs)} rungs, which ranks all networks"
    return f"judged: {which}, {proxy.describe_fidelity(rungs[0])}"


def _validate(
    run: RunDir,
    scored: Sequence[ScoredNetwork],
    settings: ValidationSettings,
    fidelity: Fidelity,
    *,
    images: ImageData,
    placement: Placement,
    watcher: Watcher,
) -> Validation:
    history = separate_trainings(run.path)
    seconds = [one.seconds / cost_of(one) for one in history if one.result]
    with (
        Recorder(
            run, images, device=placement.device, precision=placement.precision, say=watcher.say
        ) as recorder,
        pools.open_executor(
            images,
            placement,
            expected_seconds=max(seconds, default=0.0) * relative_cost(fidelity),
            fidelity=fidelity,
            say=watcher.say,
            show_slots=watcher.show_slots,
        ) as executor,
    ):

        def record(evaluation: Evaluation) -> None:
            recorder.record(evaluation)
            if evaluation.failure:
                watcher.say(f"{evaluation.job.name} failed: {evaluation.failure}")

        return validate_proxy(
            scored,
            history,
            settings,
            fidelity=fidelity,
            executor=executor,
            clock=time.monotonic,
            record=record,
            notify=lambda num_done, num_planned: watcher.show(
                "validate", num_done, num_planned, f"{num_done} of {num_planned} trained longer"
            ),
        )
