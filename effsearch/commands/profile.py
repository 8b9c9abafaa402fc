"""effsearch profile: what a network costs, by three counts."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from effsearch.commands.in_hand import SpecInHand
from effsearch.commands.inputs import read_spec
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost, part_costs
from effsearch.space.latency_table import LatencyTable, to_json
from effsearch.space.spec import ModelSpec

if TYPE_CHECKING:
    from effsearch.commands.watching import Watcher
    from effsearch.proxy_train.latency.target import LatencyTarget

DEFAULT_RESOLUTION = 224
DEFAULT_CLASSES = 1000


def profile_network(
    name: str,
    *,
    resolution: int | None,
    num_classes: int | None,
    targets: Sequence["LatencyTarget"] = (),
) -> dict[str, Any]:
    """Count a preset or spec file at its own or another resolution and number of classes, and time it.

    Args:
        name: Preset, spec file, or run, which stands for its winner or its training's network.
        resolution: Pixels; None: the network's own.
        num_classes: None: the network's own.
        targets: What to time it with.

    Returns:
        JSON values; `fvcore_total` and `torch_flops` are the counts of those libraries.

    Raises:
        SpecError: The name is neither a preset nor a spec file.
        UsageError: A run has no network yet, or a target is not there.
    """
    if isinstance(name, SpecInHand) or not Path(name).is_dir():
        short_name, spec = read_spec(name)
    else:
        from effsearch.commands.exporting.trained import read_trained

        base = read_trained(name, runs_root=Path())
        short_name, spec = base.name, base.spec
    spec = dataclasses.replace(
        spec, resolution=resolution or spec.resolution, num_classes=num_classes or spec.num_classes
    )
    from effsearch.proxy_train.measure import measure_fvcore, measure_torch_flops

    cost = count_cost(spec)
    fvcore = measure_fvcore(spec)
    return {
        "name": short_name,
        "multiply_adds": cost.multiply_adds,
        "params": cost.parameters,
        "activations": cost.activations,
        "resolution": spec.resolution,
        "classes": spec.num_classes,
        "fvcore_total": fvcore.total,
        "fvcore_conv_linear": fvcore.conv_linear,
        "torch_flops": measure_torch_flops(spec),
        "network": network_hash(spec),
        "parts": [
            {
                "part": part,
                "multiply_adds": part_cost.multiply_adds,
                "params": part_cost.parameters,
                "activations": part_cost.activations,
            }
            for part, part_cost in part_costs(spec).items()
        ],
        **({"latency": _latencies(spec, targets)} if targets else {}),
    }


def _latencies(spec: ModelSpec, targets: Sequence["LatencyTarget"]) -> list[dict[str, Any]]:
    from effsearch.proxy_train.latency.measure_blocks import measure_blocks
    from effsearch.proxy_train.latency.target import require_target

    for target in targets:  # before anything is timed
        require_target(target)
    return [dataclasses.asdict(measure_blocks(spec, target)) for target in targets]


def profile_space(
    name: str,
    *,
    resolution: int | None,
    num_classes: int | None,
    target: "LatencyTarget",
    out: Path | None,
    watcher: "Watcher",
) -> dict[str, Any]:
    """Time the blocks of a space on this machine, and write the table that a search can go by.

    Returns:
        JSON values.

    Raises:
        UsageError: There is no such space or target, or the file is none.
        RunError: The file cannot be written; that is found out before anything is timed.
    """
    from effsearch.commands.inputs import read_space
    from effsearch.commands.latency_table import measured_table
    from effsearch.results.atomic import require_writable, write_text_atomic

    space = read_space(name)
    resolution = resolution or space.resolution or DEFAULT_RESOLUTION
    num_classes = num_classes or space.num_classes or DEFAULT_CLASSES
    if out is not None:
        require_writable(out)  # measuring takes minutes
    table = measured_table(space, target, resolution=resolution, num_classes=num_classes, watcher=watcher)
    if out is not None:
        write_text_atomic(out, to_json(table))
    return _table_record(table) | {
        "space": space.name,
        "resolution": resolution,
        "classes": num_classes,
        "out": None if out is None else str(out),
    }


def _table_record(table: LatencyTable) -> dict[str, Any]:
    return {
        "blocks": len(table.nanoseconds),
        "conditions": dataclasses.asdict(table.conditions),
        "networks": table.num_networks,
        "mean_error": table.mean_error,
        "error": table.error,
        "raw_error": table.raw_error,
        "seconds": table.seconds,
        "processor_share": table.processor_share,
        "table": table.fingerprint,
    }
