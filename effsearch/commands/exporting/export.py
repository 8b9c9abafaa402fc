"""effsearch export: a network as source, weights or configuration for other programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from effsearch import __version__
from effsearch.commands.exporting.known import known_of
from effsearch.commands.exporting.paths import INT8, card_path, check_path, default_path
from effsearch.commands.exporting.trained import intact_weights, read_trained
from effsearch.commands.exporting.writers import Job, write_export
from effsearch.commands.watching import Watcher
from effsearch.results.atomic import require_writable, sha256_of
from effsearch.results.export.features import Feature, backbone_cost, find_features
from effsearch.results.export.onnx_model import onnx_outputs, require_onnx
from effsearch.results.json_files import write_json
from effsearch.space.canonical import network_hash
from effsearch.space.cost import Cost, count_cost
from effsearch.space.errors import UsageError
from effsearch.space.spec import ModelSpec

WITH_FEATURES = ("torch", "timm", "onnx")
# What the card beside an export has of the report; the rest is of this machine, or of how it was tried.
ON_CARD = (
    *("name", "target", "network", "params", "multiply_adds", "resolution", "classes", "features"),
    *("preprocessing", "unknown", "accuracy", "quantised"),
)


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
    """Write a network for another program, and beside it a card that says what it is.

    Args:
        options: What the user says.
        watcher: Is shown what takes time: images that are decoded, and quantisation.

    Returns:
        JSON values: the files with their SHA-256, the names of the modules there, what becomes of an image before,
        and by how much its outputs differ from effsearch's own where that was tried.

    Raises:
        UsageError: The target cannot express the network, or an option does not fit.
        RunError: A file cannot be written, or what was exported gives other outputs.
    """
    if options.target in ("onnx", INT8):
        require_onnx(options.target)
    if options.has_features and options.target not in WITH_FEATURES:
        raise UsageError(f"--features goes with --to {', '.join(WITH_FEATURES)}, not with {options.target}")
    base = read_trained(options.network, runs_root=options.runs_root)
    weights = options.weights or intact_weights(base)
    features = find_features(base.spec) if options.has_features else ()
    out = options.out or default_path(base.name, options.target)
    check_path(out, options.target, weights=weights)
    require_writable(out)
    known = known_of(base, weights)
    written = write_export(
        Job(
            base=base,
            target=options.target,
            out=out,
            features=features,
            weights=weights,
            seed=options.seed,
            known=known,
            data=options.data,
            num_calibration_images=options.num_calibration_images,
        ),
        watcher,
    )
    known, weights = written.known or known, written.weights or weights
    cost = _cost(base.spec, features, options.target)
    is_drawn = weights is None and options.target in ("safetensors", "onnx")
    report = {
        "name": base.name,
        "target": options.target,
        "network": network_hash(base.spec),
        "params": cost.parameters,
        "multiply_adds": cost.multiply_adds,
        "resolution": base.spec.resolution,
        "classes": base.spec.num_classes,
        "weights": str(weights) if weights else None,
        "seed": options.seed if is_drawn else None,
        "preprocessing": None if known.preprocessing is None else known.preprocessing.to_values(),
        "unknown": known.unknown,
        "accuracy": dict(known.accuracy),
        "max_difference": written.difference,
        "rounding": written.rounding or None,
        "quantised": written.quantised,
        "features": [
            {"name": name, "stride": feature.stride, "channels": feature.channels}
            for name, feature in zip(_feature_names(options.target, features), features, strict=True)
        ],
    }
    card = {"effsearch": __version__} | {name: report[name] for name in ON_CARD}
    card["files"] = [_file_row(path) | {"path": path.name} for path in written.files]
    write_json(card_path(out), card)
    files = [_file_row(path) for path in (*written.files, card_path(out))]
    return report | {"files": files, "names": written.names}


def _file_row(path: Path) -> dict[str, Any]:
    return {"path": str(path), "bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _cost(spec: ModelSpec, features: Sequence[Feature], target: str) -> Cost:
    if not features:
        return count_cost(spec)
    # timm keeps the blocks after the last map
    return backbone_cost(spec, last_stage=len(spec.stages) if target == "timm" else features[-1].stage)


def _feature_names(target: str, features: Sequence[Feature]) -> list[str]:
    if target == "onnx":
        return onnx_outputs(features) if features else []
    return [feature.name for feature in features]
