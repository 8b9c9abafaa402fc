"""effsearch train: what it may be asked."""

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


class RecipeChoice(StrEnum):
    """How a network is trained."""

    efficientnet = "efficientnet"
    efficientnetv2 = "efficientnetv2"
    fast = "fast"


def train(
    network: Annotated[
        str,
        typer.Argument(
            help="Baseline run, for its winner; train or prune run, to go on from its best weights in another run; "
            "spec file, or preset."
        ),
    ],
    data: Annotated[
        str | None,
        typer.Option(
            help="Images to train on; default: the run's, else synthetic.", callback=load_own_images
        ),
    ] = None,
    recipe: Annotated[
        RecipeChoice, typer.Option(help="How: as the papers say (350 epochs), or fast (30).")
    ] = RecipeChoice.fast,
    epochs: Annotated[
        int | None, typer.Option(help="Default: the recipe's; the schedule keeps its shape.")
    ] = None,
    batch_size: Annotated[
        int | None,
        typer.Option(help="Images of a step, over all parts and processes; default: the recipe's."),
    ] = None,
    lr: Annotated[
        float | None,
        typer.Option(
            help="Peak learning rate; default: the recipe's, in proportion to the batch; a quarter of that where the "
            "best weights of a train or prune run are gone on from on its own images."
        ),
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(help="Pixels; default: the network's own, at most the images'.")
    ] = None,
    accumulate: Annotated[
        int, typer.Option(help="Parts that a batch is computed in, one after another, where memory is short.")
    ] = 1,
    init: Annotated[
        Path | None,
        typer.Option(help="Weights to begin with: ours, torchvision's or timm's, .safetensors or .pth."),
    ] = None,
    family: Annotated[
        bool,
        typer.Option(
            "--family",
            help="Train the run's winner and all that effsearch scale made of it; takes its run too.",
        ),
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Write TensorBoard's files too.")
    ] = False,
    seed: Annotated[int, typer.Option(min=0, max=2**31 - 1, help="Seed of everything that is drawn.")] = 0,
    device: DeviceName = Device.auto,
    precision: PrecisionOption = Precision.auto,
    run: Run = None,
    as_json: Json = False,
    config: Config = None,
) -> Task:
    """Train a network properly, from scratch or from other weights, and test it once.

    Validation images choose the weights; test images are looked at once, after the training. It may be stopped at
    any time, and goes on with the same command and --run.

    Several GPUs or cores: torchrun --nproc-per-node 4 -m -- effsearch.cli train ...
    """
    if not family:
        own_run(run)
    from effsearch.commands.training.family import run_train_family
    from effsearch.commands.training.options import TrainOptions
    from effsearch.commands.training.tables import print_trained_family, print_training
    from effsearch.commands.training.train import run_train

    options = TrainOptions(
        network=network,
        data=data,
        recipe=recipe.value,
        num_epochs=epochs,
        batch_size=batch_size,
        learning_rate=lr,
        resolution=resolution,
        num_parts=accumulate,
        initial=init,
        seed=seed,
        placement=place_one(device=device, precision=precision, run=run),
        has_tensorboard=tensorboard,
        run=run,
        runs_root=RUNS_ROOT,
    )
    if family:
        return Task(lambda watcher: run_train_family(options, watcher), print_trained_family, as_json)
    return Task(lambda watcher: run_train(options, watcher), print_training, as_json)
