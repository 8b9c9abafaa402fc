"""How are the files of each target written?"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effsearch.commands.exporting.known import Known
from effsearch.commands.exporting.paths import INT8, names_path, weights_path
from effsearch.commands.inputs import Base
from effsearch.commands.watching import Watcher
from effsearch.results.atomic import write_bytes_atomic, write_text_atomic
from effsearch.results.export.check import check_torch_source
from effsearch.results.export.features import Feature
from effsearch.results.export.names import Names, rename
from effsearch.results.export.onnx_model import export_onnx, model_words, with_words
from effsearch.results.export.pycls_config import pycls_config, pycls_names
from effsearch.results.export.timm_source import timm_names, timm_source
from effsearch.results.export.torch_source import torch_names, torch_source
from effsearch.results.export.torchvision_source import torchvision_names, torchvision_source
from effsearch.results.export.weights import fresh_network, read_network, write_weights
from effsearch.results.export.words import safe_name
from effsearch.results.json_files import write_json
from effsearch.space.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One export, settled."""

    base: Base
    target: str
    out: Path
    features: Sequence[Feature]
    weights: Path | None
    seed: int  # of fresh weights, or of the draw of calibration images
    known: Known
    data: str | None
    num_calibration_images: int | None

    @property
    def spec(self) -> ModelSpec:
        """The network."""
        return self.base.spec

    @property
    def name(self) -> str:
        """What people call it, as it may stand in code."""
        return safe_name(self.base.name)


@dataclass(frozen=True, slots=True)
class Written:
    """What a target came to."""

    files: list[Path]
    names: Names  # of modules, from effsearch's to the target's
    difference: float | None = None  # of its outputs from effsearch's own, where it was run
    rounding: float = 0.0  # of effsearch's own outputs, where the difference made that worth measuring
    weights: Path | None = None  # where they are not those that were asked for
    known: Known | None = None  # likewise
    quantised: dict[str, Any] | None = None  # what onnx-int8 changed, as JSON values


def write_export(job: Job, watcher: Watcher) -> Written:
    """Write the files of an export.

    Raises:
        EffsearchError: The target cannot express the network, gives other outputs, or a file cannot be written.
    """
    if job.target == INT8:
        return _write_int8(job, watcher)
    return _WRITERS[job.target](job)


def _write_torch(job: Job) -> Written:
    source = torch_source(
        job.spec,
        name=job.name,
        module=job.out.stem,
        features=job.features,
        preprocessing=job.known.preprocessing,
    )
    names = torch_names(job.spec, features=job.features)
    difference = check_torch_source(source, job.spec, names, job.features)
    network = _network(job) if job.weights else None
    write_text_atomic(job.out, source)
    weights = _write_named_weights(network, names, job) if network else []
    return Written([job.out, *weights], names, difference)


def _write_timm(job: Job) -> Written:
    source = timm_source(
        job.spec,
        name=job.name,
        module=job.out.stem,
        features=job.features,
        preprocessing=job.known.preprocessing,
    )
    return _write_text(source, timm_names(job.spec, features=job.features), job)


def _write_torchvision(job: Job) -> Written:
    source = torchvision_source(
        job.spec, name=job.name, module=job.out.stem, preprocessing=job.known.preprocessing
    )
    return _write_text(source, torchvision_names(job.spec), job)


def _write_pycls(job: Job) -> Written:
    config = pycls_config(job.spec, name=job.name, preprocessing=job.known.preprocessing)
    return _write_text(config, pycls_names(job.spec), job)


def _write_safetensors(job: Job) -> Written:
    tensors = _network(job).state_dict()
    write_weights(job.out, tensors, job.spec, preprocessing=job.known.preprocessing)
    return Written([job.out], {})


def _write_onnx(job: Job) -> Written:
    model = export_onnx(_network(job), job.features, size=job.spec.resolution)
    write_bytes_atomic(job.out, with_words(model.content, model_words(job.spec, job.known.preprocessing)))
    return Written([job.out], {}, model.difference, model.rounding)


def _write_int8(job: Job, watcher: Watcher) -> Written:
    from effsearch.commands.exporting.int8 import load_run_images, quantise_network, trained_weights

    weights = trained_weights(job.base, job.weights)
    images = load_run_images(job.base, job.data, watcher)
    model = quantise_network(
        job.base,
        weights,
        images=images,
        num_calibration_images=job.num_calibration_images,
        seed=job.seed,
        watcher=watcher,
    )
    write_bytes_atomic(job.out, model.content)
    known = Known(
        preprocessing=model.preprocessing, accuracy={"validation_top1": model.report["int8"]["accuracy"]}
    )
    return Written([job.out], {}, weights=weights, known=known, quantised=model.report)


_WRITERS: dict[str, Callable[[Job], Written]] = {
    "torch": _write_torch,
    "safetensors": _write_safetensors,
    "onnx": _write_onnx,
    "timm": _write_timm,
    "torchvision": _write_torchvision,
    "pycls": _write_pycls,
}


def _write_text(text: str, names: Names, job: Job) -> Written:
    """Write a target's file, the names of its modules and, where they were given, the weights under these names."""
    network = _network(job) if job.weights else None
    write_text_atomic(job.out, text)
    write_json(names_path(job.out), names)
    weights = _write_named_weights(network, names, job) if network else []
    return Written([job.out, names_path(job.out), *weights], names)


def _write_named_weights(network: "nn.Module", names: Names, job: Job) -> list[Path]:
    path = weights_path(job.out)
    tensors = rename(network.state_dict(), names)
    write_weights(path, tensors, job.spec, target=job.target, preprocessing=job.known.preprocessing)
    return [path]


def _network(job: Job) -> "nn.Module":
    if job.weights is None:
        return fresh_network(job.spec, seed=job.seed)
    return read_network(job.spec, job.weights)
