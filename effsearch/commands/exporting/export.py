"""effsearch export: a network as source, weights or configuration for other programs."""

import dataclasses
import keyword
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effsearch.commands.exporting.trained import best_weights, read_trained
from effsearch.commands.inputs import Base
from effsearch.commands.watching import Watcher
from effsearch.results.atomic import sha256_of, write_bytes_atomic, write_text_atomic
from effsearch.results.export.check import check_torch_source
from effsearch.results.export.features import Feature, backbone_cost, find_features
from effsearch.results.export.names import Names, rename
from effsearch.results.export.onnx_model import export_onnx, onnx_outputs, require_onnx
from effsearch.results.export.pycls_config import pycls_config, pycls_names
from effsearch.results.export.timm_source import timm_names, timm_source
from effsearch.results.export.torch_source import torch_names, torch_source
from effsearch.results.export.torchvision_source import torchvision_names, torchvision_source
from effsearch.results.export.weights import fresh_network, read_network, write_weights
from effsearch.results.export.words import safe_name
from effsearch.results.json_files import write_json
from effsearch.space.canonical import network_hash
from effsearch.space.cost import Cost, count_cost
from effsearch.space.errors import UsageError
from effsearch.space.spec import ModelSpec

if TYPE_CHECKING:
    from torch import nn

INT8 = "onnx-int8"
# How the file of a target is called: what stands before the end of its name, and the ends it may have.
FILES: dict[str, tuple[str, tuple[str, ...]]] = {
    "torch": ("", (".py",)),
    "safetensors": ("", (".safetensors",)),
    "onnx": ("", (".onnx",)),
    INT8: ("_int8", (".onnx",)),
    "timm": ("_timm", (".py",)),
    "torchvision": ("_torchvision", (".py",)),
    "pycls": ("_pycls", (".yaml", ".yml")),
}
WITH_FEATURES = ("torch", "timm", "onnx")
LIBRARIES = ("torch", "timm", "torchvision", "safetensors")  # a file of that name would stand before them


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """What is exported, and where to."""

    network: str
    target: str
    out: Path | None
    weights: Path | None
    seed: int
    has_features: bool
    data: str | None = None  # of onnx-int8, as the next; None leaves them to effsearch
    num_calibration_images: int | None = None
    runs_root: Path


def run_export(options: ExportOptions, watcher: Watcher) -> dict[str, Any]:
    """Write a network for another program.

    Args:
        options: What the user says.
        watcher: Is shown what takes time: images that are decoded, and quantisation.

    Returns:
        JSON values: the files with their SHA-256, the names of the modules there, and by how much its outputs differ
        from effsearch's own where that was tried.

    Raises:
        UsageError: The target cannot express the network, or an option does not fit.
        RunError: A file cannot be written, or what was exported gives other outputs.
    """
    if options.target in ("onnx", INT8):
        require_onnx(options.target)
    if options.has_features and options.target not in WITH_FEATURES:
        raise UsageError(f"--features goes with --to {', '.join(WITH_FEATURES)}, not with {options.target}")
    base = read_trained(options.network, runs_root=options.runs_root)
    if options.weights is None:
        options = dataclasses.replace(options, weights=best_weights(base))
    features = find_features(base.spec) if options.has_features else ()
    out = options.out or _default_path(base.name, options.target)
    _check_path(out, options)
    written = (
        _write_int8(base, out, options, watcher)
        if options.target == INT8
        else _WRITERS[options.target](base.spec, safe_name(base.name), out, features, options)
    )
    cost = _cost(base.spec, features, options.target)
    weights = written.weights or options.weights
    is_drawn = options.weights is None and options.target in ("safetensors", "onnx")
    return {
        "name": base.name,
        "target": options.target,
        "network": network_hash(base.spec),
        "params": cost.parameters,
        "multiply_adds": cost.multiply_adds,
        "resolution": base.spec.resolution,
        "classes": base.spec.num_classes,
        "weights": str(weights) if weights else None,
        "seed": options.seed if is_drawn else None,
        "max_difference": written.difference,
        "rounding": written.rounding or None,
        "quantised": written.quantised,
        "features": [
            {"name": name, "stride": feature.stride, "channels": feature.channels}
            for name, feature in zip(_feature_names(options.target, features), features, strict=True)
        ],
        "files": [
            {"path": str(path), "bytes": path.stat().st_size, "sha256": sha256_of(path)}
            for path in written.files
        ],
        "names": written.names,
    }


@dataclass(frozen=True, slots=True)
class _Written:
    """What a target came to."""

    files: list[Path]
    names: Names  # of modules, from effsearch's to the target's
    difference: float | None = None  # of its outputs from effsearch's own, where it was run
    rounding: float = 0.0  # of effsearch's own outputs, where the difference made that worth measuring
    weights: Path | None = None  # where they are not those that were asked for
    quantised: dict[str, Any] | None = None  # what onnx-int8 changed, as JSON values


