"""What does a command that trains need to know: on which images, at which fidelity, with which settings?"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from effsearch.commands.placement import Placement
from effsearch.commands.watching import Watcher
from effsearch.proxy_train.data.cache import default_cache_dir
from effsearch.proxy_train.data.datasets import ImageData, load_images, load_source
from effsearch.proxy_train.data.sources import open_source
from effsearch.proxy_train.device import compute_on, resolve_device
from effsearch.proxy_train.device_names import DeviceKind
from effsearch.proxy_train.estimate import FORWARD_SHARE, estimate_seconds
from effsearch.proxy_train.train import TrainSettings, with_batch_share
from effsearch.proxy_train.train_function import TrainFunction
from effsearch.results.run_files import is_run, read_settings
from effsearch.search.fidelity import (
    DEFAULT_RUNG,
    ENOUGH_TRAININGS,
    LADDER,
    FidelityChoice,
    Rung,
    choose_fidelity,
    continue_rungs,
    make_fidelity,
    make_rungs,
)
from effsearch.space.errors import UsageError
from effsearch.space.outcome import Fidelity, Precision, fidelity_from
from effsearch.space.small_images import count_removable_strides
from effsearch.space.spec import ModelSpec

CONTINUES_RUNGS = "continues_rungs"  # the setting of a run whose promoted networks keep their weights


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyOptions:
    """What a user may say about the proxy; None leaves it to effsearch."""

    data: str = "synthetic"
    min_map: int | None = None
    proxy_resolution: int | None = None
    num_images: int | None = None
    num_epochs: int | None = None
    width: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        for name, option in (
            ("min_map", "--min-map"),
            ("num_images", "--images"),
            ("num_epochs", "--epochs"),
            ("proxy_resolution", "--proxy-resolution"),
        ):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UsageError(f"{option} must be at least 1, got {value}")
        if self.width is not None and not 0.05 <= self.width <= 4:
            raise UsageError(f"--proxy-width must be from 0.05 to 4, got {self.width:g}")


def load_proxy_images(options: ProxyOptions, watcher: Watcher) -> ImageData:
    """Give the images at the proxy's size, decoded now or taken from the cache."""
    images = load_images(
        options.data,
        resolution=options.proxy_resolution,
        cache_dir=default_cache_dir(),
        seed=options.seed,
        report=watcher.say,
        progress=watcher.data_progress,
    )
    watcher.say(
        f"data: {images.name}, {images.num_classes} classes, {len(images.train):,} training and "
        f"{len(images.val):,} validation images at {images.resolution} px"
    )
    if options.num_images is not None and options.num_images > len(images.train):
        watcher.say(
            f"--images {options.num_images:,}: there are {len(images.train):,} training images, and all are taken"
        )
    return images


def load_large_enough(options: ProxyOptions, images: ImageData, wanted: int, watcher: Watcher) -> ImageData:
    """Give the images at the size that the largest network trains at, as far as there are images of that size.

    Args:
        options: What names the data.
        images: The same, decoded at the size of the base; given back where that is enough.
        wanted: Pixels.
        watcher: Is shown how far decoding is.
    """
    source = open_source(options.data, cache_dir=default_cache_dir(), progress=watcher.data_progress)
    most = source.max_resolution if source.is_rendered else images.native_resolution
    if min(wanted, most) <= images.resolution:
        return images
    return load_source(
        source,
        resolution=min(wanted, most),
        cache_dir=default_cache_dir(),
        seed=options.seed,
        report=watcher.say,
        progress=watcher.data_progress,
    )


def fidelity_at(
    rung: Rung, options: ProxyOptions, images: ImageData, base: ModelSpec, *, has_fixed_strides: bool
) -> Fidelity:
    """Give what a rung comes to, but for what the user names."""
    made = make_fidelity(
        rung,
        base,
        resolution=images.resolution,
        num_train_images=len(images.train),
        has_fixed_strides=has_fixed_strides,
        min_map=options.min_map,
    )
    return _named_by_user(made, options, images)


