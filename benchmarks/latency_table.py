"""How well do blocks' times add up to a network's, and by which way of adding?

    python benchmarks/latency_table.py measure                    # what is not in the results yet; five minutes
    python benchmarks/latency_table.py table

For `mbconv` at 224 pixels (networks from 100 to 600 M) and for nas-bench-macro, on torch and on onnxruntime, one
thread: times the blocks of the space and some of its networks as `baseline --max-latency` does, then 30 random ones
that nothing was fitted to, whole. Each way of adding up predicts these; FLOPs and activations are rivals in order.
Records of results/latency_table.jsonl hold Kendall's tau with its interval over networks drawn again and the mean
absolute error, and the figures of each network. Run it on a quiet machine: `processor_share` says how quiet it was.
"""

import argparse
import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from recording import append_record, read_records
from scipy.stats import kendalltau

from effsearch.commands.inputs import read_space
from effsearch.proxy_train.latency.correction import fit_shares
from effsearch.proxy_train.latency.measure import processor_share, time_network
from effsearch.proxy_train.latency.measure_table import calibration_networks, table_blocks, time_all
from effsearch.proxy_train.latency.passes import make_pass, threads_of
from effsearch.proxy_train.latency.target import LatencyTarget, Runtime, require_target
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.latency_table import Block, block_signature, network_blocks
from effsearch.space.screening import sample_points, screen
from effsearch.space.search_space import SearchSpace
from effsearch.space.spec import ModelSpec

NAME = "latency_table"
FloatArray = NDArray[np.float64]

BANDS = {"mbconv": (100e6, 600e6), "nas-bench-macro": (0, 1e12)}
RUNTIMES: tuple[Runtime, ...] = ("torch", "onnxruntime")
NUM_CLASSES = 10
NUM_TEST = 30
GROUP = 48  # blocks that take turns, so that each finds the cache full of others
NUM_TURNS = 12
NUM_RESAMPLED = 2_000


def random_networks(space: SearchSpace, *, seed: int) -> list[ModelSpec]:
    """Give distinct random networks of a space inside its band."""
    resolution = space.resolution or 224
    points = sample_points(space, 5_000, rng=np.random.default_rng(seed))
    costs = screen(space, points, resolution=resolution, num_classes=NUM_CLASSES).multiply_adds
    least, most = BANDS[space.name]
    inside = points[(costs >= least) & (costs <= most)].tolist()
    specs = [space.spec_at(point, resolution=resolution, num_classes=NUM_CLASSES) for point in inside]
    return list({network_hash(spec): spec for spec in specs}.values())[:NUM_TEST]


def time_in_turns(blocks: Mapping[str, Block], target: LatencyTarget) -> dict[str, float]:
    """Give the median nanoseconds of blocks that take turns, so that their weights have left the cache."""
    names = list(blocks)
    found = {}
    with threads_of(target):
        for start in range(0, len(names), GROUP):
            group = {name: make_pass([blocks[name]], target) for name in names[start : start + GROUP]}
            taken: dict[str, list[float]] = {name: [] for name in group}
            for _ in range(NUM_TURNS):
                for name, run in group.items():
                    taken[name].append(run())
            found |= {name: 1e9 * float(np.median(times[2:])) for name, times in taken.items()}
    return found


def work_of(block: Block) -> list[float]:
    """Give what a block's time might be regressed on without ever timing it."""
    work = [1.0] + [0.0] * 7
    for layer in block:
        num_values = float(layer.out_channels * layer.out_size**2)
        if layer.kind == "conv":
            products = num_values * layer.kernel_size**2 * layer.in_channels / layer.groups
            kind = 1 if layer.groups > 1 else 3 if layer.kernel_size == 1 else 5
            if layer.branch == "gate":
                work[7] += 1
            else:
                work[kind] += products
                work[kind + 1] += num_values
    return work


def ends_of(block: Block) -> float:
    """Give the number of values that a block takes and gives."""
    first, last = block[0], block[-1]
    return float(first.in_channels * first.in_size**2 + last.out_channels * last.out_size**2)


def predictions(
    fitted: Sequence[ModelSpec],
    measured: FloatArray,
    test: Sequence[ModelSpec],
    alone: Mapping[str, float],
    in_turns: Mapping[str, float],
) -> dict[str, FloatArray]:
    """Give for each way of adding up what it predicts of the test networks, in nanoseconds."""

    def rows(specs: Sequence[ModelSpec], features: Callable[[str, Block], Sequence[float]]) -> FloatArray:
        return np.array(
            [
                np.sum([features(block_signature(block), block) for _, block in network_blocks(one)], axis=0)
                for one in specs
            ]
        )

    def fit(features: Callable[[str, Block], Sequence[float]], *, offset: bool = False) -> FloatArray:
        some, others = rows(fitted, features), rows(test, features)
        if offset:
            some, others = (np.c_[one, np.ones(len(one))] for one in (some, others))
        return others @ fit_shares(some, measured)

    found = {}
    for way, times in (("alone", alone), ("in turns", in_turns)):
        found |= {
            way: rows(test, lambda name, _, times=times: [times[name]])[:, 0],
            f"{way}, factor": fit(lambda name, _, times=times: [times[name]]),
            f"{way}, factor and offset": fit(lambda name, _, times=times: [times[name]], offset=True),
            f"{way}, factor and per block": fit(lambda name, _, times=times: [times[name], 1.0]),
            f"{way}, factor, per block and per value at its ends": fit(
                lambda name, block, times=times: [times[name], 1.0, ends_of(block)]
            ),
        }
    return found | {"least squares over work, no block timed": fit(lambda _, block: work_of(block))}


