"""How did a training go, epoch by epoch, what came of it, and how is it gone on with?"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any  # JSON

from effsearch.results.report.contents import RunContents
from effsearch.results.report.json_values import list_of, mapping_of, number_or_none
from effsearch.results.run_files import TRAINING_COMMANDS


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingStage:
    """Epochs in a row that trained at one size and with one strength of augmentation."""

    first_epoch: int
    last_epoch: int
    resolution: float | None
    magnitude: float | None
    mixup: float | None
    dropout: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingView:
    """A training."""

    name: str  # of the network
    epochs: tuple[Mapping[str, float | None], ...]  # rows of its table, numbers or None
    num_epochs: int | None  # that were asked for
    best: Mapping[str, Any]  # empty until it has ended
    test: Mapping[str, Any]
    facts: tuple[tuple[str, object], ...]  # FLOPs, params and pixels as trained
    train_seconds: float
    images_per_second: float | None
    stages: tuple[TrainingStage, ...]
    recipe: tuple[tuple[str, str], ...]
    commands: tuple[tuple[str, str], ...]  # what for, and the command
    notes: tuple[str, ...]
    last_accuracy: float | None  # on validation images, of the last epoch's better weights


def make_training(contents: RunContents) -> TrainingView | None:
    """Give a train run; None of any other."""
    if contents.stored.command not in TRAINING_COMMANDS:
        return None
    settings, result = contents.settings, contents.result
    epochs = tuple(_numbers(row) for row in contents.history)
    recipe = mapping_of(settings.get("training"))
    seconds = [row.get("train_seconds") or 0.0 for row in epochs]
    images = sum((row.get("images_per_second") or 0.0) * (row.get("train_seconds") or 0.0) for row in epochs)
    facts = {"FLOPs": result.get("multiply_adds"), "Params": result.get("params")}
    return TrainingView(
        name=str(settings.get("network", "network")),
        epochs=epochs,
        num_epochs=number_or_none(recipe.get("num_epochs")),  # type: ignore[arg-type]  # shown as it came
        best=mapping_of(result.get("best")),
        test=mapping_of(result.get("test")),
        facts=tuple((name, value) for name, value in facts.items() if value is not None),
        train_seconds=sum(seconds),
        images_per_second=images / sum(seconds) if sum(seconds) else None,
        stages=tuple(_stages(epochs)),
        recipe=tuple(_leaves(recipe)),
        commands=tuple(_commands(contents, has_ended=bool(result))),
        notes=tuple(str(note) for note in list_of(result.get("notes"))),
        last_accuracy=_better(epochs[-1]) if epochs else None,
    )


def training_charts(view: TrainingView) -> dict[str, Any]:
    """Give the curves of a training to the page's script, by the chart's place."""
    if not view.epochs:
        return {}
    loss = {
        "training": "train_loss",
        "validation": "val_loss",
        "validation, averaged weights": "average_loss",
    }
    accuracy = {
        "top-1": "val_accuracy",
        "top-5": "val_top5",
        "top-1, averaged weights": "average_accuracy",
        "top-5, averaged weights": "average_top5",
    }
    return {
        "curve-loss": _curves(view.epochs, loss, title="Loss, nats", format="%{y:.3f}"),
        "curve-accuracy": _curves(
            view.epochs, accuracy, title="Validation accuracy, %", format="%{y:.2f}%", factor=100
        ),
        "curve-rate": _curves(
            view.epochs, {"learning rate": "learning_rate"}, title="Learning rate", format="%{y:.3g}"
        ),
        "curve-size": _curves(
            view.epochs,
            {"image size": "resolution"},
            title="Image size, pixels",
            format="%{y} px",
            is_stepped=True,
        ),
    }


def _curves(
    epochs: Sequence[Mapping[str, float | None]],
    columns: Mapping[str, str],
    *,
    title: str,
    format: str,
    factor: float = 1.0,
    is_stepped: bool = False,
) -> dict[str, Any]:
    """Give lines over epochs; a column that is empty throughout, as an average that was not kept, is left out."""
    lines = []
    for name, column in columns.items():
        values = [row.get(column) for row in epochs]
        if any(value is not None for value in values):
            lines.append([name, [None if value is None else factor * value for value in values]])
    return {
        "x": [row.get("epoch") for row in epochs],
        "lines": lines,
        "title": title,
        "format": format,
        "is_stepped": is_stepped,
    }


def _stages(epochs: Sequence[Mapping[str, float | None]]) -> Iterator[TrainingStage]:
    def settings(row: Mapping[str, float | None]) -> tuple[float | None, ...]:
        return tuple(row.get(name) for name in ("resolution", "magnitude", "mixup", "dropout_rate"))

    for (resolution, magnitude, mixup, dropout), rows in groupby(epochs, key=settings):
        some = list(rows)
        yield TrainingStage(
            first_epoch=int(some[0].get("epoch") or 0),
            last_epoch=int(some[-1].get("epoch") or 0),
            resolution=resolution,
            magnitude=magnitude,
            mixup=mixup,
            dropout=dropout,
        )


def _commands(contents: RunContents, *, has_ended: bool) -> Iterator[tuple[str, str]]:
    """Give what a user does with the run next, for where it lies now."""
    run = shlex.quote(str(contents.run))
    if has_ended:
        yield "To take it away", f"effsearch export {run} --to torch"
        yield "and as an ONNX model", f"effsearch export {run} --to onnx"
    else:
        yield "To go on", "the command below, with --run " + run
    yield "To write this page anew", f"effsearch report {run}"


def _leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _leaves(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _numbers(row: Mapping[str, str]) -> dict[str, float | None]:
    """Give a row's cells as numbers; None of what is empty or none."""
    return {name: _number(cell) for name, cell in row.items()}


def _number(cell: str) -> float | None:
    try:
        return number_or_none(float(cell))
    except ValueError:
        return None


def _better(row: Mapping[str, float | None]) -> float | None:
    found = [row.get(name) for name in ("val_accuracy", "average_accuracy")]
    return max((value for value in found if value is not None), default=None)
