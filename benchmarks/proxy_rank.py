"""What does a cheap proxy tell about the true ranking of networks, and for how many core-seconds?

Kendall's tau with the true mean accuracy of NAS-Bench-Macro networks; `macro_data` says which networks, and which of
them settings may be chosen on. Scoring goes on where it stopped.

    python benchmarks/proxy_rank.py score naswot        # all distinct networks, into results/naswot.jsonl
    python benchmarks/proxy_rank.py score train-16px    # 40 networks of `all` and of `band`; also --split tuning
    python benchmarks/proxy_rank.py table               # prints docs/proxy_rank.md and writes it
    python benchmarks/proxy_rank.py plot                # docs/images/proxy_rank.png
"""

import argparse
import ast
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jobs import TimedEvaluator
from macro_data import load_cifar, load_table, sample_keys, spec_of
from proxy_table import NAME, NUM_CHEAP, POPULATIONS, SPLITS, draw, format_page, read_methods
from recording import RESULTS, append_record, read_records

from effsearch.commands.pools import prepare_local_worker
from effsearch.proxy_train.augment import AugmentSettings
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.evaluator import ProxyEvaluator
from effsearch.proxy_train.supernet_train import SupernetSettings
from effsearch.proxy_train.train import TrainSettings
from effsearch.proxy_train.worker import prepare_worker
from effsearch.proxy_train.zero_cost import ZERO_COST, zero_cost_scores
from effsearch.results.plots.save import save_figure
from effsearch.search.placement.executor import drive
from effsearch.search.placement.local_pool import ProcessPool
from effsearch.search.placement.pool_executor import PoolExecutor
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.outcome import Evaluation, Fidelity, Job, TrainingFailed, derive_seed
from effsearch.space.supernet_work import SupernetPlan

DOCS = Path(__file__).parent.parent / "docs"

NUM_TRAINED = 40  # networks of each population where a score trains
ZERO_COST_RESOLUTION = 16
ZERO_COST_SEED = 0
NASWOT_BATCH = 200  # networks between two notes of the time they took

# All but the last at about one price: a core-minute for a network.
TRAININGS: Mapping[str, Fidelity] = {
    "train-16px": Fidelity(num_images=10_000, num_epochs=4, resolution=16),
    "train-16px-few-images": Fidelity(num_images=2_500, num_epochs=16, resolution=16),
    "train-16px-many-images": Fidelity(num_images=40_000, num_epochs=1, resolution=16),
    "train-16px-half-width": Fidelity(num_images=30_000, num_epochs=4, resolution=16, width=0.5),
    "train-24px": Fidelity(num_images=9_000, num_epochs=2, resolution=24),
    "train-32px": Fidelity(num_images=10_000, num_epochs=1, resolution=32),
    "train-32px-half-width": Fidelity(num_images=10_000, num_epochs=3, resolution=32, width=0.5),
    "train-16px-short": Fidelity(num_images=10_000, num_epochs=1, resolution=16),
}

# Settings that stand in records as their texts.
RECORDED_CLASSES: Mapping[str, type] = {
    one.__name__: one for one in (AugmentSettings, Fidelity, SupernetPlan, SupernetSettings, TrainSettings)
}


# ---- scoring ----


def score_method(method: str, keys: Sequence[str], *, num_workers: int) -> None:
    """Score the networks that have no record of a method yet, and append a record of each."""
    if method in TRAININGS:
        score_by_training(method, keys, num_workers=num_workers)
    elif method in ZERO_COST:
        prepare_worker()
        images = load_cifar()
        begin(method, zero_cost_settings(images))
        for key in unscored(method, keys):
            started = time.process_time()
            score = zero_cost_score(method, key, images)
            append_line(NAME, record_of(method, key, score, time.process_time() - started))
    else:
        raise SystemExit(f"METHOD must be one of {', '.join((*ZERO_COST, *TRAININGS))}, got {method!r}")


def score_naswot() -> None:
    """Measure NASWOT of all distinct networks, the held-out samples first; its file is of its own."""
    prepare_worker()
    images = load_cifar()
    records = read_records("naswot")
    settings = {"method": "naswot"} | zero_cost_settings(images)
    if not records:
        append_record("naswot", settings)
    elif any(records[0].get(name) != value for name, value in settings.items()):
        raise SystemExit(
            f"results/naswot.jsonl was measured with other settings than {settings}; move it away"
        )
    done = {record["key"] for record in records if "key" in record}
    samples = [sample_keys("held_out", population, NUM_CHEAP) for population in POPULATIONS]
    keys = dict.fromkeys(key for sample in (*samples, load_table()) for key in sample)
    waiting = [key for key in keys if key not in done]
    for first in range(0, len(waiting), NASWOT_BATCH):
        batch = waiting[first : first + NASWOT_BATCH]
        started = time.process_time()
        for key in batch:
            score = zero_cost_score("naswot", key, images)
            append_line("naswot", {"key": key, "naswot": None if score is None else round(score, 4)})
        core_seconds = round(time.process_time() - started, 1)
        append_record("naswot", {"networks": len(batch), "core_seconds": core_seconds})


def zero_cost_score(method: str, key: str, images: ImageData) -> float | None:
    """Give a zero-cost score of a network, None where it has none."""
    try:
        return zero_cost_scores(
            spec_of(key), images, names=(method,), resolution=ZERO_COST_RESOLUTION, seed=ZERO_COST_SEED
        )[method]
    except TrainingFailed:
        return None


def zero_cost_settings(images: ImageData) -> dict[str, Any]:
    """Give what zero-cost scores depend on beside network and name."""
    return {
        "resolution": ZERO_COST_RESOLUTION,
        "num_images": 64,
        "seed": ZERO_COST_SEED,
        "data": images.fingerprint,
    }