def interval(predicted: FloatArray, measured: FloatArray) -> list[float]:
    """Give the 95 per cent interval of tau over networks drawn again."""
    rng = np.random.default_rng(0)
    drawn = [rng.integers(len(measured), size=len(measured)) for _ in range(NUM_RESAMPLED)]
    taus = [kendalltau(predicted[index], measured[index])[0] for index in drawn]
    return [round(float(one), 3) for one in np.nanquantile(taus, [0.025, 0.975])]


def judge(predicted: FloatArray, measured: FloatArray, *, is_time: bool) -> dict[str, object]:
    """Give tau, and of times the errors."""
    found: dict[str, object] = {
        "tau": round(float(kendalltau(predicted, measured)[0]), 3),
        "tau_interval": interval(predicted, measured),
    }
    if is_time:
        errors = predicted / measured - 1
        found |= {
            "mean_error": round(float(np.abs(errors).mean()), 4),
            "bias": round(float(errors.mean()), 4),
            "largest_error": round(float(np.abs(errors).max()), 4),
        }
    return found


def measure(space_name: str, runtime: Runtime, seed: int) -> None:
    """Time, predict, judge and append."""
    space = read_space(space_name)
    resolution = space.resolution or 224
    target = LatencyTarget(runtime=runtime)
    conditions = require_target(target)
    started, working = time.monotonic(), time.process_time()
    blocks = table_blocks(space, resolution=resolution, num_classes=NUM_CLASSES)
    fitted = calibration_networks(space, resolution=resolution, num_classes=NUM_CLASSES)
    wholes = {network_hash(spec): [block for _, block in network_blocks(spec)] for spec in fitted}
    found = time_all({name: [block] for name, block in blocks.items()}, wholes, target)
    table_seconds = time.monotonic() - started
    test = random_networks(space, seed=seed)
    needed = {block_signature(block): block for spec in [*fitted, *test] for _, block in network_blocks(spec)}
    in_turns = time_in_turns(needed, target)
    first = np.array([time_network(spec, target).nanoseconds for spec in test], dtype=np.float64)
    second = np.array([time_network(spec, target).nanoseconds for spec in test], dtype=np.float64)
    measured = np.minimum(first, second)
    costs = [count_cost(spec) for spec in test]
    rivals = {
        "FLOPs": np.array([cost.multiply_adds for cost in costs], dtype=np.float64),
        "activations": np.array([cost.activations for cost in costs], dtype=np.float64),
    }
    of_fitted = np.array([found[name] for name in wholes], dtype=np.float64)
    ways = predictions(fitted, of_fitted, test, found, in_turns)
    append_record(
        NAME,
        {
            "space": space_name,
            "runtime": runtime,
            "seed": seed,
            "conditions": str(conditions),
            "num_blocks": len(blocks),
            "num_fitted": len(fitted),
            "table_seconds": round(table_seconds, 1),
            "processor_share": processor_share(time.process_time() - working, time.monotonic() - started),
            "measured_twice_differs": round(float(np.abs(first / second - 1).mean()), 4),
            "ways": {name: judge(values, measured, is_time=True) for name, values in ways.items()},
            "rivals": {name: judge(values, measured, is_time=False) for name, values in rivals.items()},
            "measured_nanoseconds": measured.astype(int).tolist(),
            "predicted_nanoseconds": {
                name: np.round(values).astype(int).tolist() for name, values in ways.items()
            },
            "multiply_adds": [cost.multiply_adds for cost in costs],
            "activations": [cost.activations for cost in costs],
        },
    )


def print_records() -> None:
    """Print each record's ways and rivals."""
    for record in read_records(NAME):
        times = np.array(record["measured_nanoseconds"]) / 1e6
        print(
            f"{record['space']}, {record['conditions']}, seed {record['seed']}: {len(times)} networks of "
            f"{times.min():.2f} to {times.max():.2f} ms; {record['num_blocks']} blocks in "
            f"{record['table_seconds']:.0f} s; measured twice they differ by {record['measured_twice_differs']:.1%}; "
            f"processor {record['processor_share']:.0%}"
        )
        for name, one in (record["ways"] | record["rivals"]).items():
            low, high = one["tau_interval"]
            errors = (
                f"  error {one['mean_error']:6.1%}  bias {one['bias']:+6.1%}  most {one['largest_error']:5.1%}"
                if "mean_error" in one
                else ""
            )
            print(f"  {name:55} tau {one['tau']:.2f} ({low:.2f} to {high:.2f}){errors}")


def main() -> None:
    """Read what is asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["measure", "table"])
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    if options.what == "measure":
        done = {(one["space"], one["runtime"], one["seed"]) for one in read_records(NAME)}
        for space in reversed(BANDS):
            for runtime in RUNTIMES:
                if (space, runtime, options.seed) not in done:
                    measure(space, runtime, options.seed)
    print_records()


if __name__ == "__main__":
    main()
