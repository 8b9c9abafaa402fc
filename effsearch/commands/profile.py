"""effsearch profile: what a network costs, by three counts."""

import dataclasses
from typing import Any

from effsearch.commands.inputs import read_spec
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost, part_costs


def profile_network(name: str, *, resolution: int | None, num_classes: int | None) -> dict[str, Any]:
    """Count a preset or spec file at its own or another resolution and number of classes.

    Returns:
        JSON values; `fvcore_total` and `torch_flops` are the counts of those libraries.

    Raises:
        SpecError: The name is neither a preset nor a spec file.
    """
    short_name, spec = read_spec(name)
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
    }
