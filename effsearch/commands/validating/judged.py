"""Which run is validated, on which images, and which of its scores are judged?"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from effsearch.commands import proxy
from effsearch.commands.placement import Placement
from effsearch.commands.proxy import ProxyOptions
from effsearch.commands.run_space import read_run_space
from effsearch.commands.watching import Watcher
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.results.certificate import Judged
from effsearch.results.evaluations import from_entry
from effsearch.results.ledger import read_entries
from effsearch.results.run_files import LEDGER_FILE, StoredSettings, read_settings
from effsearch.results.screened import read_screening
from effsearch.search.screening.screen_prior import joined
from effsearch.search.screening.second_look import on_one_level
from effsearch.search.validating.sample import ScoredNetwork, best_first, scored_networks
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.errors import UsageError
from effsearch.space.outcome import Evaluation, Fidelity, Job
from effsearch.space.search_space import Label
from effsearch.space.spec import ModelSpec

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


def read_baseline(run: Path, placement: Placement) -> StoredSettings:
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


def load_scored_images(run: Path, stored: StoredSettings, *, resolution: int, watcher: Watcher) -> ImageData:
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


def scored_of(options: ValidateOptions, stored: StoredSettings, fidelity: Fidelity) -> list[ScoredNetwork]:
    """Give what is judged, best first."""
    if options.of == "trainings":
        return scored_networks(separate_trainings(options.run), fidelity)
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


def separate_trainings(run: Path) -> list[Evaluation]:
    """Give the separate trainings at the proxy's fidelity or longer; screenings and rungs play no part."""
    return [from_entry(entry) for entry in read_entries(run / LEDGER_FILE) if entry.kind in _READ_KINDS]


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
