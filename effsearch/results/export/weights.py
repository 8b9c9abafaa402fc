"""Where do a network's weights come from, and how are they written?

Weights lie in safetensors files. They are read under the names of `proxy_train.build` or of any export, so a network
that was trained in one place can go on to another.
"""

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: a JSON value

from effsearch import __version__
from effsearch.results.atomic import write_bytes_atomic
from effsearch.results.export.names import inverse, rename
from effsearch.results.export.namings import all_names
from effsearch.space.canonical import network_hash
from effsearch.space.errors import SpecError, UsageError
from effsearch.space.preprocessing import Preprocessing, preprocessing_from
from effsearch.space.spec import ModelSpec
from effsearch.space.strict_json import parse_json
from effsearch.space.text import from_json, to_dict

if TYPE_CHECKING:
    from torch import Tensor, nn

COUNTER = "num_batches_tracked"  # of a norm; it changes no output, and not all files have it


def fresh_network(spec: ModelSpec, *, seed: int) -> "nn.Module":
    """Give the built network with fresh weights, ready for use."""
    from effsearch.proxy_train.build import build_model

    return build_model(spec, seed=seed).eval()


def read_network(spec: ModelSpec, path: Path) -> "nn.Module":
    """Give the built network with the weights of a file, ready for use.

    Raises:
        UsageError: The file holds no weights, or is damaged, or holds those of another network.
    """
    tensors = _read_tensors(spec, path)
    network = fresh_network(spec, seed=0)
    wanted = network.state_dict()
    found = _translate(tensors, wanted, spec)
    lacking = [name for name in wanted if name not in found and not name.endswith(COUNTER)]
    unknown = [name for name in found if name not in wanted]
    for what, names in (("is missing", lacking), ("is none of its tensors", unknown)):
        if names:
            more = f", and {len(names) - 1} more" if len(names) > 1 else ""
            raise UsageError(f"{path} holds no weights of this network: {names[0]} {what}{more}")
    for name, tensor in found.items():
        if not tensor.isfinite().all():
            raise UsageError(f"{path}: {name} holds numbers that are not finite")
        if tensor.shape != wanted[name].shape:
            raise UsageError(
                f"{path} holds no weights of this network: {name} must have shape {tuple(wanted[name].shape)}, "
                f"got {tuple(tensor.shape)}"
            )
    network.load_state_dict(wanted | found)
    return network


def _read_words(path: Path) -> dict[str, str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            return dict(file.metadata() or {})
    except FileNotFoundError:
        raise UsageError(f"no weights at {path}") from None
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path} is no safetensors file: {error}") from None


def _read_tensors(spec: ModelSpec, path: Path) -> "dict[str, Tensor]":
    """Give the tensors of a file; one of effsearch's must be as it was written, and of this network."""
    from safetensors import SafetensorError

    from effsearch.proxy_train.tensor_files import read_anybodys

    try:
        tensors, words, is_intact = read_anybodys(path)
    except FileNotFoundError:
        raise UsageError(f"no weights at {path}") from None
    except (OSError, SafetensorError) as error:
        raise UsageError(f"{path} is no safetensors file: {error}") from None
    if is_intact is False:
        raise UsageError(f"{path} is damaged: its SHA-256 is another")
    written_for = _spec_in(words)
    if written_for is not None and _of_outputs(written_for) != _of_outputs(spec):
        raise UsageError(
            f"{path} holds the weights of another network, whose strides or activations may be all that differs: "
            "give the spec that they were trained with, specs/trained.json in the run of a training"
        )
    return tensors


def _spec_in(words: Mapping[str, str]) -> ModelSpec | None:
    """Give the network that a training or an export has named beside its weights; None in anybody else's file."""
    try:
        text = words.get("spec") or json.dumps(parse_json(words["effsearch"])["spec"])
        return from_json(text, source="weights")
    except (KeyError, TypeError, ValueError, RecursionError, SpecError):
        return None


def read_about(path: Path) -> dict[str, Any]:
    """Give what a weights file says of itself, as JSON values: a training's words, or an export's, else {}.

    Raises:
        UsageError: The file holds no weights.
    """
    words = _read_words(path)
    try:
        about = json.loads(words["effsearch"]) if "effsearch" in words else dict(words)
        if isinstance(about.get("preprocessing"), str):
            about["preprocessing"] = json.loads(about["preprocessing"])
    except (AttributeError, ValueError, RecursionError):
        return {}
    return dict(about)


def preprocessing_of(about: Mapping[str, Any], spec: ModelSpec) -> Preprocessing | None:
    """Give what a weights file says of the images that it was trained with; None where it does not, or of others."""
    if about.get("preprocessing") is None:
        return None
    try:
        found = preprocessing_from(about["preprocessing"])
    except SpecError:
        return None
    return found if found.suits(spec) else None


def exported_to(path: Path) -> str | None:
    """Give the target of the export that has written a weights file; None of anybody else's, or of none."""
    try:
        target = read_about(path).get("target")
    except UsageError:
        return None
    return target if isinstance(target, str) else None


def _of_outputs(spec: ModelSpec) -> str:
    """Give the hash of all that a network's outputs hang on: the norms' momentum counts in training alone."""
    return network_hash(dataclasses.replace(spec, norm_momentum=0.1))


def write_weights(
    path: Path,
    tensors: "dict[str, Tensor]",
    spec: ModelSpec,
    *,
    target: str = "safetensors",
    preprocessing: Preprocessing | None = None,
) -> None:
    """Write tensors as safetensors, with the spec and its hash in the metadata; the same ones give the same bytes.

    Args:
        path: Of the file.
        tensors: By the names of the target.
        spec: The network.
        target: Whose names these are.
        preprocessing: What becomes of an image before, where that is known.

    Raises:
        RunError: The file cannot be written.
    """
    from effsearch.proxy_train.tensor_files import to_bytes

    # One entry: the library writes several in an order that changes from run to run.
    about = {
        "effsearch": __version__,
        "target": target,
        "network": network_hash(spec),
        "spec": to_dict(spec),
        "preprocessing": None if preprocessing is None else preprocessing.to_values(),
    }
    write_bytes_atomic(path, to_bytes(tensors, {"effsearch": json.dumps(about)}))


def _translate(
    tensors: "dict[str, Tensor]", wanted: "dict[str, Tensor]", spec: ModelSpec
) -> "dict[str, Tensor]":
    """Give tensors under effsearch's names, if those they have are an export's; else as they are."""
    needed = {name for name in wanted if not name.endswith(COUNTER)}
    if needed <= set(tensors):
        return tensors
    for names in all_names(spec).values():
        back = inverse(names)
        if {name.rpartition(".")[0] for name in tensors} == set(back):
            return rename(tensors, back)
    return tensors
