"""effsearch scale: find the compound coefficients of a network, and write its family."""

import dataclasses
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from effsearch.commands.inputs import Base, read_base
from effsearch.commands.watching import Watcher, minutes_text
from effsearch.results.atomic import write_text_atomic
from effsearch.results.certificate import words_of_run
from effsearch.results.json_files import write_json
from effsearch.results.run_files import read_settings
from effsearch.space.coefficients import (
    PAPER_COEFFICIENTS,
    FamilyMember,
    ScalingCoefficients,
    parse_coefficients,
    scale_family,
)
from effsearch.space.errors import RunError
from effsearch.space.outcome import Evaluation, Fidelity
from effsearch.space.text import to_json

FREE_SETTINGS = frozenset({"num_trials", "minutes", "num_workers"})
OFF_BY = 0.1  # built cost further from nominal than this is said


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleOptions:
    """What a user asks of `effsearch scale`; the coefficient search's own settings are in `search`."""

    base: str | None
    phis: Sequence[float]
    coefficients: str | None
    tolerance: float
    out: Path | None
    num_classes: int | None
    resolution: int | None
    run: Path | None
    runs_root: Path
    num_workers: int | None
    search: Any  # CoefficientSettings; named loosely so that no search package loads for given coefficients
    proxy: Any  # ProxyOptions, or None to take the base run's data; likewise loose because of torch


def run_scale(options: ScaleOptions, watcher: Watcher) -> dict[str, Any]:
    """Give the family as JSON values, after its spec files are written.

    Raises:
        EffsearchError: The base, the coefficients or a directory cannot be used.
    """
    base = read_base(options.base, runs_root=options.runs_root)
    spec = dataclasses.replace(
        base.spec,
        num_classes=options.num_classes or base.spec.num_classes,
        resolution=options.resolution or base.spec.resolution,
    )
    base = dataclasses.replace(base, spec=spec)
    out = options.out or (base.run / "family" if base.run else Path(f"{base.name}-family"))
    searched: dict[str, Any] = {}
    if options.coefficients is not None:
        coefficients = parse_coefficients(options.coefficients, tolerance=options.tolerance)
        scale_family(base.spec, coefficients, list(options.phis))
        _require_writable(out)
    else:
        scale_family(
            base.spec, PAPER_COEFFICIENTS, list(options.phis)
        )  # a phi out of reach is said before training
        _require_writable(out)
        coefficients, searched = _search(options, base, watcher)
    members = scale_family(base.spec, coefficients, list(options.phis))
    report = {
        "base": base.name,
        "coefficients": {
            "alpha": coefficients.alpha,
            "beta": coefficients.beta,
            "gamma": coefficients.gamma,
        },
        "rule": "strict",
        "certificate": None if base.run is None else words_of_run(base.run),
        "family": [_write_member(member, base.name, out) for member in members],
        **searched,
    }
    write_json(out / "family.json", report)
    return report


def is_far_from_nominal(member: dict[str, Any]) -> bool:
    """Tell whether a family's row costs over 10 per cent more or less than its formula says."""
    return bool(abs(member["multiply_adds"] / member["nominal_multiply_adds"] - 1) > OFF_BY)


def _write_member(member: FamilyMember, base_name: str, out: Path) -> dict[str, Any]:
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"{base_name}-phi{member.phi:g}.json"
    write_text_atomic(path, to_json(member.spec))
    return {
        "phi": member.phi,
        "multiply_adds": member.cost.multiply_adds,
        "nominal_multiply_adds": round(member.nominal_multiply_adds),
        "params": member.cost.parameters,
        "activations": member.cost.activations,
        "resolution": member.spec.resolution,
        "depth_coefficient": member.multipliers.depth,
        "width_coefficient": member.multipliers.width,
        "blocks": sum(stage.num_blocks for stage in member.spec.stages),
        "spec_path": str(path),
    }


def _require_writable(out: Path) -> None:
    """Find out before any training whether the family can be written at the end."""
    is_new = not out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
        if is_new:  # a search that fails leaves no empty folder behind
            out.rmdir()
    except OSError as error:
        raise RunError(f"cannot write to {out}: {error.strerror}; give another --out") from None


