"""Which networks stand for a space and its budgets before any is trained?"""

from collections.abc import Sequence

import numpy as np

from effsearch.space.anchors import ANCHOR_PRESETS, Anchor, make_anchor
from effsearch.space.budget import Budget
from effsearch.space.screening import UPPER_SHARE, draw_inside
from effsearch.space.search_space import SearchSpace
from effsearch.space.spec import ModelSpec

NUM_TIMED_NETWORKS = 2  # beside the anchors, to predict the time of a training


def draw_examples(
    space: SearchSpace, budgets: Sequence[Budget], resolution: int, num_classes: int
) -> list[ModelSpec]:
    """Draw a few networks from each upper budget; raises where nothing fits."""
    specs = []
    for budget in budgets:
        points = draw_inside(
            space,
            budget,
            NUM_TIMED_NETWORKS,
            resolution=resolution,
            num_classes=num_classes,
            rng=np.random.default_rng(0),
            least_share=UPPER_SHARE,
        )
        specs += [
            space.spec_at(point, resolution=resolution, num_classes=num_classes) for point in points.tolist()
        ]
    return specs


def fitting_anchors(budgets: Sequence[Budget], resolution: int, num_classes: int) -> tuple[Anchor, ...]:
    """Give the known networks that each budget holds, shrunk where they do not fit, each once."""
    found = [
        make_anchor(preset, budget, resolution=resolution, num_classes=num_classes)
        for budget in reversed(budgets)
        for preset in ANCHOR_PRESETS
    ]
    return tuple({anchor.name: anchor for anchor in found if anchor is not None}.values())
