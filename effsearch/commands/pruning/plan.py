"""Which network is pruned, to which budget, on which images, and how is it trained afterwards?"""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effsearch.commands.exporting.int8 import load_run_images
from effsearch.commands.exporting.trained import intact_weights, read_trained
from effsearch.commands.inputs import Base
from effsearch.commands.placement import Placement
from effsearch.commands.proxy import stored_setting
from effsearch.commands.training.beginning import KEPT_RATE_SHARE
from effsearch.commands.training.settings import named_recipe
from effsearch.commands.training.settled import Fitting, TrainPlan
from effsearch.commands.watching import Watcher
from effsearch.proxy_train.full.recipe import Recipe, RecipeName, recipe_of
from effsearch.proxy_train.full.training import FullTraining, fill_batch, for_recipe
from effsearch.proxy_train.pruning.prune import PruneSettings
from effsearch.results.atomic import sha256_of
from effsearch.results.run_settings import refuse_foreign, refuse_other_settings
from effsearch.space.budget import Budget, short_count
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.errors import BudgetError, UsageError
from effsearch.space.spec import ModelSpec

ASKER = "effsearch prune"
NUM_EPOCHS = 10  # of the training afterwards, where the user names none


@dataclass(frozen=True, slots=True, kw_only=True)
class PruneOptions:
    """What a user says; None leaves it to effsearch."""

    network: str  # train, prune or baseline run, spec file or preset
    budget: Budget
    weights: Path | None = None
    data: str | None = None
    settings: PruneSettings
    recipe: RecipeName = "fast"
    num_epochs: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    seed: int = 0
    placement: Placement
    run: Path | None = None
    runs_root: Path

    def __post_init__(self) -> None:
        for option, value, high in (
            ("--divisor", self.settings.divisor, 256),
            ("--steps", self.settings.num_steps, 100),
        ):
            if not 1 <= value <= high:
                raise UsageError(f"{option} must be from 1 to {high}, got {value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class PrunePlan:
    """All that is settled before a pruning begins."""

    base: Base  # the network as it is
    weights: Path
    budget: Budget
    settings: PruneSettings
    train: TrainPlan  # of the training afterwards; its spec is still the network's own

    def trained(self, spec: ModelSpec) -> TrainPlan:
        """Give the training of what is left."""
        return dataclasses.replace(self.train, spec=for_recipe(spec, self.train.training.recipe))


def plan_pruning(options: PruneOptions, watcher: Watcher) -> PrunePlan:
    """Settle a pruning: find network, weights and images, and hold the budget against the network.

    Raises:
        EffsearchError: One of them is missing or does not fit the others, or the budget holds already.
    """
    base = read_trained(options.network, runs_root=options.runs_root)
    weights = options.weights or intact_weights(base)
    if weights is None:
        raise UsageError(
            f"{ASKER} needs trained weights, and {options.network} names none: give --weights, or a train run in "
            "place of the network"
        )
    check_budget(base, options.budget)
    refuse_foreign(options.run, command="prune")
    own = stored_setting(base.run, "data")
    data = str(options.data or own)
    split_seed = _split_seed(options, base)
    known = _asked(options, base, weights, data=data, split_seed=split_seed) | named_recipe(
        options.recipe, options.num_epochs, options.batch_size, options.learning_rate, options.placement
    )
    refuse_other_settings(options.run, "prune", known)
    images = load_run_images(base, options.data, watcher, asker=ASKER)
    recipe = fine_tune_recipe(options, base.spec, num_images=len(images.train))
    notes = []
    if base.spec.resolution > images.resolution:
        notes.append(f"images of {images.resolution} px are enlarged to {base.spec.resolution}")
    train = TrainPlan(
        name=base.name,
        spec=base.spec,
        data=data,
        split_seed=split_seed,
        images=images,
        training=FullTraining(
            recipe=recipe,
            resolution=base.spec.resolution,
            dropout_rate=for_recipe(base.spec, recipe).head.dropout_rate,
            seed=options.seed,
        ),
        fitting=Fitting(
            target_resolution=base.spec.resolution, resolution=base.spec.resolution, num_removed_strides=0
        ),
        notes=tuple(notes),
    )
    return PrunePlan(
        base=base, weights=weights, budget=options.budget, settings=options.settings, train=train
    )


def check_budget(base: Base, budget: Budget) -> None:
    """Refuse a budget that the network is inside of.

    Raises:
        BudgetError: It is.
    """
    cost = count_cost(base.spec)
    if budget.allows(cost):
        raise BudgetError(
            f"{base.name} is inside {budget} already: {short_count(cost.multiply_adds)} FLOPs at "
            f"{base.spec.resolution} px, {short_count(cost.parameters)} parameters, "
            f"{short_count(cost.activations)} activations; give a lower budget"
        )


def fine_tune_recipe(options: PruneOptions, spec: ModelSpec, *, num_images: int) -> Recipe:
    """Give the recipe of the training afterwards: short, and at a quarter of the rate, but for what the user says.

    A batch that nobody named is halved until the training images fill it, as in `effsearch train`.
    """
    recipe = recipe_of(options.recipe, num_parameters=count_cost(spec).parameters)
    batch_size = fill_batch(recipe, options.batch_size, num_images=num_images)
    named = options.learning_rate is not None
    return dataclasses.replace(
        recipe,
        num_epochs=NUM_EPOCHS if options.num_epochs is None else options.num_epochs,
        batch_size=batch_size,
        learning_rate=(
            options.learning_rate
            if options.learning_rate is not None
            else KEPT_RATE_SHARE * recipe.learning_rate
        ),
        reference_batch=batch_size if named else recipe.reference_batch,
    )


def run_settings(plan: PrunePlan, options: PruneOptions) -> dict[str, Any]:
    """Give the settings that are stored with the run: all that the weights depend on."""
    train, placement = plan.train, options.placement
    return {
        **_asked(options, plan.base, plan.weights, data=train.data, split_seed=train.split_seed),
        "data_fingerprint": train.images.fingerprint,
        "image_resolution": train.images.resolution,
        "num_classes": train.images.num_classes,
        "training": {
            **dataclasses.asdict(train.training.recipe),
            **({} if placement.device == "cpu" else {"device": placement.device}),
            **({} if placement.precision == "float32" else {"precision": placement.precision}),
        },
    }


def _asked(options: PruneOptions, base: Base, weights: Path, *, data: str, split_seed: int) -> dict[str, Any]:
    """Give those of `run_settings` that hang on no image."""
    return {
        "network": base.name,
        "network_hash": network_hash(base.spec),  # before pruning
        "weights": str(weights),
        "weights_sha256": _sha256_of(weights),
        "budget": str(options.budget),
        "budget_limits": options.budget.limits(),
        "pruning": dataclasses.asdict(options.settings),
        "data": data,
        "split_seed": split_seed,
        "resolution": base.spec.resolution,
        "seed": options.seed,
    }


def _split_seed(options: PruneOptions, base: Base) -> int:
    is_own = options.data in (None, stored_setting(base.run, "data"))
    seeds = [stored_setting(base.run, name) for name in ("split_seed", "seed")] if is_own else []
    return next((int(seed) for seed in seeds if seed is not None), 0)


def _sha256_of(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise UsageError(f"--weights: cannot read {path}: {error.strerror or error}") from error
