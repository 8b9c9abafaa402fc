"""What will an ablation train, on which images, at which sizes?"""

import dataclasses
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effsearch.commands import proxy
from effsearch.commands.ablating.inputs import read_coefficients
from effsearch.commands.gpu import fill_gpus
from effsearch.commands.inputs import Base, data_of_base, read_base
from effsearch.commands.placement import PLACEMENT_SETTINGS, Placement
from effsearch.commands.proxy import ProxyOptions
from effsearch.commands.watching import Watcher, minutes_text
from effsearch.proxy_train.data.cache import default_cache_dir
from effsearch.proxy_train.data.datasets import ImageData, load_source
from effsearch.proxy_train.data.listing import Source
from effsearch.proxy_train.data.sources import open_source
from effsearch.results.run_settings import refuse_foreign, refuse_other_settings
from effsearch.search.ablation import AblationSettings
from effsearch.search.fidelity import LADDER, LEAST_RESOLUTION, FidelityChoice, make_fidelity
from effsearch.space.arms import Arm, base_arm, make_arm
from effsearch.space.budget import short_count
from effsearch.space.coefficients import ScalingCoefficients
from effsearch.space.outcome import Fidelity
from effsearch.space.proxy import count_as_trained, fidelity_for
from effsearch.space.spec import ModelSpec
from effsearch.space.text import to_json

# More arms, factors, coefficients or seeds add to a run; what is trained stays what it was.
FREE_SETTINGS = frozenset({"arms", "factors", "coefficients", "num_seeds", "minutes"}) | PLACEMENT_SETTINGS


@dataclass(frozen=True, slots=True, kw_only=True)
class AblateOptions:
    """What a user asks of `effsearch ablate`."""

    base: str | None
    coefficients: str | None  # three numbers or a scale run; None: the paper's
    settings: AblationSettings
    proxy: ProxyOptions  # its data empty where the base run's are meant
    placement: Placement
    run: Path | None
    runs_root: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationPlan:
    """What will be done."""

    base: Base
    coefficients: ScalingCoefficients
    settings: AblationSettings
    data: str
    images: ImageData
    base_resolution: int  # pixels asked for the base
    proxy_fidelity: Fidelity  # of the base, before it is made longer
    arms: tuple[Arm, ...]  # the base first, then by factor
    base_seconds: float  # of one training of the base, as made longer
    placement: Placement

    @property
    def fidelity(self) -> Fidelity:
        """Fidelity that the base trains with."""
        return dataclasses.replace(
            self.proxy_fidelity, num_epochs=self.proxy_fidelity.num_epochs * self.settings.longer
        )

    def trained_resolution(self, arm: Arm) -> int:
        """Pixels that an arm trains at."""
        return fidelity_for(arm.spec, self.fidelity, target_resolution=self.base.spec.resolution).resolution

    @property
    def upsampled(self) -> tuple[Arm, ...]:
        """The arms that train on images larger than there are any."""
        largest = min(self.images.resolution, self.images.native_resolution)
        return tuple(arm for arm in self.arms if self.trained_resolution(arm) > largest)


def plan_ablation(options: AblateOptions, watcher: Watcher) -> AblationPlan:
    """Read what was named, load the images, choose the fidelity, and build all networks at equal cost.

    Raises:
        EffsearchError: Something that was named cannot be read or built.
    """
    settings = options.settings
    base = read_base(options.base, runs_root=options.runs_root)
    coefficients = read_coefficients(options.coefficients)
    refuse_foreign(options.run, command="ablate")  # before any image is read
    data = options.proxy.data or data_of_base(base)
    known = _asked(options, base, coefficients, data) | proxy.named_fidelity(options.proxy, options.run)
    if options.proxy.proxy_resolution is not None:
        known["base_resolution"] = options.proxy.proxy_resolution
    refuse_other_settings(options.run, "ablate", known, free_settings=FREE_SETTINGS)
    source = open_source(data, cache_dir=default_cache_dir(), progress=watcher.data_progress)
    stored_size = proxy.stored_setting(options.run, "image_resolution")
    images = _load(source, stored_size, options.proxy.seed, watcher)
    base_resolution = (
        options.proxy.proxy_resolution
        or proxy.stored_setting(options.run, "base_resolution")
        or default_base_resolution(images.resolution, settings)
    )
    base = dataclasses.replace(base, spec=dataclasses.replace(base.spec, num_classes=images.num_classes))
    at_base = dataclasses.replace(images, resolution=base_resolution)
    stored = proxy.stored_fidelity(options.run)
    placement = fill_gpus(
        options.placement,
        at_base,
        [base.spec],
        fidelity=proxy.settled_fidelity(
            options.proxy, at_base, base.spec, stored=stored, has_fixed_strides=False
        ),
        growth=max(settings.factors),
        watcher=watcher,
    )
    num_workers = placement.num_workers
    choice = choose_base_fidelity(options, base.spec, images, resolution=base_resolution, placement=placement)
    arms = build_arms(base.spec, choice.fidelity, coefficients, settings)
    plan = AblationPlan(
        base=base,
        coefficients=coefficients,
        settings=settings,
        data=data,
        images=images,
        base_resolution=base_resolution,
        proxy_fidelity=choice.fidelity,
        arms=arms,
        base_seconds=choice.seconds * settings.longer,
        placement=placement,
    )
    if stored_size is None:
        wanted = max(plan.trained_resolution(arm) for arm in arms)
        named = dataclasses.replace(options.proxy, data=data)
        plan = dataclasses.replace(plan, images=proxy.load_large_enough(named, images, wanted, watcher))
    watcher.say(
        f"data: {images.name}, {images.num_classes} classes, {len(images.train):,} training and "
        f"{len(images.val):,} validation images at {plan.images.resolution} px"
    )
    watcher.say(
        f"base: {proxy.describe_fidelity(plan.fidelity)}, {short_count(arms[0].multiply_adds)} multiply-adds there; "
        f"{len(arms)} networks x {settings.num_seeds} seeds take about "
        f"{minutes_text(plan.base_seconds * settings.relative_cost / num_workers)} on {num_workers} worker(s)"
    )
    return plan


