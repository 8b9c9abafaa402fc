"""What of a training is kept on disk, so that it goes on as if it had never stopped?

`last.safetensors` holds weights, their average, the optimizer's state and the epochs so far, in one file, so that no
two of them can be of different epochs. What chance decides in an epoch follows from the seed and the epoch, so no
generator's state need be kept. `best.safetensors` holds the best weights alone, under the network's own names, and
`last` names their SHA-256. Better weights wait under another name until `last` knows of them, so that wherever a
training is killed the two are of one training (`settle_best`), even where an epoch that is trained again comes out
differently.
"""

import contextlib
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from effsearch.proxy_train.build import Network
from effsearch.proxy_train.full.average import WeightAverage
from effsearch.proxy_train.tensor_files import (
    fault_of,
    read_anybodys,
    read_hash,
    read_tensors,
    write_tensors,
)
from effsearch.space.errors import RunError
from effsearch.space.text import to_json

LAST_FILE = "last.safetensors"
BEST_FILE = "best.safetensors"
NEXT_FILE = "best.next.safetensors"  # better weights that `last` may not know of yet
WEIGHTS, AVERAGE, OPTIMIZER = "weights/", "average/", "optimizer/"

Source = Literal["weights", "average"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochRow:
    """What one epoch came to; accuracies are of all validation images, in [0, 1]."""

    epoch: int  # from 1
    train_loss: float  # nats, with label smoothing and mixed answers
    val_loss: float  # nats, without label smoothing
    val_accuracy: float
    val_top5: float
    average_loss: float | None  # the same of the averaged weights; None where there are none
    average_accuracy: float | None
    average_top5: float | None
    learning_rate: float  # in its last step
    resolution: int
    magnitude: float
    mixup: float
    dropout_rate: float
    train_seconds: float
    images_per_second: float  # of training, without scoring

    @property
    def best(self) -> tuple[float, float, Source]:
        """The better of the two sets of weights: its accuracy, its loss below zero, and which it is."""
        own: tuple[float, float, Source] = (self.val_accuracy, -self.val_loss, "weights")
        if self.average_accuracy is None or self.average_loss is None:
            return own
        return max(own, (self.average_accuracy, -self.average_loss, "average"))


@dataclass(slots=True)
class TrainState:
    """All that changes in a training."""

    model: nn.Module
    optimizer: torch.optim.Optimizer
    average: WeightAverage | None
    num_steps: int = 0  # taken so far
    rows: list[EpochRow] = field(default_factory=list)  # of the epochs so far
    best_hash: str = (
        ""  # SHA-256 of the best weights; "" before there are any, and in runs from before it was kept
    )

    @property
    def best(self) -> EpochRow | None:
        """The epoch with the best weights; the first of equals."""
        return max(self.rows, key=lambda row: row.best[:2], default=None)


def repair_advice(folder: Path) -> str:
    """Say what to do where a file in the folder of a run's checkpoints is damaged, for an error's end."""
    return f"effsearch repair {folder.parent} --yes puts it aside, and the same command then trains anew"


def _other_advice(folder: Path) -> str:
    return f"delete {folder} to train anew, or give another --run"


def best_fault(folder: Path) -> str:
    """Say why the best weights of a training cannot be used: by their own SHA-256, and the one that `last` names.

    Returns:
        "" where they can, or where no training has left anything.
    """
    wanted = _known_best(folder / LAST_FILE)
    if wanted and read_hash(folder / NEXT_FILE) == wanted:  # the next call gives them their name
        return ""
    path = folder / BEST_FILE
    if not path.exists():
        return "it is missing" if wanted else ""
    fault = fault_of(path)
    if not fault and wanted and read_hash(path) != wanted:
        return f"it is not the one that {LAST_FILE} names"
    return fault


def require_best(folder: Path) -> None:
    """Refuse a training that has ended, and whose best weights are gone or damaged.

    Raises:
        RunError: They are; it says what to do.
    """
    fault = best_fault(folder) or ("" if (folder / BEST_FILE).exists() else "it is missing")
    if fault:
        raise RunError(f"{folder / BEST_FILE} cannot be used: {fault}; {repair_advice(folder)}")


def _known_best(last: Path) -> str:
    """Give the SHA-256 of the best weights that an intact state names, else ""."""
    try:
        _, words, is_intact = read_anybodys(last)
    except (OSError, SafetensorError):
        return ""
    return words.get("best_sha256", "") if is_intact else ""


def save_epoch(state: TrainState, folder: Path, about: Mapping[str, str] | None = None) -> None:
    """Write where a training is and, if the last epoch is the best, its better weights.

    Args:
        state: After an epoch.
        folder: Of the checkpoints.
        about: What else is said beside the best weights, by name.

    Raises:
        RunError: It cannot be written.
    """
    is_better = state.best is state.rows[-1]
    if is_better:
        state.best_hash = _write_best(state, folder / NEXT_FILE, about or {})
    _write_last(state, folder)
    if is_better:
        _promote(folder)


def settle_best(state: TrainState, folder: Path) -> None:
    """Bring the best weights to what the state that was loaded knows of, wherever the training was killed.

    Raises:
        RunError: The best weights are missing or damaged.
    """
    if not state.best_hash:
        return
    if read_hash(folder / NEXT_FILE) == state.best_hash:
        _promote(folder)
    else:  # of an epoch that is trained again
        with contextlib.suppress(OSError):
            (folder / NEXT_FILE).unlink(missing_ok=True)
    if read_hash(folder / BEST_FILE) != state.best_hash:
        raise RunError(
            f"{folder / BEST_FILE} is missing, or not as the training left it; {repair_advice(folder)}"
        )


def _promote(folder: Path) -> None:
    try:
        (folder / NEXT_FILE).replace(folder / BEST_FILE)
    except OSError as error:
        raise RunError(f"cannot write {folder / BEST_FILE}: {error.strerror or error}") from error


def _write_last(state: TrainState, folder: Path) -> None:
    tensors = {WEIGHTS + name: tensor for name, tensor in state.model.state_dict().items()}
    if state.average is not None:
        tensors |= {AVERAGE + name: tensor for name, tensor in state.average.model.state_dict().items()}
    for name, weight in state.model.named_parameters():
        for key, tensor in state.optimizer.state[weight].items():
            if isinstance(tensor, Tensor):
                tensors[f"{OPTIMIZER}{key}/{name}"] = tensor
    rows = json.dumps([dataclasses.asdict(row) for row in state.rows])
    words = {"num_steps": str(state.num_steps), "epochs": rows, "best_sha256": state.best_hash}
    write_tensors(folder / LAST_FILE, tensors, words)


def load_last(state: TrainState, folder: Path) -> bool:
    """Go on where a training was; give whether there was one.

    Raises:
        RunError: The file is damaged, or of another network.
    """
    path = folder / LAST_FILE
    if not path.exists():
        return False
    tensors, words = read_tensors(path, what="the weights", advice=repair_advice(folder))
    try:
        rows = [EpochRow(**row) for row in json.loads(words["epochs"])]
        num_steps = int(words["num_steps"])
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(f"{path} holds no training's state; {_other_advice(folder)}") from error
    _put(state.model, tensors, WEIGHTS, path)
    if state.average is not None:
        _put(state.average.model, tensors, AVERAGE, path)
    for name, weight in state.model.named_parameters():
        kept = {}
        for full_name, tensor in tensors.items():
            if full_name.startswith(OPTIMIZER) and full_name.split("/", 2)[2] == name:
                kept[full_name.split("/", 2)[1]] = torch.zeros_like(weight).copy_(tensor)
        state.optimizer.state[weight].update(kept)
    state.rows, state.num_steps = rows, num_steps
    state.best_hash = words.get("best_sha256", "")
    return True


def _write_best(state: TrainState, path: Path, about: Mapping[str, str]) -> str:
    """Write the better weights of the last epoch; give their SHA-256."""
    row = state.rows[-1]
    accuracy, _, source = row.best
    model = state.average.model if source == "average" and state.average is not None else state.model
    words = {**about, "epoch": str(row.epoch), "weights": source, "val_accuracy": f"{accuracy:.6f}"}
    if isinstance(state.model, Network):  # its strides and activations show in no tensor
        words["spec"] = to_json(state.model.spec)
    return write_tensors(path, model.state_dict(), words)


def load_best(model: nn.Module, folder: Path) -> None:
    """Give a network the best weights of a training.

    Raises:
        RunError: There are none, or they are damaged, or of another network.
    """
    path = folder / BEST_FILE
    tensors, _ = read_tensors(path, what="the weights", advice=repair_advice(folder))
    _put(model, tensors, "", path)


def _put(model: nn.Module, tensors: dict[str, Tensor], prefix: str, path: Path) -> None:
    """Copy tensors into a network, where it has them: the layout in memory stays its own."""
    own = model.state_dict()
    given = {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}
    if own.keys() != given.keys() or any(own[name].shape != one.shape for name, one in given.items()):
        raise RunError(f"{path} holds the weights of another network; {_other_advice(path.parent)}")
    with torch.no_grad():
        for name, tensor in given.items():
            own[name].copy_(tensor)
