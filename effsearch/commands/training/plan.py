"""Which network is trained on which images, and how?"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effsearch.commands.exporting.trained import best_weights, is_training, read_trained
from effsearch.commands.in_hand import SpecInHand
from effsearch.commands.inputs import Base, data_of_base
from effsearch.commands.placement import Placement
from effsearch.commands.proxy import (
    ProxyOptions,
    load_large_enough,
    load_proxy_images,
    stored_fidelity,
    stored_setting,
)
from effsearch.commands.watching import Watcher
from effsearch.proxy_train.build import build_on_meta
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.full.checkpoint import LAST_FILE
from effsearch.proxy_train.full.group import ALONE, Group
from effsearch.proxy_train.full.recipe import Recipe, RecipeName, recipe_of
from effsearch.proxy_train.full.training import FullTraining, check_batch, fill_batch, for_recipe
from effsearch.proxy_train.full.transfer import load_initial
from effsearch.results.atomic import sha256_of
from effsearch.results.export.namings import all_names
from effsearch.results.run_files import has_report
from effsearch.results.run_settings import NOT_SET, refuse_foreign, refuse_other_settings
from effsearch.search.fidelity import LADDER
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.errors import UsageError
from effsearch.space.rounding import round_resolution
from effsearch.space.small_images import count_removable_strides, remove_strides
from effsearch.space.spec import ModelSpec

CHECKPOINTS = "checkpoints"  # folder of a run
MANY_IMAGES = 1_000_000  # as many as fill any batch


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """What a user says; None leaves it to effsearch."""

    network: str  # preset, spec file, or run of baseline, train or prune
    data: str | None = None
    recipe: RecipeName = "fast"
    num_epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    resolution: int | None = None
    num_parts: int = 1
    initial: Path | None = None  # weights to begin with
    seed: int = 0
    placement: Placement
    has_tensorboard: bool = False
    run: Path | None = None
    runs_root: Path

    def __post_init__(self) -> None:
        if self.resolution is not None and not 8 <= self.resolution <= 1024:
            raise UsageError(f"--resolution must be from 8 to 1024, got {self.resolution}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """What is done to a network so that it suits the images; one for a whole family."""

    target_resolution: int  # of the network it was made for
    resolution: int  # that this one is trained at
    num_removed_strides: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainPlan:
    """All that is settled before a training begins."""

    name: str
    spec: ModelSpec  # as it is trained
    data: str
    split_seed: int
    images: ImageData
    training: FullTraining
    fitting: Fitting
    notes: tuple[str, ...]


def plan_training(options: TrainOptions, watcher: Watcher, *, group: Group = ALONE) -> TrainPlan:
    """Settle a training: read the network, load the images, fit one to the other, choose the recipe.

    Raises:
        EffsearchError: The network, the data or a number of the recipe does not hold.
    """
    base = read_trained(options.network, runs_root=options.runs_root)
    check_options(options, base, base.name, base.spec, group=group)
    fitting, images = fit_to_images(options, base, watcher)
    return plan_network(options, base.name, base.spec, fitting, images, base=base)


def check_options(
    options: TrainOptions, base: Base, name: str, spec: ModelSpec, *, group: Group = ALONE
) -> None:
    """Refuse, before any image is read, what no images could put right.

    Args:
        options: What the user says.
        base: The network that was named.
        name: Of what is trained: the same, or a member of its family.
        spec: That network, as it is meant.
        group: Processes that share the batch.

    Raises:
        UsageError: A number of the recipe, the parts of the batch, the weights to begin with, or the run's folder.
    """
    refuse_foreign(options.run, command="train")
    refuse_other_settings(options.run, "train", _known_settings(options, base, name))
    batch = options.batch_size or 0  # one that nobody named is made to suit the images
    recipe = _settle_recipe(options, spec, num_images=max(batch, MANY_IMAGES))
    training = FullTraining(recipe=recipe, resolution=spec.resolution, num_parts=options.num_parts)
    check_batch(training, num_images=recipe.batch_size, group=group)
    initial = with_initial(options).initial
    if initial is not None and not needs_no_initial(initial, options.run):
        load_initial(build_on_meta(spec), initial, all_names(spec))  # where nothing is kept


def needs_no_initial(initial: Path, run: Path | None) -> bool:
    """Tell whether the weights to begin with are gone, and the run has weights of its own by now."""
    has_own = run is not None and (has_report(run) or (run / CHECKPOINTS / LAST_FILE).exists())
    return has_own and not initial.exists()


def plan_network(
    options: TrainOptions, name: str, spec: ModelSpec, fitting: Fitting, images: ImageData, *, base: Base
) -> TrainPlan:
    """Settle the training of one network; see `plan_training`."""
    share = spec.resolution / fitting.target_resolution
    resolution = round_resolution(share, resolution=fitting.resolution)
    trained = dataclasses.replace(
        remove_strides(spec, fitting.num_removed_strides),
        resolution=resolution,
        num_classes=images.num_classes,
    )
    recipe = _settle_recipe(options, trained, num_images=len(images.train))
    trained = for_recipe(trained, recipe)
    data, split_seed = _data_and_seed(options, base)
    return TrainPlan(
        name=name,
        spec=trained,
        data=data,
        split_seed=split_seed,
        images=images,
        training=FullTraining(
            recipe=recipe,
            resolution=resolution,
            dropout_rate=trained.head.dropout_rate,
            num_parts=options.num_parts,
            seed=options.seed,
        ),
        fitting=fitting,
        notes=_notes(spec, resolution, fitting, images),
    )


def fit_to_images(
    options: TrainOptions, base: Base, watcher: Watcher, *, largest: int = 0
) -> tuple[Fitting, ImageData]:
    """Load the images, and find at which size and with how many strides a network is trained on them.

    A network is trained at its own resolution, or at the images' own where that is less. There strides come off the
    front: as many as in the run that found it, unless that trained on smaller images; else so many that the last map
    is 4 pixels wide.

    Args:
        options: What the user says.
        base: The network, or that of a family.
        watcher: Is shown how far decoding is.
        largest: Resolution of the family's largest network; 0 where there is none larger.
    """
    data, split_seed = _data_and_seed(options, base)
    asked = ProxyOptions(data=data, seed=split_seed)
    images = load_proxy_images(asked, watcher)
    own = max(images.resolution, images.native_resolution)
    resolution = options.resolution or min(base.spec.resolution, own)
    share = max(largest, base.spec.resolution) / base.spec.resolution
    images = load_large_enough(asked, images, round_resolution(share, resolution=resolution), watcher)
    num_removed = 0
    if resolution < base.spec.resolution:
        fidelity = stored_fidelity(base.run)
        num_removed = (
            fidelity.num_removed_strides
            if fidelity is not None and resolution <= fidelity.resolution
            else count_removable_strides(base.spec, resolution=resolution, min_map=LADDER[0].min_map)
        )
    fitting = Fitting(
        target_resolution=base.spec.resolution, resolution=resolution, num_removed_strides=num_removed
    )
    return fitting, images


def run_settings(plan: TrainPlan, options: TrainOptions, *, num_processes: int) -> dict[str, Any]:
    """Give the settings that are stored with the run: all that the weights depend on."""
    placement = options.placement
    return {
        "network": plan.name,
        "network_hash": network_hash(plan.spec),
        "data": plan.data,
        "data_fingerprint": plan.images.fingerprint,
        "image_resolution": plan.images.resolution,
        "num_classes": plan.images.num_classes,
        "split_seed": plan.split_seed,
        "resolution": plan.training.resolution,
        "num_removed_strides": plan.fitting.num_removed_strides,
        "num_parts": plan.training.num_parts,
        "num_processes": num_processes,
        "init": None if options.initial is None else str(options.initial),
        "init_sha256": None if options.initial is None else _sha256_of(options.initial, options.run),
        "drop_path_rate": plan.spec.drop_path_rate,  # no part of the network's hash, nor is the other
        "dropout_rate": plan.training.dropout_rate,
        "seed": plan.training.seed,
        "tensorboard": options.has_tensorboard,
        "training": {
            **dataclasses.asdict(plan.training.recipe),
            **({} if placement.device == "cpu" else {"device": placement.device}),
            **({} if placement.precision == "float32" else {"precision": placement.precision}),
        },
    }


def _known_settings(options: TrainOptions, base: Base, name: str) -> dict[str, Any]:
    """Give those of `run_settings` that hang on no image."""
    data, split_seed = _data_and_seed(options, base)
    initial = with_initial(options).initial
    return {
        "network": name,
        "data": data,
        "split_seed": split_seed,
        "num_parts": options.num_parts,
        "init": None if initial is None else str(initial),
        "seed": options.seed,
        **named_recipe(
            options.recipe, options.num_epochs, options.batch_size, options.learning_rate, options.placement
        ),
    }


def named_recipe(
    recipe: RecipeName,
    num_epochs: int | None,
    batch_size: int | None,
    learning_rate: float | None,
    placement: Placement,
) -> dict[str, Any]:
    """Give the settings of a training that a user's words settle before any image is read, by dotted names."""
    named = {"num_epochs": num_epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    known: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    known |= {
        "name": recipe,
        "device": NOT_SET if placement.device == "cpu" else placement.device,
        "precision": NOT_SET if placement.precision == "float32" else placement.precision,
    }
    return {f"training.{name}": value for name, value in known.items()}


def with_initial(options: TrainOptions) -> TrainOptions:
    """Begin with the weights that the run began with, or the best of the training that is gone on from.

    Weights that the user names come before both.
    """
    if options.initial is not None:
        return options
    stored = stored_setting(options.run, "init")
    if stored is not None:
        return dataclasses.replace(options, initial=Path(str(stored)))
    if isinstance(options.network, SpecInHand) or not is_training(Path(options.network)):
        return options
    return dataclasses.replace(
        options, initial=best_weights(read_trained(options.network, runs_root=options.runs_root))
    )


def _sha256_of(path: Path, run: Path | None) -> str:
    """Give the hash of the weights to begin with; that of a run that has begun, where they are gone since."""
    stored = stored_setting(run, "init_sha256")
    if stored is not None and not path.exists():
        return str(stored)
    try:
        return sha256_of(path)
    except OSError as error:
        raise UsageError(f"--init: cannot read {path}: {error.strerror or error}") from error


def _settle_recipe(options: TrainOptions, spec: ModelSpec, *, num_images: int) -> Recipe:
    """Give the recipe with what the user changes of it; a rate that is named is that of the batch as it is.

    A batch that nobody named is halved until the training images fill it; the rate follows it.
    """
    recipe = recipe_of(options.recipe, num_parameters=count_cost(spec).parameters)
    batch_size = fill_batch(recipe, options.batch_size, num_images=num_images)
    named = options.learning_rate is not None
    return dataclasses.replace(
        recipe,
        num_epochs=recipe.num_epochs if options.num_epochs is None else options.num_epochs,
        batch_size=batch_size,
        learning_rate=options.learning_rate if options.learning_rate is not None else recipe.learning_rate,
        reference_batch=batch_size if named else recipe.reference_batch,
    )


def _data_and_seed(options: TrainOptions, base: Base) -> tuple[str, int]:
    """Give the data and the seed of their splits: a run's own, so that its test images are unseen here too."""
    own = data_of_base(base)
    data = options.data or own
    if data != own and _is_same(data, own):  # what is equal stays as it came: it may bring its images along
        data = own
    names = ("split_seed", "seed") if data == own else ()  # a training's, a search's
    stored = (stored_setting(base.run, name) for name in names)
    return data, next((int(seed) for seed in stored if seed is not None), options.seed)


def _is_same(data: str, other: str) -> bool:
    """Tell whether two names are of the same data, however a path is written: its test images must stay unseen."""
    return data == other or (Path(data).exists() and Path(other).exists() and Path(data).samefile(other))


def _notes(spec: ModelSpec, resolution: int, fitting: Fitting, images: ImageData) -> tuple[str, ...]:
    notes = []
    if resolution < spec.resolution:
        text = f"trained at {resolution} px in place of {spec.resolution}"
        if fitting.num_removed_strides:
            text += f", the first {fitting.num_removed_strides} stride(s) removed"
        notes.append(text)
    if resolution > images.resolution:
        notes.append(f"images of {images.resolution} px are enlarged to {resolution}")
    return tuple(notes)
