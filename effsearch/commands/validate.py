"""effsearch validate: find out how far the proxy of a run can be trusted."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from effsearch.commands import pools, proxy
from effsearch.commands.gpu import fill_gpus
from effsearch.commands.placement import Placement
from effsearch.commands.proxy import ProxyOptions
from effsearch.commands.recorder import Recorder
from effsearch.commands.run_space import read_run_space
from effsearch.commands.watching import Watcher
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.results.certificate import (
    Certificate,
    CertifiedNetwork,
    Interval,
    Judged,
    certificate_words,
    write_certificate,
)
from effsearch.results.evaluations import from_entry
from effsearch.results.ledger import read_entries
from effsearch.results.plots.agreement import draw_agreement
from effsearch.results.plots.save import save_figure
from effsearch.results.run_dir import RunDir, create_or_resume
from effsearch.results.run_files import LEDGER_FILE, StoredSettings, read_settings
from effsearch.results.screened import read_screening
from effsearch.search.fidelity import cost_of, relative_cost
from effsearch.search.screening.screen_prior import joined
from effsearch.search.screening.second_look import on_one_level
from effsearch.search.validating.correlation import Correlation
from effsearch.search.validating.sample import ScoredNetwork, best_first, scored_networks
from effsearch.search.validating.validation import (
    Pair,
    Validation,
    ValidationSettings,
    require_enough,
    validate_proxy,
)
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.errors import UsageError
from effsearch.space.outcome import Evaluation, Fidelity, Job
from effsearch.space.search_space import Label
from effsearch.space.spec import ModelSpec

PLOT_FILES: dict[Judged, str] = {"trainings": "validation.png", "screening": "validation-screening.png"}
FEW = 8  # networks, of which a ranking says little
_READ_KINDS = frozenset({"trial", "confirm", "anchor", "validate"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidateOptions:
    """What a user asks of `effsearch validate`; the seed is the run's where none is given."""

    run: Path
    of: Judged
    factor: int
    num_networks: int
    minutes: float | None
    stop_at: float | None
    seed: int | None
    placement: Placement
    runs_root: Path


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
    stored = _read_baseline(options.run, options.placement)
    if options.seed is None:
        settings = dataclasses.replace(settings, seed=stored.settings["seed"])
    rungs = proxy.stored_rungs(stored.settings)
    # What longer trainings are a multiple of: the proxy from fresh weights, whatever the search's rungs go on from.
    top = Fidelity(**stored.settings["fidelity"])
    judged = rungs[0]  # at which every network is scored; of a screening no rung at all
    scored = _scored(options, stored, judged)  # before any image is decoded
    require_enough(scored)
    images = _load_images(
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
        save_figure(draw_agreement(certificate), plot_path)
        path = write_certificate(run.path, certificate)
    return {
        **certificate.to_json(),
        "run": str(options.run),
        "words": certificate_words(certificate),
        "path": str(path),
        "plot": str(plot_path),
    }


def make_certificate(
    validation: Validation, settings: ValidationSettings, fidelity: Fidelity, *, of: Judged = "trainings"
) -> Certificate:
    """Give what is kept of a validation."""
    return Certificate(
        of=of,
        factor=settings.factor,
        networks=tuple(_certified(pair) for pair in validation.pairs),
        num_planned=validation.num_planned,
        num_failed=validation.num_failed,
        kendall=_interval(validation.kendall),
        spearman=_interval(validation.spearman),
        regret=validation.regret,
        top_regret=validation.top_regret,
        stopped_by=validation.stopped_by,
        stop_at=settings.stop_at,
        verdict=validation.verdict,
        confidence=validation.confidence,
        proxy_fidelity=dataclasses.asdict(fidelity),
        longer_fidelity=dataclasses.asdict(validation.fidelity),
        seed=settings.seed,
    )


def _read_baseline(run: Path, placement: Placement) -> StoredSettings:
    """Give the settings of a run whose proxy can be validated.

    Raises:
        UsageError: There is no run, it is no search for a network, or its trainings cannot be repeated.
    """
    stored = read_settings(run)
    if stored.command != "baseline":
        raise UsageError(
            f"{run} holds a {stored.command} run, and only the proxy of a baseline run is validated"
        )
    if not {"data", "data_fingerprint", "seed", "fidelity", "training"} <= set(stored.settings):
        raise UsageError(f"the settings of {run} do not say how its networks were trained")
    device, precision = placement.device, placement.precision
    scored_on = stored.settings["training"].get("device", "cpu")
    if scored_on != device:
        raise UsageError(f"{run} was scored on {scored_on}, so nothing new compares with it on {device}")
    scored_in = stored.settings["training"].get("precision", "float32")
    if scored_in != precision:
        raise UsageError(f"{run} was scored in {scored_in}, so nothing new compares with it in {precision}")
    own = placement.train_function
    if stored.settings["training"] != proxy.train_settings_record(
        device=device, precision=precision, train_function=own
    ):
        other = "version of effsearch" if own is None else "training loop"
        raise UsageError(f"{run} was trained by another {other}, so nothing new compares with it")
    return stored


def _load_images(run: Path, stored: StoredSettings, *, resolution: int, watcher: Watcher) -> ImageData:
    """Give the images that the run was scored on, split as they were then.

    Raises:
        UsageError: They have changed since.
    """
    options = ProxyOptions(
        data=stored.settings["data"], proxy_resolution=resolution, seed=stored.settings["seed"]
    )
    images = proxy.load_proxy_images(options, watcher)
    if images.fingerprint != stored.settings["data_fingerprint"]:
        raise UsageError(
            f"{options.data} holds other images than those that {run} was scored on: a proxy is validated on the same"
        )
    return images


def _scored(options: ValidateOptions, stored: StoredSettings, fidelity: Fidelity) -> list[ScoredNetwork]:
    """Give what is judged, best first."""
    if options.of == "trainings":
        return scored_networks(_history(options.run), fidelity)
    space = read_run_space(options.run, stored.settings)
    scores = on_one_level(read_screening(read_entries(options.run / LEDGER_FILE), space))
    if not scores:
        raise UsageError(f"{options.run} has no screening; validate its trainings instead")
    settings = stored.settings
    return best_first(
        ScoredNetwork(
            job=_screened_job(
                space.spec_at(point, resolution=settings["resolution"], num_classes=settings["num_classes"]),
                space.labels_at(point),
                fidelity,
            ),
            scores=(score,),
        )
        for point, score in joined(scores).items()
    )


def _judged_words(options: ValidateOptions, rungs: Sequence[Fidelity]) -> str:
    if options.of == "screening":
        return "judged: the screening"
    which = "the proxy" if len(rungs) == 1 else f"the first of {len(rungs)} rungs, which ranks all networks"
    return f"judged: {which}, {proxy.describe_fidelity(rungs[0])}"


def _screened_job(spec: ModelSpec, choices: Mapping[str, Label], fidelity: Fidelity) -> Job:
    network = network_hash(spec)
    return Job(
        kind="validate",
        name=f"screened {network[:6]}",
        spec=spec,
        network=network,
        cost=count_cost(spec),
        fidelity=fidelity,
        seed=0,  # a longer training has its own
        choices=choices,
    )


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
    history = _history(run.path)
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


def _history(run: Path) -> list[Evaluation]:
    """Give the separate trainings at the proxy's fidelity or longer; screenings and rungs play no part."""
    return [from_entry(entry) for entry in read_entries(run / LEDGER_FILE) if entry.kind in _READ_KINDS]


def _certified(pair: Pair) -> CertifiedNetwork:
    job = pair.network.job
    return CertifiedNetwork(
        name=job.name,
        network_hash=job.network,
        multiply_adds=job.cost.multiply_adds,
        proxy_score=pair.network.score,
        num_seeds=len(pair.network.scores),
        longer_accuracy=pair.longer_accuracy,
    )


def _interval(correlation: Correlation) -> Interval:
    return Interval(value=correlation.value, low=correlation.low, high=correlation.high)
