"""How fast are 100,000 random candidates of the mbconv space drawn and costed, beside fvcore's time for one?"""

import statistics
import time

import numpy as np
from recording import append_record

from effsearch.proxy_train.measure import measure_fvcore
from effsearch.space.cost import count_cost
from effsearch.space.screening import sample_points, screen
from effsearch.space.shipped_spaces import load_shipped_space

NUM_CANDIDATES = 100_000
SEEDS = (0, 1, 2, 3, 4)


def main() -> None:
    """Measure, print and append."""
    draw_seconds, fvcore_seconds = [], []
    for seed in SEEDS:
        started = time.perf_counter()
        space = load_shipped_space("mbconv")
        points = sample_points(space, NUM_CANDIDATES, rng=np.random.default_rng(seed))
        costs = screen(space, points, resolution=224, num_classes=1000)
        draw_seconds.append(time.perf_counter() - started)
        spec = space.spec_at(points[0], resolution=224, num_classes=1000)
        assert count_cost(spec) == costs.at(0)
        started = time.perf_counter()
        counted = measure_fvcore(spec)
        fvcore_seconds.append(time.perf_counter() - started)
        assert counted.conv_linear == costs.at(0).multiply_adds
    each = statistics.median(draw_seconds) / NUM_CANDIDATES
    ratio = statistics.median(fvcore_seconds) / each
    print(
        f"{NUM_CANDIDATES:,} candidates drawn and costed: median {statistics.median(draw_seconds):.2f} s "
        f"({min(draw_seconds):.2f} to {max(draw_seconds):.2f}, {len(SEEDS)} seeds)"
    )
    print(
        f"fvcore, one network: median {statistics.median(fvcore_seconds):.2f} s "
        f"({min(fvcore_seconds):.2f} to {max(fvcore_seconds):.2f})"
    )
    print(f"one candidate takes {each * 1e6:.1f} us, {ratio:,.0f} times less than fvcore")
    append_record(
        "screening",
        {
            "candidates": NUM_CANDIDATES,
            "seeds": SEEDS,
            "draw_seconds": draw_seconds,
            "fvcore_seconds": fvcore_seconds,
            "ratio": ratio,
        },
    )


if __name__ == "__main__":
    main()
