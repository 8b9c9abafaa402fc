"""How does a network begin with weights that were trained before?

They may stand under our names or under others' (torchvision's, timm's), which the caller brings. All must fit but the
classifier, which is drawn anew where the number of classes differs.
"""

import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError
from torch import Tensor

from effsearch.proxy_train.build import Network
from effsearch.proxy_train.full.checkpoint import AVERAGE, WEIGHTS
from effsearch.proxy_train.tensor_files import read_anybodys
from effsearch.space.errors import UsageError

CLASSIFIER = ("head.classifier.weight", "head.classifier.bias")
NOT_WEIGHTS = ".num_batches_tracked"  # counts, which some files leave out
WRAPPERS = ("state_dict", "model", "model_ema", "model_state_dict")  # what checkpoints keep weights under


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What a network took over."""

    naming: str  # "effsearch", or whose names they are
    num_tensors: int
    num_parameters: int
    file_classes: int | None  # classes that the file's classifier tells apart, where it was left out

    @property
    def words(self) -> str:
        """Say it in a line."""
        text = f"{self.num_tensors} tensors ({self.num_parameters:,} numbers) by {self.naming}'s names"
        if self.file_classes is None:
            return f"{text}, all that the network has"
        return f"{text}; the classifier is new, the file's tells {self.file_classes} classes apart"


def load_initial(
    model: Network, path: Path, namings: Mapping[str, Mapping[str, str]] | None = None
) -> Transfer:
    """Give a fresh network the weights of a file, in place.

    Args:
        model: With its own classifier, which stays where the file's has another number of classes.
        path: A .safetensors, or a .pth or .pt that holds nothing but tensors.
        namings: What others call each module of the network, by who they are: the weights may be theirs.

    Raises:
        UsageError: The file cannot be read, or something else than the classifier does not fit; the first such
            tensor is named.
    """
    naming, given = _by_own_names(model, read_weights(path), path, namings or {})
    own = model.state_dict()
    file_classes = None
    for name, tensor in own.items():
        if name.endswith(NOT_WEIGHTS):
            continue
        if name not in given:
            raise UsageError(f"--init {path}: {name} is missing; it is of another network ({naming}'s names)")
        if given[name].shape != tensor.shape:
            if name in CLASSIFIER and given[name].shape[1:] == tensor.shape[1:]:
                file_classes = given[name].shape[0]
                continue
            raise UsageError(
                f"--init {path}: {name} is {_shape(given[name])} there and {_shape(tensor)} here; it is of another "
                "network"
            )
        if not torch.isfinite(given[name].float()).all():
            raise UsageError(f"--init {path}: {name} holds numbers that are not finite")
    extra = next((name for name in given if name not in own), None)
    if extra is not None:
        raise UsageError(
            f"--init {path}: {extra} has no place in this network; it is of another ({naming}'s names)"
        )
    taken = [name for name in own if name in given and given[name].shape == own[name].shape]
    if file_classes is not None:  # the two belong together
        taken = [name for name in taken if name not in CLASSIFIER]
    with torch.no_grad():
        for name in taken:
            own[name].copy_(given[name])
    weights = [name for name in taken if not name.endswith(NOT_WEIGHTS)]
    return Transfer(
        naming=naming,
        num_tensors=len(weights),
        num_parameters=sum(own[name].numel() for name in weights),
        file_classes=file_classes,
    )


def read_weights(path: Path) -> dict[str, Tensor]:
    """Give the tensors of a weights file by the names they have there; nothing in it is run.

    Raises:
        UsageError: There is no such file, or it holds something else.
    """
    if not path.is_file():
        raise UsageError(f"--init: no file at {path}")
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    try:
        _check_unpacked(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what kind the file may be
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the restricted unpickler meets damaged bytes with errors of any type
        raise _unreadable(path, error) from None
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping) or not all(isinstance(one, Tensor) for one in content.values()):
        raise UsageError(f"--init {path} must hold tensors by name")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def _check_unpacked(path: Path) -> None:
    """Refuse a zip that is larger inside: torch packs numbers without compressing them."""
    if not zipfile.is_zipfile(path):
        return
    with zipfile.ZipFile(path) as packed:
        num_bytes = sum(entry.file_size for entry in packed.infolist())
    if num_bytes > path.stat().st_size:
        raise ValueError(f"it unpacks to {num_bytes:,} bytes, more than it has")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    """Read a file of anybody's; one of ours must be as it was written."""
    try:
        tensors, _, is_intact = read_anybodys(path)
    except (OSError, SafetensorError) as error:
        raise _unreadable(path, error) from None
    if is_intact is False:
        raise UsageError(f"--init {path} is damaged: its SHA-256 is another")
    for prefix in (AVERAGE, WEIGHTS):  # a training's state: its average where it has one
        chosen = {name.removeprefix(prefix): one for name, one in tensors.items() if name.startswith(prefix)}
        if chosen:
            return chosen
    return tensors


def _unreadable(path: Path, error: Exception) -> UsageError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return UsageError(f"--init {path} cannot be read as weights: {reason}")


def _by_own_names(
    model: Network, given: dict[str, Tensor], path: Path, namings: Mapping[str, Mapping[str, str]]
) -> tuple[str, dict[str, Tensor]]:
    """Give whose names a file has, and its tensors by ours; those that nobody knows keep theirs."""
    tables = {"effsearch": {name: name for name in model.state_dict()}}
    for whose, names in namings.items():
        modules = {theirs: ours for ours, theirs in names.items()}
        parted = {name: name.rpartition(".") for name in given}
        tables[whose] = {
            name: f"{modules[module]}.{what}"
            for name, (module, _, what) in parted.items()
            if module in modules
        }
    matches = {naming: sum(name in table for name in given) for naming, table in tables.items()}
    naming = max(matches, key=lambda one: matches[one])
    if not matches[naming]:
        first = next(iter(given), "nothing")
        raise UsageError(f"--init {path} holds no weights of this network: {first} is not known")
    table = tables[naming]
    return naming, {table.get(name, name): tensor for name, tensor in given.items()}


def _shape(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
