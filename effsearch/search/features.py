"""What is known of a network before anything is measured?"""

import numpy as np

from effsearch.search.model.kernel import FloatArray, IntArray
from effsearch.search.problem import Problem
from effsearch.space.screening import count_blocks

FEATURES = ("number of blocks", "log FLOPs", "log params")


def network_features(problem: Problem, points: IntArray) -> FloatArray:
    """Give what is known of networks without training, (num_points, 3), named by `FEATURES`."""
    costs = problem.costs(points)
    columns = [count_blocks(problem.space, points), np.log(costs.multiply_adds), np.log(costs.parameters)]
    return np.stack(columns, axis=1).astype(np.float64)
