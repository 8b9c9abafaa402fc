"""Which trials of a search could be stopped after a third of their steps, and would that lose good networks?

Networks are drawn from NAS-Bench-Macro's tuning half inside a budget of 60 M multiply-adds, trained once each and
scored after a third of the steps and at the end. The rule: a trial is stopped whose accuracy after a third lies below
the median of what all trials before it had there, those that were stopped among them; the first five never are.
Optuna's median pruner is stricter: its median is of those alone that went on to their end. What the rule does is
averaged over many orders of the trials.
"""

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from macro_data import BAND_LIMIT, load_cifar, load_table, ordered_keys, spec_of
from proxy_rank import settings_of
from recording import append_record, read_records
from scipy.stats import kendalltau

from effsearch.proxy_train.build import Network, build_model
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.score import normalisation_of, score_on_split
from effsearch.proxy_train.short_training import for_short_training
from effsearch.proxy_train.train import TrainSettings, narrow_classifier, train_model
from effsearch.space.canonical import network_hash
from effsearch.space.outcome import Fidelity, derive_seed
from effsearch.space.proxy import proxy_spec
from effsearch.space.spec import ModelSpec

SHARE = 1 / 3  # of the steps, after which a trial may be stopped
NUM_STARTUP = 5  # trials before the rule begins
NUM_ORDERS = 2_000
TOP = 0.2
QUANTILES = (0.5, 0.25)  # of the trials before, that a trial must reach: the median, and a milder rule
LEAST_TRIALS = 10
NUM_WARM_STEPS = 2  # of an untimed training before each: kernels are loaded, memory is asked for


class OnceMidway:
    """Asked before each step: never stops the training, but scores its network before one of the steps."""

    def __init__(self, score: Callable[[], float], step: int) -> None:
        self._score = score
        self._num_left = step
        self.accuracy = 0.0
        self.core_seconds = 0.0

    def __call__(self) -> bool:
        """False."""
        if self._num_left == 0:
            started = time.process_time()
            self.accuracy = self._score()
            self.core_seconds = time.process_time() - started
        self._num_left -= 1
        return False


def validation_accuracy(model: Network, images: ImageData, resolution: int) -> float:
    """Score a network as a search does, and let its training go on."""
    score = score_on_split(
        model,
        images.val,
        normalisation=normalisation_of(images),
        resolution=resolution,
        max_images=TrainSettings().max_val_images,
    )
    model.train()
    return score.accuracy


def measure_exits(benchmark: str, *, num_networks: int, fidelity: Fidelity) -> None:
    """Train the networks that have no record yet, and append both accuracies of each."""
    images, settings = load_cifar(), TrainSettings()
    size = {
        "images": fidelity.num_images,
        "epochs": fidelity.num_epochs,
        "resolution": fidelity.resolution,
        "settings": str(settings),
    }
    done = {
        record["key"]
        for record in read_records(benchmark)
        if record["what"] == "exit" and _size_of(record) == _size_of(size)
    }
    inside = [key for key in ordered_keys("tuning", "all") if load_table()[key].multiply_adds <= BAND_LIMIT]
    num_steps = fidelity.num_epochs * (fidelity.num_images // settings.batch_size)
    for key in inside[:num_networks]:
        if key in done:
            continue
        spec = proxy_spec(spec_of(key), fidelity, num_classes=images.num_classes)
        seed = derive_seed(0, network_hash(spec), 0)
        train = partial(
            train_model,
            split=images.train,
            settings=settings,
            normalisation=normalisation_of(images),
            resolution=fidelity.resolution,
            seed=seed,
        )
        train(_fresh(spec, seed, settings), num_images=NUM_WARM_STEPS * settings.batch_size, num_epochs=1)
        model = _fresh(spec, seed, settings)
        score = partial(validation_accuracy, model, images, fidelity.resolution)
        midway = OnceMidway(score, round(num_steps * SHARE))
        started = time.process_time()
        train(model, num_images=fidelity.num_images, num_epochs=fidelity.num_epochs, should_stop=midway)
        seconds = time.process_time() - started - midway.core_seconds
        record = {
            "what": "exit",
            "key": key,
            **size,
            "accuracy_midway": midway.accuracy,
            "accuracy": score(),
            "core_seconds": round(seconds, 2),
            "score_core_seconds": round(midway.core_seconds, 2),
        }
        append_record(benchmark, record)
        print(f"{key}: {midway.accuracy:.3f} midway, {record['accuracy']:.3f} at the end", flush=True)


def _fresh(spec: ModelSpec, seed: int, settings: TrainSettings) -> Network:
    model = build_model(for_short_training(spec, settings), seed=seed)
    narrow_classifier(model)
    return model


def is_stopped(midway: Sequence[float], quantile: float) -> list[bool]:
    """Tell of each trial, in their order, whether the rule stops it; all trials before it count, stopped or not."""
    return [
        place >= NUM_STARTUP and accuracy < float(np.quantile(midway[:place], quantile))
        for place, accuracy in enumerate(midway)
    ]


def print_exits(records: Sequence[dict[str, Any]]) -> None:
    """Print what the rules would have done, for each size of training."""
    for size in dict.fromkeys(_size_of(one) for one in records):
        rows = [one for one in records if _size_of(one) == size]
        if len(rows) >= LEAST_TRIALS:
            print(
                f"early exits, {len(rows)} networks, {size[0]:,} images x {size[1]} epochs at {size[2]} px, "
                f"{statistics.fmean(one['core_seconds'] for one in rows):.0f} core-seconds each:"
            )
            _print_rules(rows)


def _print_rules(rows: Sequence[dict[str, Any]]) -> None:
    midway = np.array([one["accuracy_midway"] for one in rows])
    final = np.array([one["accuracy"] for one in rows])
    truth = np.array([load_table()[one["key"]].mean_accuracy for one in rows])
    seconds = np.array([one["core_seconds"] for one in rows])
    print(f"  accuracy midway and at the end: Kendall's tau {kendalltau(midway, final).statistic:+.2f}")
    score_share = sum(one["score_core_seconds"] for one in rows) / seconds.sum()
    tops = {
        "by final accuracy": final >= np.quantile(final, 1 - TOP),
        "by the table's": truth >= np.quantile(truth, 1 - TOP),
    }
    generator = np.random.default_rng(0)
    orders = [generator.permutation(len(rows)) for _ in range(NUM_ORDERS)]
    for quantile in QUANTILES:
        stopped = np.zeros(len(rows))  # how often each network was
        for order in orders:
            stopped[order] += is_stopped(midway[order].tolist(), quantile)
        shares = stopped / NUM_ORDERS
        words = ", ".join(
            f"{shares[is_top].mean():.0%} of the top {TOP:.0%} {name}" for name, is_top in tops.items()
        )
        saved = (shares * seconds).sum() / seconds.sum() * (1 - SHARE) - score_share
        print(
            f"  below the {quantile:.0%} quantile: stops {shares.mean():.0%} of the trials and {words}; the best of "
            f"all in {shares[final.argmax()]:.0%} of the orders; saves {saved:.0%} of the core-seconds, the scoring "
            "paid for"
        )


def _size_of(record: Mapping[str, Any]) -> tuple[Any, ...]:
    return record["images"], record["epochs"], record["resolution"], settings_of(record["settings"])
