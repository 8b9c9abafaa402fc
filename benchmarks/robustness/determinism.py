"""Does the same seed give the same search, and does one that was interrupted give that of one that was not?

    python benchmarks/robustness/determinism.py [--same 10] [--resumed 20] [--trainings 10]

Searches by formula with our own model and one worker: the trials of one seed, again and again, and of searches that
were killed at a random moment, perhaps more than once, and resumed. Then real trainings on one thread: a network of
the space with one seed, again and again, and with its lower rung's weights from a checkpoint; the SHA-256 of all
weights. Appends to benchmarks/results/robustness.jsonl.
"""

import hashlib
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import trial_search
from asking import parser_for
from trial_search import Formula, fork_search, scratch

NAME = "robustness"
NUM_TRIALS = 12


def trials_of(run: Path) -> list[tuple[Any, ...]]:
    """Give all that a search decided, in its order."""
    from effsearch.results.ledger import read_entries

    return [
        (one.kind, one.name, one.network_hash, str(one.fidelity), one.seed, one.val_accuracy, one.failure)
        for one in read_entries(run / "ledger.jsonl")
    ]


def one_search(run: Path, rng: random.Random | None, span: float = 0.0) -> int:
    """Search to the end, killed on the way up to three times within a span of seconds; give the number of kills."""
    options = {
        "num_trials": NUM_TRIALS,
        "num_workers": 1,
        "num_rungs": 2,
        "sampler": "thompson",
        "formula": Formula(seconds=0.01, faults=0.1),
    }
    num_kills = 0
    while True:
        process = fork_search(run, **options)
        if rng is not None and num_kills < 3 and rng.random() < (1.0 if not num_kills else 0.5):
            time.sleep(rng.uniform(0.1, span))
            os.kill(process, rng.choice((signal.SIGKILL, signal.SIGTERM, signal.SIGINT)))
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        if code == 0 and rng is not None and not num_kills:  # it was faster: once more, and sooner
            shutil.rmtree(run)
            span /= 1.5
        elif code == 0:
            return num_kills
        else:
            num_kills += 1


def weights_of_training(cache: Path, checkpoint: bytes | None, *, is_top: bool) -> tuple[str, bytes]:
    """Train a small network as a worker does, and give the SHA-256 of its weights, and these."""
    from effsearch.proxy_train.data.datasets import load_images
    from effsearch.proxy_train.evaluator import ProxyEvaluator
    from effsearch.proxy_train.train import TrainSettings
    from effsearch.proxy_train.worker import prepare_worker

    prepare_worker()
    images = load_images("synthetic", resolution=16, cache_dir=cache)
    problem = trial_search.make_problem(2)
    import dataclasses

    low = dataclasses.replace(problem.rungs[0], num_images=256, num_epochs=1, resolution=16)
    top = dataclasses.replace(problem.rungs[1], num_images=256, num_epochs=1, resolution=16, continues=low)
    spec = problem.space.spec_at(
        (0,) * len(problem.space.dimensions), resolution=16, num_classes=images.num_classes
    )
    evaluate = ProxyEvaluator(
        handle=images.handle, settings=TrainSettings(), device="cpu", precision="float32"
    )
    result = evaluate.with_weights(checkpoint, keeps_weights=True)(spec, top if is_top else low, 3)
    assert result.weights is not None
    return hashlib.sha256(result.weights).hexdigest(), result.weights


def main() -> None:
    """Try, print, and append."""
    from recording import append_record

    options = parser_for(__doc__, same=10, resumed=20, trainings=10).parse_args()
    trial_search.load()
    rng = random.Random(options.seed)
    started = time.time()
    with scratch("determinism") as folder:
        one_search(folder / "first", None)
        span = time.time() - started
        first = trials_of(folder / "first")
        same = 0
        for index in range(options.same):
            one_search(folder / f"same{index}", None)
            same += trials_of(folder / f"same{index}") == first
            print(f"same: {same} of {index + 1}", flush=True)
        equal, num_kills = 0, 0
        for index in range(options.resumed):
            num_kills += one_search(folder / f"resumed{index}", rng, span)
            equal += trials_of(folder / f"resumed{index}") == first
            print(f"resumed: {equal} of {index + 1}, {num_kills} kills", flush=True)
        hashes: list[str] = []
        continued: list[str] = []
        if options.trainings:
            from effsearch.proxy_train.data.cache import default_cache_dir

            cache = default_cache_dir()
            for index in range(options.trainings):
                low, weights = weights_of_training(cache, None, is_top=False)
                hashes.append(low)
                continued.append(weights_of_training(cache, weights if index % 2 else None, is_top=True)[0])
                print(f"weights: {len(set(hashes))} and {len(set(continued))} kinds", flush=True)
    record = {
        "what": "determinism",
        "seed": options.seed,
        "trainings_of_a_search": len(first),
        "same_seed": f"{same} of {options.same}",
        "resumed_equals_uninterrupted": f"{equal} of {options.resumed}",
        "interruptions": num_kills,
        "trainings": options.trainings,
        "kinds_of_weights": len(set(hashes)),
        "kinds_of_continued_weights": len(set(continued)),
        "seconds": round(time.time() - started),
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(record)
    if not options.no_record:
        append_record(NAME, record)
    is_right = same == options.same and equal == options.resumed
    raise SystemExit(not is_right or len(set(hashes)) > 1 or len(set(continued)) > 1)


if __name__ == "__main__":
    main()