def score_by_training(method: str, keys: Sequence[str], *, num_workers: int) -> None:
    """Train each network by itself; the score is the negative cross-entropy on validation images."""
    images = load_cifar()
    settings = TrainSettings()
    begin(method, {"fidelity": TRAININGS[method], "settings": settings, "data": images.fingerprint})
    waiting = iter(unscored(method, keys))

    def propose() -> Job | None:
        key = next(waiting, None)
        if key is None:
            return None
        spec = spec_of(key)
        network = network_hash(spec)
        return Job(
            kind="final",
            name=key,
            spec=spec,
            network=network,
            cost=count_cost(spec),
            fidelity=TRAININGS[method],
            seed=derive_seed(0, network, 0),
        )

    def take(evaluation: Evaluation) -> None:
        key, result = evaluation.job.name, evaluation.result
        if result is None:
            append_line(
                NAME, record_of(method, key, None, evaluation.seconds) | {"failure": evaluation.failure}
            )
            return
        record = record_of(method, key, -result.val_loss, result.train_seconds)
        append_line(NAME, record | {"accuracy": round(result.val_accuracy, 4)})
        print(
            f"{method} {key}: {result.val_accuracy:.3f}, {result.train_seconds:.0f} core-seconds", flush=True
        )

    evaluator = TimedEvaluator(ProxyEvaluator(handle=images.handle, settings=settings))
    start_pool = partial(ProcessPool, num_workers=num_workers, prepare=prepare_local_worker)
    executor = PoolExecutor(evaluator, start_pool)
    try:
        drive(executor, propose=propose, take=take)
    finally:
        executor.close()


# ---- records ----


def begin(method: str, settings: Mapping[str, Any]) -> None:
    """Append a method's settings with machine and versions; stop where it was scored with others before.

    Args:
        method: The method.
        settings: By name; dataclasses of `RECORDED_CLASSES` as they are, other JSON values likewise.
    """
    headers = [record for record in read_records(NAME) if record.get("header") == method]
    if headers and not is_same(headers[-1]["settings"], settings):
        raise SystemExit(f"{method} was scored with other settings: {headers[-1]['settings']}")
    if not headers:
        texts = {name: str(value) if is_dataclass(value) else value for name, value in settings.items()}
        append_record(NAME, {"header": method, "settings": texts})


def is_same(recorded: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    """Tell whether recorded settings mean the same today; the texts of dataclasses may lack what came later."""
    return recorded.keys() == settings.keys() and all(
        value == (settings_of(recorded[name]) if is_dataclass(value) else recorded[name])
        for name, value in settings.items()
    )


def settings_of(text: str) -> Any:
    """Give the settings whose text stands in a record, fields that came later at their defaults.

    What holds fields that are no more equals nothing of today: it is given as None.
    """

    def value_of(node: ast.expr) -> Any:  # of whatever type the field is
        if not isinstance(node, ast.Call):
            return ast.literal_eval(node)
        assert isinstance(node.func, ast.Name), text
        fields = {str(one.arg): value_of(one.value) for one in node.keywords}
        return RECORDED_CLASSES[node.func.id](**fields)

    try:
        return value_of(ast.parse(text, mode="eval").body)
    except TypeError:
        return None


def unscored(method: str, keys: Iterable[str]) -> list[str]:
    """Give the networks without a record of a method."""
    done = {record["key"] for record in read_records(NAME) if record.get("method") == method}
    return [key for key in dict.fromkeys(keys) if key not in done]


def record_of(method: str, key: str, score: float | None, core_seconds: float) -> dict[str, Any]:
    """Give the record of one network under a method whose cost is all its own."""
    return {
        "method": method,
        "split": load_table()[key].split,
        "key": key,
        "score": None if score is None else round(score, 6),
        "core_seconds": round(core_seconds, 4),
        "once_core_seconds": 0,
    }


def append_line(name: str, record: Mapping[str, Any]) -> None:
    """Append a record without machine and versions: those stand in the header."""
    with (RESULTS / f"{name}.jsonl").open("a") as file:
        file.write(json.dumps(record, separators=(",", ":")) + "\n")


def main() -> None:
    """Score, print or draw."""
    parser = argparse.ArgumentParser(description="How well cheap proxies rank NAS-Bench-Macro networks.")
    commands = parser.add_subparsers(dest="command", required=True)
    score = commands.add_parser("score", help="score networks; goes on where it stopped")
    score.add_argument(
        "methods", metavar="METHOD", nargs="+", help="naswot or one that is named in a refusal"
    )
    score.add_argument("--split", choices=SPLITS, default="held_out")
    score.add_argument("--population", choices=POPULATIONS, action="append")
    score.add_argument("--networks", type=int, help="of each population; by default 200, 40 where they train")
    score.add_argument("--workers", type=int, default=1)
    commands.add_parser("table", help="write docs/proxy_rank.md")
    commands.add_parser("plot", help="write docs/images/proxy_rank.png")
    options = parser.parse_args()
    if options.command == "table":
        page = format_page(read_methods())
        print(page)
        (DOCS / f"{NAME}.md").write_text(page)
    elif options.command == "plot":
        save_figure(draw(read_methods()), DOCS / "images" / f"{NAME}.png")
    else:
        for method in options.methods:
            if method == "naswot":
                score_naswot()
                continue
            trains = method in TRAININGS
            populations = options.population or (("all", "band") if trains else POPULATIONS)
            num_networks = options.networks or (NUM_TRAINED if trains else NUM_CHEAP)
            samples = [sample_keys(options.split, population, num_networks) for population in populations]
            keys = [key for sample in samples for key in sample]
            score_method(method, keys, num_workers=options.workers)


if __name__ == "__main__":
    main()