def settled_fidelity(
    options: ProxyOptions,
    images: ImageData,
    base: ModelSpec,
    *,
    stored: Fidelity | None,
    has_fixed_strides: bool,
) -> Fidelity:
    """Give the fidelity of the run that goes on, else the default rung's, but for what the user names."""
    if stored is None:
        return fidelity_at(DEFAULT_RUNG, options, images, base, has_fixed_strides=has_fixed_strides)
    if options.min_map is not None and not has_fixed_strides:
        num_removed = count_removable_strides(base, resolution=stored.resolution, min_map=options.min_map)
        stored = dataclasses.replace(stored, num_removed_strides=num_removed)
    return _named_by_user(stored, options, images)


def _named_by_user(made: Fidelity, options: ProxyOptions, images: ImageData) -> Fidelity:
    return dataclasses.replace(
        made,
        num_images=min(options.num_images or made.num_images, len(images.train)),
        num_epochs=options.num_epochs or made.num_epochs,
        width=options.width or made.width,
    )


def plan_fidelity(
    options: ProxyOptions,
    images: ImageData,
    bases: list[ModelSpec],
    *,
    stored: Fidelity | None,
    has_fixed_strides: bool,
    minutes: float | None,
    num_workers: int,
    enough: int = ENOUGH_TRAININGS,
    device: DeviceKind = "cpu",
    precision: Precision = "float32",
    train_function: TrainFunction | None = None,
) -> FidelityChoice:
    """Choose the fidelity of a run: as the user says, else the dearest of which the time buys enough.

    Args:
        options: What the user says.
        images: The data.
        bases: Networks such as will be trained; their mean time counts, and the first's strides.
        stored: Fidelity of the run that goes on, which is kept but for what the user names.
        has_fixed_strides: Whether the space keeps its strides.
        minutes: Time asked for; None takes the default rung.
        num_workers: Trainings side by side.
        enough: Trainings wanted.
        device: That the networks are timed on.
        precision: That they are timed in.
        train_function: Of the user's own: nobody knows how long it takes, so the fidelity is the default but for what
            the user names.
    """
    if train_function is not None:
        fidelity = settled_fidelity(
            options, images, bases[0], stored=stored, has_fixed_strides=has_fixed_strides
        )
        return FidelityChoice(fidelity=fidelity, seconds=0.0, num_trainings=0, num_rungs_down=0)
    per_image: dict[tuple[int, float, int], float] = {}

    def seconds_of(fidelity: Fidelity) -> float:
        settings = TrainSettings()
        key = (fidelity.num_removed_strides, fidelity.width, fidelity.resolution)
        num_val = min(len(images.val), settings.max_val_images)
        if key not in per_image:
            per_step = step_seconds(
                bases, fidelity, images, batch_size=settings.batch_size, device=device, precision=precision
            )
            per_image[key] = per_step / settings.batch_size
        return per_image[key] * (fidelity.num_images * fidelity.num_epochs + num_val * FORWARD_SHARE)

    is_settled = minutes is None or (options.num_images is not None and options.num_epochs is not None)
    if stored is not None or is_settled:
        fidelity = settled_fidelity(
            options, images, bases[0], stored=stored, has_fixed_strides=has_fixed_strides
        )
        seconds = seconds_of(fidelity)
        num_trainings = int((minutes or 0) * 60 * num_workers / seconds)
        return FidelityChoice(
            fidelity=fidelity, seconds=seconds, num_trainings=num_trainings, num_rungs_down=0
        )
    assert minutes is not None, "else it is settled"
    made_for = partial(
        fidelity_at, options=options, images=images, base=bases[0], has_fixed_strides=has_fixed_strides
    )
    rungs = list(dict.fromkeys(map(made_for, LADDER)))
    return choose_fidelity(rungs, seconds_of, minutes=minutes, num_workers=num_workers, enough=enough)


