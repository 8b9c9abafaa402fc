"""On which images, with which weights and by which recipe does a training begin?"""

import dataclasses
from pathlib import Path

from effsearch.commands.exporting.trained import intact_weights, is_training, read_trained
from effsearch.commands.in_hand import SpecInHand
from effsearch.commands.inputs import Base, data_of_base
from effsearch.commands.proxy import stored_setting
from effsearch.commands.training.options import TrainOptions
from effsearch.proxy_train.full.checkpoint import LAST_FILE
from effsearch.proxy_train.full.recipe import Recipe, recipe_of
from effsearch.proxy_train.full.training import fill_batch
from effsearch.results.checkpoints import FOLDER as CHECKPOINTS
from effsearch.results.run_files import has_report
from effsearch.space.cost import count_cost
from effsearch.space.spec import ModelSpec

KEPT_RATE_SHARE = 0.25  # of the recipe's learning rate, where the network has learned these images already


def data_and_seed(options: TrainOptions, base: Base) -> tuple[str, int]:
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
        options, initial=intact_weights(read_trained(options.network, runs_root=options.runs_root))
    )


def needs_no_initial(initial: Path, run: Path | None) -> bool:
    """Tell whether the weights to begin with are gone, and the run has weights of its own by now."""
    has_own = run is not None and (has_report(run) or (run / CHECKPOINTS / LAST_FILE).exists())
    return has_own and not initial.exists()


def goes_on(options: TrainOptions) -> bool:
    """Tell whether a training goes on from the best weights of a train or prune run, on the images of that run."""
    if options.initial is not None or isinstance(options.network, SpecInHand):
        return False
    run = Path(options.network)
    if not is_training(run):
        return False
    learned = str(stored_setting(run, "data"))
    return options.data is None or _is_same(options.data, learned)


def rate_share(options: TrainOptions) -> float:
    """Give the share of the recipe's rate that a training begins with, where the user names no rate.

    A run that began at the whole rate, with other weights or before there was a share, goes on at it.
    """
    if not goes_on(options):
        return 1.0
    stored = stored_setting(options.run, "training") or {}
    whole = recipe_of(options.recipe, num_parameters=0)
    is_whole = (stored.get("learning_rate"), stored.get("reference_batch")) == (
        whole.learning_rate,
        whole.reference_batch,
    )
    return 1.0 if is_whole else KEPT_RATE_SHARE


def settle_recipe(options: TrainOptions, spec: ModelSpec, *, num_images: int) -> Recipe:
    """Give the recipe with what the user changes of it; a rate that is named is that of the batch as it is.

    A batch that nobody named is halved until the training images fill it; the rate follows it. Weights that another
    run has left are gone on from at a share of the rate.
    """
    recipe = recipe_of(options.recipe, num_parameters=count_cost(spec).parameters)
    batch_size = fill_batch(recipe, options.batch_size, num_images=num_images)
    named = options.learning_rate is not None
    return dataclasses.replace(
        recipe,
        num_epochs=recipe.num_epochs if options.num_epochs is None else options.num_epochs,
        batch_size=batch_size,
        learning_rate=(
            rate_share(options) * recipe.learning_rate
            if options.learning_rate is None
            else options.learning_rate
        ),
        reference_batch=batch_size if named else recipe.reference_batch,
    )