def _search(
    options: ScaleOptions, base: Base, watcher: Watcher
) -> tuple[ScalingCoefficients, dict[str, Any]]:
    """Search the coefficients on the proxy; everything that needs torch is imported here."""
    from effsearch.commands import proxy
    from effsearch.commands.recorder import Recorder
    from effsearch.results.run_dir import create_or_resume
    from effsearch.search.coefficient_search import FACTOR, list_candidates, search_coefficients

    settings = options.search
    listed = list_candidates(base.spec, settings)
    watcher.say(
        f"coefficients: {listed.num_points} points of the surface, {listed.num_reachable} reach 2 x the base "
        f"within {listed.cost_tolerance:.0%}; they are {len(listed.candidates)} distinct networks"
    )
    proxy_options = _with_data_of(options.proxy, base)
    images = proxy.load_proxy_images(proxy_options, watcher)
    num_workers = proxy.default_num_workers(options.num_workers)
    stored = proxy.stored_fidelity(options.run) or _fidelity_of_base(base, proxy_options, images.resolution)
    choice = proxy.plan_fidelity(
        proxy_options,
        images,
        [base.spec],
        stored=stored,
        has_fixed_strides=False,
        minutes=None if settings.minutes is None else settings.minutes / FACTOR,  # what candidates cost
        num_workers=num_workers,
    )
    watcher.say(f"proxy: {proxy.describe_fidelity(choice.fidelity)} for the base; gamma scales its pixels")
    if settings.minutes is not None and choice.num_trainings < len(listed.candidates):
        watcher.say(f"the time buys about {choice.num_trainings} trainings, so not every network is tried")
    if images.resolution >= images.native_resolution:
        watcher.say(
            f"the images are {images.native_resolution} px: above that gamma is upsampling, and not really measured"
        )
    record = {
        "base": base.name,
        "base_spec": to_json(base.spec),
        "data": proxy_options.data,
        "data_fingerprint": images.fingerprint,
        **dataclasses.asdict(settings),
        "fidelity": dataclasses.asdict(choice.fidelity),
        "training": proxy.train_settings_record(),
        "num_workers": num_workers,
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
        recorder = Recorder(run, images)
        started = time.monotonic()

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

        try:
            with proxy.local_executor(images, num_workers) as executor:
                result = search_coefficients(
                    base.spec,
                    listed.candidates,
                    settings,
                    fidelity=choice.fidelity,
                    executor=executor,
                    clock=time.monotonic,
                    record=recorder.record,
                    history=recorder.history(),
                    expected_seconds=FACTOR * choice.seconds,
                    notify=notify,
                )
        finally:
            recorder.close()
        rows = [
            {
                "alpha": scored.candidate.coefficients.alpha,
                "beta": scored.candidate.coefficients.beta,
                "gamma": scored.candidate.coefficients.gamma,
                "accuracy": scored.mean_accuracy,
                "accuracies": list(scored.accuracies),
                "multiply_adds": scored.candidate.member.cost.multiply_adds,
                "phi": scored.candidate.member.phi,
                "is_paper": scored.candidate.coefficients == PAPER_COEFFICIENTS,
            }
            for scored in result.ranked
        ]
        report = {
            "run": str(run.path),
            "method": settings.method,
            "points": listed.num_points,
            "reachable": listed.num_reachable,
            "networks": len(listed.candidates),
            "trials": result.num_trials,
            "failures": result.num_failed,
            "candidates": rows,
        }
        run.write_result({"base": base.name, **report})
    return result.best.candidate.coefficients, report


def _with_data_of(options: Any, base: Base) -> Any:
    """Give the proxy's options with the data of the base's run where the user names none."""
    from effsearch.commands.proxy import ProxyOptions

    assert isinstance(options, ProxyOptions)
    if options.data:
        return options
    data = "synthetic" if base.run is None else read_settings(base.run).settings.get("data", "synthetic")
    return dataclasses.replace(options, data=data)


def _fidelity_of_base(base: Base, options: Any, resolution: int) -> Fidelity | None:
    """Give the fidelity of the base's run, where it was found on images of the same size."""
    from effsearch.commands.proxy import stored_fidelity

    if base.run is None:
        return None
    settings = read_settings(base.run).settings
    fidelity = stored_fidelity(base.run)
    if fidelity is None or options.data != settings.get("data"):
        return None
    return fidelity if settings.get("image_resolution", fidelity.resolution) == resolution else None
