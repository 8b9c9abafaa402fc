"""What does a training say, before, meanwhile and at its end?"""

import dataclasses
from collections.abc import Sequence
from typing import Any

from effsearch.commands.training.options import TrainOptions
from effsearch.commands.training.settled import TrainPlan
from effsearch.proxy_train.device import Compute
from effsearch.proxy_train.full.checkpoint import BEST_FILE, LAST_FILE, EpochRow
from effsearch.proxy_train.full.group import Group
from effsearch.proxy_train.full.score import FullScore
from effsearch.proxy_train.full.transfer import Transfer
from effsearch.proxy_train.kernels import switch
from effsearch.results.checkpoints import FOLDER as CHECKPOINTS
from effsearch.results.run_dir import RunDir
from effsearch.results.run_files import HISTORY_FILE, TRAINED_SPEC
from effsearch.space.budget import short_count
from effsearch.space.cost import count_cost


def make_report(
    run: RunDir,
    plan: TrainPlan,
    rows: Sequence[EpochRow],
    test: FullScore,
    transfer: Transfer | None,
    options: TrainOptions | None,
    compute: Compute,
    group: Group,
) -> dict[str, Any]:
    """Give what a training came to, as JSON values."""
    best = max(rows, key=lambda row: row.best[:2])
    accuracy, negative_loss, source = best.best
    cost = count_cost(plan.spec)
    seconds = sum(row.train_seconds for row in rows)
    return {
        "run": str(run.path),
        "network": plan.name,
        "spec_path": str(run.path / "specs" / f"{TRAINED_SPEC}.json"),
        "multiply_adds": cost.multiply_adds,  # as trained
        "params": cost.parameters,
        "resolution": plan.training.resolution,
        "classes": plan.images.num_classes,
        "data": plan.data,
        "recipe": plan.training.recipe.name,
        "epochs": len(rows),
        "best": {
            "epoch": best.epoch,
            "weights": source,
            "accuracy": accuracy,
            "top5": best.val_top5 if source == "weights" else best.average_top5,
            "loss": -negative_loss,
        },
        "test": {"accuracy": test.accuracy, "top5": test.top5, "loss": test.loss, "images": test.num_images},
        "init": None
        if transfer is None or options is None
        else dataclasses.asdict(transfer) | {"path": str(options.initial)},
        "train_seconds": seconds,
        "images_per_second": sum(row.images_per_second * row.train_seconds for row in rows)
        / max(seconds, 1e-9),
        "device": compute.device.type,
        "precision": compute.precision,
        "processes": group.size,
        "history": str(run.path / HISTORY_FILE),
        "weights": str(run.path / CHECKPOINTS / BEST_FILE),
        "last": str(run.path / CHECKPOINTS / LAST_FILE),
        "notes": list(plan.notes),
        "warnings": chance_warnings(plan, accuracy),
    }


def chance_warnings(plan: TrainPlan, accuracy: float) -> list[str]:
    """Say it where a training has ended at chance level on validation images, with what to try."""
    if accuracy > plan.images.learned_from:
        return []
    recipe, chance = plan.training.recipe, plan.images.chance_accuracy
    rate = recipe.learning_rate * recipe.batch_size / recipe.reference_batch
    others = "" if recipe.name == "fast" else ", or --recipe fast, which learns in fewer epochs"
    return [
        f"nothing was learned: the best weights score {accuracy:.1%}, and naming the commonest class always "
        f"{chance:.1%}; try more --epochs (these were {recipe.num_epochs}){others}, another --lr "
        f"(the peak was {rate:.3g}), a smaller "
        "--batch-size, or a larger --resolution, with another --run"
    ]


def describe_training(plan: TrainPlan, compute: Compute, group: Group) -> str:
    """Say what is about to be trained, and on what."""
    recipe, cost = plan.training.recipe, count_cost(plan.spec)
    where = f"{group.size} processes, " if group.size > 1 else ""
    operators = "own kernels" if compute.device.type == "cpu" and switch.is_on() else "torch's operators"
    return (
        f"train: {plan.name}, {short_count(cost.multiply_adds)} FLOPs and {short_count(cost.parameters)} parameters "
        f"at {plan.training.resolution} px, recipe {recipe.name}, {recipe.num_epochs} epochs in batches of "
        f"{recipe.batch_size}; {where}{compute.device.type}, {compute.precision}, {operators}"
    )


def epoch_words(row: EpochRow, num_epochs: int) -> str:
    """Say what an epoch came to."""
    words = [
        f"epoch {row.epoch} of {num_epochs}: loss {row.train_loss:.3f}",
        f"validation {row.val_accuracy:.2%}, top-5 {row.val_top5:.2%}",
    ]
    if row.average_accuracy is not None:
        words.append(f"average {row.average_accuracy:.2%}")
    words.append(
        f"{row.resolution} px, rate {row.learning_rate:.3g}, {row.train_seconds:.0f} s, "
        f"{row.images_per_second:,.0f} images/s"
    )
    return "; ".join(words)
