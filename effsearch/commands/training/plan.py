"""Which network is trained on which images, and how?"""

import dataclasses

from effsearch.commands.exporting.trained import read_trained
from effsearch.commands.inputs import Base
from effsearch.commands.proxy import (
    ProxyOptions,
    load_large_enough,
    load_proxy_images,
    stored_fidelity,
)
from effsearch.commands.training.beginning import (
    KEPT_RATE_SHARE,
    data_and_seed,
    needs_no_initial,
    rate_share,
    settle_recipe,
    with_initial,
)
from effsearch.commands.training.options import TrainOptions
from effsearch.commands.training.settings import known_settings
from effsearch.commands.training.settled import Fitting, TrainPlan, Winner
from effsearch.commands.watching import Watcher
from effsearch.proxy_train.build import build_on_meta
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.full.group import ALONE, Group
from effsearch.proxy_train.full.training import FullTraining, check_batch, for_recipe
from effsearch.proxy_train.full.transfer import load_initial
from effsearch.results.export.namings import all_names
from effsearch.results.run_files import read_settings
from effsearch.results.run_settings import refuse_foreign, refuse_other_settings
from effsearch.search.fidelity import LADDER
from effsearch.space.canonical import network_hash
from effsearch.space.rounding import round_resolution
from effsearch.space.small_images import count_removable_strides, remove_strides
from effsearch.space.spec import ModelSpec

MANY_IMAGES = 1_000_000  # as many as fill any batch


def plan_training(options: TrainOptions, watcher: Watcher, *, group: Group = ALONE) -> TrainPlan:
    """Settle a training: read the network, load the images, fit one to the other, choose the recipe.

    Raises:
        EffsearchError: The network, the data or a number of the recipe does not hold.
    """
    base = read_trained(options.network, runs_root=options.runs_root)
    check_options(options, base, base.name, base.spec, group=group)
    fitting, images = fit_to_images(options, base, watcher)
    plan = plan_network(options, base.name, base.spec, fitting, images, base=base)
    if base.run is None or read_settings(base.run).command != "baseline":
        return plan
    return dataclasses.replace(plan, winner=Winner(base.run, network_hash(base.spec)))


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
    refuse_other_settings(options.run, "train", known_settings(options, base, name))
    batch = options.batch_size or 0  # one that nobody named is made to suit the images
    recipe = settle_recipe(options, spec, num_images=max(batch, MANY_IMAGES))
    training = FullTraining(recipe=recipe, resolution=spec.resolution, num_parts=options.num_parts)
    check_batch(training, num_images=recipe.batch_size, group=group)
    initial = with_initial(options).initial
    if initial is not None and not needs_no_initial(initial, options.run):
        load_initial(build_on_meta(spec), initial, all_names(spec))  # where nothing is kept


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
    recipe = settle_recipe(options, trained, num_images=len(images.train))
    trained = for_recipe(trained, recipe)
    data, split_seed = data_and_seed(options, base)
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
        notes=(*_notes(spec, resolution, fitting, images), *_rate_notes(options)),
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
    data, split_seed = data_and_seed(options, base)
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


def _rate_notes(options: TrainOptions) -> tuple[str, ...]:
    if options.learning_rate is not None or rate_share(options) == 1:
        return ()
    return (
        f"the best weights of {options.network} are gone on from at {KEPT_RATE_SHARE:g} of the recipe's rate; --lr "
        "gives another",
    )
