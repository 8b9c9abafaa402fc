"""effsearch prune: what it may be asked."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from effsearch.command_line.shared import (
    RUNS_ROOT,
    Config,
    Device,
    DeviceName,
    Json,
    Precision,
    PrecisionOption,
    Run,
    Task,
    load_own_images,
    own_run,
    place_one,
)
from effsearch.command_line.train import RecipeChoice


class ImportanceChoice(StrEnum):
    """By which measure channels are missed."""

    taylor = "taylor"
    magnitude = "magnitude"
    bn = "bn"


class ShareChoice(StrEnum):
    """How many channels each layer loses."""

    even = "even"
    importance = "global"


def prune(
    network: Annotated[
        str, typer.Argument(help="Train run, for its best weights; or spec file, preset or baseline run.")
    ],
    budget: Annotated[
        str | None,
        typer.Option(help="Bound at the network's own resolution, such as 30M-FLOPs or 1M-params."),
    ] = None,
    max_params: Annotated[str | None, typer.Option(help="Further bound on parameters, such as 5.3M.")] = None,
    max_activations: Annotated[
        str | None, typer.Option(help="Further bound on activations, such as 6M.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help="A .safetensors under effsearch's names or an export's; default: the run's best."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Images that the weights were trained on; default: the run's.", callback=load_own_images
        ),
    ] = None,
    importance: Annotated[
        ImportanceChoice,
        typer.Option(
            help="Which channels go: those that change the loss least, to first order; those with the least "
            "weights; or those with the least scales of norms."
        ),
    ] = ImportanceChoice.taylor,
    share: Annotated[
        ShareChoice,
        typer.Option(
            help="How many channels go from where: of every layer the same share; or from all layers those that are "
            "missed least."
        ),
    ] = ShareChoice.even,
    steps: Annotated[
        int, typer.Option(help="Steps to the budget; the importance is measured anew before each.")
    ] = 1,
    divisor: Annotated[int, typer.Option(help="Widths that change become multiples of it.")] = 8,
    recipe: Annotated[
        RecipeChoice, typer.Option(help="How what is left is trained; as of effsearch train.")
    ] = RecipeChoice.fast,
    epochs: Annotated[int | None, typer.Option(help="Epochs of that training; default: 10.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Images of a step; default: the recipe's.")] = None,
    lr: Annotated[
        float | None, typer.Option(help="Peak learning rate; default: a quarter of the recipe's.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of that training.")] = 0,
    device: DeviceName = Device.auto,
    precision: PrecisionOption = Precision.auto,
    run: Run = None,
    as_json: Json = False,
    config: Config = None,
) -> Task:
    """Take channels out of a trained network until it fits a budget, and train what is left a little.

    What comes out is a network like any other, in a run like a training's: for export, profile and train.
    """
    own_run(run)
    from effsearch.commands.pruning.plan import PruneOptions
    from effsearch.commands.pruning.prune import run_prune
    from effsearch.commands.pruning.tables import print_pruning
    from effsearch.proxy_train.pruning.prune import PruneSettings, ranking_of
    from effsearch.space.budget import parse_budget

    options = PruneOptions(
        network=network,
        budget=parse_budget(budget, max_params=max_params, max_activations=max_activations),
        weights=weights,
        data=data,
        settings=PruneSettings(
            importance=importance.value,
            ranking=ranking_of(importance.value, share.value),
            num_steps=steps,
            divisor=divisor,
        ),
        recipe=recipe.value,
        num_epochs=epochs,
        batch_size=batch_size,
        learning_rate=lr,
        seed=seed,
        placement=place_one(device=device, precision=precision, run=run),
        run=run,
        runs_root=RUNS_ROOT,
    )
    return Task(lambda watcher: run_prune(options, watcher), print_pruning, as_json)