def choose_base_fidelity(
    options: AblateOptions, base: ModelSpec, images: ImageData, *, resolution: int, placement: Placement
) -> FidelityChoice:
    """Choose how the base trains: at its own width and the pixels that are wanted, only with fewer images or epochs.

    The cheap rungs of a search are narrower and smaller. A narrower proxy would round the widths that are compared,
    and on smaller images the base would have other pixels than those that were asked for.
    """
    settings = options.settings
    enough = math.ceil(settings.relative_cost)

    def choose(stored: Fidelity | None) -> FidelityChoice:
        return proxy.plan_fidelity(
            dataclasses.replace(options.proxy, width=1.0),
            dataclasses.replace(images, resolution=resolution),
            [base],
            stored=stored,
            has_fixed_strides=False,
            minutes=None if settings.minutes is None else settings.minutes / settings.longer,
            num_workers=placement.num_workers,
            enough=enough,
            device=placement.device,
            precision=placement.precision,
        )

    stored = proxy.stored_fidelity(options.run)
    choice = choose(stored)
    if stored is not None or choice.fidelity.resolution == resolution:
        return choice
    smaller = [rung for rung in LADDER if rung.resolution < 1]
    for rung in smaller:  # at full size each costs more, so that only a later one may be cheap enough
        full_size = make_fidelity(
            dataclasses.replace(rung, resolution=1.0),
            base,
            resolution=resolution,
            num_train_images=len(images.train),
            has_fixed_strides=False,
            min_map=options.proxy.min_map,
        )
        choice = choose(full_size)
        if choice.num_trainings >= enough:
            break
    return choice


def build_arms(
    base: ModelSpec, fidelity: Fidelity, coefficients: ScalingCoefficients, settings: AblationSettings
) -> tuple[Arm, ...]:
    """Give the base and all arms at all factors, matched as they are trained.

    Raises:
        SpecError: An arm cannot be built at a factor.
    """
    count = count_as_trained(base, fidelity, num_classes=base.num_classes)
    made = [
        make_arm(
            base,
            name,
            factor=factor,
            count=count,
            coefficients=coefficients,
            tolerance=settings.tolerance,
        )
        for factor in settings.factors
        for name in settings.arms
    ]
    return (base_arm(base, count), *made)


def default_base_resolution(own: int, settings: AblationSettings) -> int:
    """Give pixels of the base that leave room for more up to the images' own size; 16 at the least."""
    room = round(own / math.sqrt(max(settings.factors)))
    return min(own, max(LEAST_RESOLUTION, room))


def run_settings(plan: AblationPlan, options: AblateOptions) -> dict[str, Any]:
    """Give the settings that are stored with the run: what was asked, and what was settled."""
    return {
        **_asked(options, plan.base, plan.coefficients, plan.data),
        "base_spec": to_json(plan.base.spec),
        "data_fingerprint": plan.images.fingerprint,
        "image_resolution": plan.images.resolution,
        "base_resolution": plan.base_resolution,
        "fidelity": dataclasses.asdict(plan.proxy_fidelity),
        **plan.placement.to_settings(),
    }


def _asked(
    options: AblateOptions, base: Base, coefficients: ScalingCoefficients, data: str
) -> dict[str, Any]:
    """Give those of `run_settings` that hang on no image."""
    return {
        "base": base.name,
        "coefficients": dataclasses.asdict(coefficients),
        "data": data,
        **dataclasses.asdict(options.settings),
        "training": proxy.placed_settings_record(options.placement),
    }


def _load(source: Source, resolution: int | None, seed: int, watcher: Watcher) -> ImageData:
    return load_source(
        source,
        resolution=resolution,
        cache_dir=default_cache_dir(),
        seed=seed,
        report=watcher.say,
        progress=watcher.data_progress,
    )
