import dataclasses
from collections.abc import Callable

import numpy as np
import pytest

from effsearch.space.presets import load_preset
from effsearch.space.scaling import scale_width
from effsearch.space.spec import ModelSpec

RandomSpec = Callable[[np.random.Generator], ModelSpec]


@pytest.fixture(scope="session")
def b0() -> ModelSpec:
    return load_preset("efficientnet-b0")


@pytest.fixture(scope="session")
def draw_spec(random_spec: RandomSpec) -> Callable[[int], ModelSpec]:
    """A random network for each seed, its channels multiples of eight, with decimals that are hard to write."""

    def draw(seed: int) -> ModelSpec:
        rng = np.random.default_rng(seed)
        spec = scale_width(random_spec(rng), 8.0)
        stage = spec.stages[0]
        block = dataclasses.replace(stage.blocks[0], expand_ratio=float(rng.uniform(0.5, 6)), se_ratio=1 / 3)
        return dataclasses.replace(
            spec,
            stages=(dataclasses.replace(stage, blocks=(block, *stage.blocks)), *spec.stages[1:]),
            drop_path_rate=0.1 + 0.2,
            norm_momentum=float(rng.choice([0.01, 0.1])),
            norm_epsilon=float(rng.choice([1e-3, 1e-5])),
        )

    return draw