def step_seconds(
    bases: list[ModelSpec],
    fidelity: Fidelity,
    images: ImageData,
    *,
    batch_size: int,
    device: DeviceKind = "cpu",
    precision: Precision = "float32",
) -> float:
    """Give the seconds of one training step on this machine, the mean over some networks."""
    compute = compute_on(resolve_device(device), precision)
    one_step = dataclasses.replace(fidelity, num_images=batch_size, num_epochs=1)
    seconds = [
        estimate_seconds(
            base,
            one_step,
            num_classes=images.num_classes,
            num_val_images=0,
            batch_size=batch_size,
            compute=compute,
        )
        for base in bases
    ]
    return sum(seconds) / len(seconds)


def stored_setting(run: Path | None, name: str) -> Any:
    """Give a setting of the run that goes on, None where there is no run or no such setting."""
    if run is None or not is_run(run):
        return None
    return read_settings(run).settings.get(name)


def stored_rungs(settings: Mapping[str, Any]) -> tuple[Fidelity, ...]:
    """Give the rungs of a baseline run from its settings, cheap to dear.

    A run from before there were several has one; one from before they were continued trains each from fresh weights.
    """
    rungs = make_rungs(
        fidelity_from(settings["fidelity"]),
        num_rungs=settings.get("num_rungs", 1),
        reduction=settings.get("reduction", 1),
    )
    return continue_rungs(rungs) if settings.get(CONTINUES_RUNGS) else rungs


def stored_fidelity(run: Path | None) -> Fidelity | None:
    """Give the fidelity that a run was started with, where it exists."""
    stored = stored_setting(run, "fidelity")
    return fidelity_from(stored) if isinstance(stored, dict) else None


def named_fidelity(options: ProxyOptions, run: Path | None) -> dict[str, Any]:
    """Give the settings of the fidelity that the user's words settle before any image is read, by dotted names."""
    stored = stored_fidelity(run)
    named: dict[str, Any] = {"num_epochs": options.num_epochs, "width": options.width}
    # More than the run's may be more than there are: then those are all, and nothing differs.
    if options.num_images is not None and stored is not None and options.num_images < stored.num_images:
        named["num_images"] = options.num_images
    return {f"fidelity.{name}": value for name, value in named.items() if value is not None}


def describe_fidelity(fidelity: Fidelity) -> str:
    """Say what one training is."""
    words = [f"{fidelity.num_images:,} images x {fidelity.num_epochs} epochs at {fidelity.resolution} px"]
    if fidelity.width != 1:
        words.append(f"width x{fidelity.width:g}")
    if fidelity.num_removed_strides:
        words.append(f"first {fidelity.num_removed_strides} stride(s) removed")
    return ", ".join(words)


def placed_settings_record(placement: Placement) -> dict[str, Any]:
    """Give the training settings of a run whose trainings are placed so, as they are stored with it."""
    return train_settings_record(
        device=placement.device, precision=placement.precision, train_function=placement.train_function
    )


def train_settings_record(
    batch_share: float = 1.0,
    *,
    device: DeviceKind = "cpu",
    precision: Precision = "float32",
    train_function: TrainFunction | None = None,
) -> dict[str, Any]:
    """Give the training settings as they are stored with a run, or those of a training with a share of the batch.

    A GPU rounds otherwise than a CPU, and bfloat16 otherwise than float32, so they are among them; the CPU and
    float32 are not named, and runs from before there were others go on. Of a training loop of the user's own, all
    that is known is its name and its hash.
    """
    if train_function is not None:
        own = {"train_fn": train_function.name, "train_fn_sha256": train_function.digest}
        return own | ({} if device == "cpu" else {"device": device})
    settings = TrainSettings() if batch_share == 1 else with_batch_share(TrainSettings(), batch_share)
    named = {} if device == "cpu" else {"device": device}
    return dataclasses.asdict(settings) | named | ({} if precision == "float32" else {"precision": precision})
