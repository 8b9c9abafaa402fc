"""effsearch spaces, effsearch presets: what comes with effsearch."""

import dataclasses
from typing import Any

from effsearch.space.cost import count_cost
from effsearch.space.presets import load_preset, preset_names
from effsearch.space.shipped_spaces import load_shipped_space, shipped_space_names


def describe_spaces() -> list[dict[str, Any]]:
    """Give each shipped space with its size and dimensions."""
    rows = []
    for name in shipped_space_names():
        space = load_shipped_space(name)
        rows.append(
            {
                "name": name,
                "size": space.size,
                "stages": len(space.stages),
                "resolution": space.resolution,
                "dimensions": {dimension.name: list(dimension.labels) for dimension in space.dimensions},
            }
        )
    return rows


def describe_presets() -> list[dict[str, Any]]:
    """Give each preset with its cost."""
    rows = []
    for name in preset_names():
        spec = load_preset(name)
        cost = dataclasses.asdict(count_cost(spec))
        rows.append(
            {
                "name": name,
                "resolution": spec.resolution,
                "multiply_adds": cost["multiply_adds"],
                "params": cost["parameters"],
                "activations": cost["activations"],
            }
        )
    return rows