def _write_torch(
    spec: ModelSpec, name: str, out: Path, features: Sequence[Feature], options: ExportOptions
) -> _Written:
    source = torch_source(spec, name=name, module=out.stem, features=features)
    names = torch_names(spec, features=features)
    difference = check_torch_source(source, spec, names, features)
    network = _network(spec, options) if options.weights else None
    write_text_atomic(out, source)
    weights = _write_named_weights(network, spec, names, out) if network else []
    return _Written([out, *weights], names, difference)


def _write_timm(
    spec: ModelSpec, name: str, out: Path, features: Sequence[Feature], options: ExportOptions
) -> _Written:
    source = timm_source(spec, name=name, module=out.stem, features=features)
    return _write_text(spec, source, timm_names(spec, features=features), out, options)


def _write_torchvision(
    spec: ModelSpec, name: str, out: Path, features: Sequence[Feature], options: ExportOptions
) -> _Written:
    source = torchvision_source(spec, name=name, module=out.stem)
    return _write_text(spec, source, torchvision_names(spec), out, options)


def _write_pycls(
    spec: ModelSpec, name: str, out: Path, features: Sequence[Feature], options: ExportOptions
) -> _Written:
    return _write_text(spec, pycls_config(spec, name=name), pycls_names(spec), out, options)


def _write_safetensors(
    spec: ModelSpec, name: str, out: Path, features: Sequence[Feature], options: ExportOptions
) -> _Written:
    tensors = _network(spec, options).state_dict()
    write_weights(out, tensors, spec)
    return _Written([out], {})


def _write_onnx(
    spec: ModelSpec, name: str, out: Path, features: Sequence[Feature], options: ExportOptions
) -> _Written:
    model = export_onnx(_network(spec, options), features, size=spec.resolution)
    write_bytes_atomic(out, model.content)
    return _Written([out], {}, model.difference, model.rounding)


def _write_int8(base: Base, out: Path, options: ExportOptions, watcher: Watcher) -> _Written:
    from effsearch.commands.exporting.int8 import load_run_images, quantise_network, trained_weights

    weights = trained_weights(base, options.weights)
    model = quantise_network(
        base,
        weights,
        images=load_run_images(base, options.data, watcher),
        num_calibration_images=options.num_calibration_images,
        seed=options.seed,
        watcher=watcher,
    )
    write_bytes_atomic(out, model.content)
    return _Written([out], {}, weights=weights, quantised=model.report)


_WRITERS = {
    "torch": _write_torch,
    "safetensors": _write_safetensors,
    "onnx": _write_onnx,
    "timm": _write_timm,
    "torchvision": _write_torchvision,
    "pycls": _write_pycls,
}


def _write_text(spec: ModelSpec, text: str, names: Names, out: Path, options: ExportOptions) -> _Written:
    """Write a target's file, the names of its modules and, where they were given, the weights under these names."""
    network = _network(spec, options) if options.weights else None
    write_text_atomic(out, text)
    write_json(_names_path(out), names)
    weights = _write_named_weights(network, spec, names, out) if network else []
    return _Written([out, _names_path(out), *weights], names)


def _write_named_weights(network: "nn.Module", spec: ModelSpec, names: Names, out: Path) -> list[Path]:
    path = out.with_suffix(".safetensors")
    write_weights(path, rename(network.state_dict(), names), spec)
    return [path]


def _network(spec: ModelSpec, options: ExportOptions) -> "nn.Module":
    if options.weights is None:
        return fresh_network(spec, seed=options.seed)
    return read_network(spec, options.weights)


def _names_path(out: Path) -> Path:
    return out.with_suffix(".names.json")


def _cost(spec: ModelSpec, features: Sequence[Feature], target: str) -> Cost:
    if not features:
        return count_cost(spec)
    # timm keeps the blocks after the last map
    return backbone_cost(spec, last_stage=len(spec.stages) if target == "timm" else features[-1].stage)


def _feature_names(target: str, features: Sequence[Feature]) -> list[str]:
    if target == "onnx":
        return onnx_outputs(features) if features else []
    return [feature.name for feature in features]


def _default_path(name: str, target: str) -> Path:
    before_end, ends = FILES[target]
    if ends[0] == ".py":
        name = re.sub(r"\W", "_", name)
        name = f"_{name}" if not name.isidentifier() or keyword.iskeyword(name) else name
    return Path(f"{name}{before_end}{ends[0]}")


def _check_path(out: Path, options: ExportOptions) -> None:
    """Refuse a path that the target's file cannot have, or that would take the place of what is read."""
    ends = FILES[options.target][1]
    if out.suffix not in ends:
        raise UsageError(f"--to {options.target} writes a file that ends in {' or '.join(ends)}, got {out}")
    if out.suffix == ".py" and (not out.stem.isidentifier() or keyword.iskeyword(out.stem)):
        raise UsageError(
            f"a Python file must have a name that can be imported, got {out}: give --out my_network.py"
        )
    if out.suffix == ".py" and out.stem in LIBRARIES:
        raise UsageError(f"{out} would stand before the library of that name: give --out another name")
    weights = out.with_suffix(".safetensors")  # beside the file, or the file itself; ONNX holds them
    if options.target in ("onnx", INT8):
        return
    if options.weights is not None and weights.exists() and weights.samefile(options.weights):
        raise UsageError(
            f"{weights} would take the place of the weights that are read: give --out another name"
        )
