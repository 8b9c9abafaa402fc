"""What is stored of a training, and how much of it is known before any image is read?"""

import dataclasses
from pathlib import Path
from typing import Any

from effsearch.commands.inputs import Base
from effsearch.commands.placement import Placement
from effsearch.commands.proxy import stored_setting
from effsearch.commands.training.beginning import data_and_seed, with_initial
from effsearch.commands.training.options import TrainOptions
from effsearch.commands.training.settled import TrainPlan
from effsearch.proxy_train.full.recipe import RecipeName
from effsearch.results.atomic import sha256_of
from effsearch.results.run_settings import NOT_SET
from effsearch.space.canonical import network_hash
from effsearch.space.errors import UsageError


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


def known_settings(options: TrainOptions, base: Base, name: str) -> dict[str, Any]:
    """Give those of `run_settings` that hang on no image."""
    data, split_seed = data_and_seed(options, base)
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


def _sha256_of(path: Path, run: Path | None) -> str:
    """Give the hash of the weights to begin with; that of a run that has begun, where they are gone since."""
    stored = stored_setting(run, "init_sha256")
    if stored is not None and not path.exists():
        return str(stored)
    try:
        return sha256_of(path)
    except OSError as error:
        raise UsageError(f"--init: cannot read {path}: {error.strerror or error}") from error
