"""Can candidates of one base share weights, and is their ranking then worth what separate trainings cost?

    python benchmarks/coefficient_sharing.py run      # 12 candidates, 3 trainings of each, two supernets
    python benchmarks/coefficient_sharing.py table    # all records

The candidates are the twelve that `effsearch scale` compares on CIFAR-10 for the base of the ablation, from 16 px:
equal in built cost, unlike in depth, width and size. The truth is the mean validation accuracy of separate short
trainings. One set of sliced weights is trained by drawing a candidate for each batch, at that candidate's own size,
for as many core-seconds as one training of each candidate takes and for a quarter of them. A candidate's score is
read with norm statistics of its own, on the images that separate trainings are scored on. Each training and each
supernet is one line of results/coefficient_sharing.jsonl; what is there is not trained again.
"""

import argparse
import itertools
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ablation import SETTINGS, base_network
from numpy.typing import NDArray
from recording import append_record, read_records

from effsearch.commands.scaling.search import search_rules
from effsearch.proxy_train.data.cache import default_cache_dir
from effsearch.proxy_train.data.datasets import ImageData, load_images
from effsearch.proxy_train.evaluator import ProxyEvaluator
from effsearch.proxy_train.screen import score_inherited
from effsearch.proxy_train.short_training import for_short_training
from effsearch.proxy_train.supernet import Supernet
from effsearch.proxy_train.supernet_train import SupernetSettings, make_supernet_optimizer, train_steps
from effsearch.proxy_train.train import TrainSettings
from effsearch.proxy_train.worker import prepare_worker
from effsearch.search.coefficients.candidates import Candidate, CandidateList, list_candidates, narrow_base
from effsearch.search.coefficients.divisor import choose_divisor
from effsearch.search.coefficients.jobs import candidate_job
from effsearch.search.coefficients.settings import CoefficientSettings
from effsearch.search.validating.correlation import correlate_kendall, correlate_spearman
from effsearch.space.outcome import Fidelity
from effsearch.space.proxy import proxy_spec
from effsearch.space.scaling import BuildRules
from effsearch.space.sharing import shapes_of_specs
from effsearch.space.small_images import count_removable_strides
from effsearch.space.spec import ModelSpec

FloatArray = NDArray[np.float64]
Record = Mapping[str, Any]

NAME = "coefficient_sharing"
NUM_CANDIDATES = 12
NUM_IMAGES = 20_000
NUM_EPOCHS = 4
NUM_SEEDS = 3
SHARES = (1.0, 0.25)  # of the core-seconds of one training of each candidate
TIMED_STEPS = 5  # for each candidate, before the steps of a supernet are counted out
LEAST_CANDIDATES = 3  # for a rank correlation
NUM_RESAMPLES = 2_000
DIMENSIONS = ("depth", "width", "resolution")
ROW = "{:<34}{:>7}  {:<22}{:<22}{:<22}{}"

# The same validation images as a separate training's: differences between the scores are not those of the images.
SUPERNET = SupernetSettings(num_val_images=TrainSettings().max_val_images)


# ---- candidates ----


def candidate_list(num_images: int, num_epochs: int) -> CandidateList:
    """Give what a coefficient search of the ablation's base would compare, in its order."""
    setting, base = SETTINGS["cifar10"], base_network()
    fidelity = Fidelity(
        num_images=num_images,
        num_epochs=num_epochs,
        resolution=setting.base_resolution,
        num_removed_strides=count_removable_strides(
            base, resolution=setting.base_resolution, min_map=setting.min_map
        ),
    )
    base, fidelity = narrow_base(base, fidelity)
    return list_candidates(
        base,
        CoefficientSettings(),
        fidelity=fidelity,
        num_classes=base.num_classes,
        rules=search_rules(BuildRules(), choose_divisor(base)),
    )


def trained_spec(candidate: Candidate, images: ImageData) -> ModelSpec:
    """Give the network that is trained for a candidate, by itself and in a supernet."""
    spec = proxy_spec(candidate.spec, candidate.fidelity, num_classes=images.num_classes)
    return for_short_training(spec, TrainSettings())


def label(candidate: Candidate) -> str:
    """Tell a candidate from all others; two may differ in pixels alone."""
    return f"{candidate.name} at {candidate.fidelity.resolution} px"


# ---- training ----


def run(arguments: argparse.Namespace) -> None:
    """Train what has no record yet: all candidates by themselves, then the supernets."""
    prepare_worker()
    listed = candidate_list(arguments.images, arguments.epochs)
    candidates = listed.candidates[: arguments.candidates]
    images = load_images(
        SETTINGS["cifar10"].data,
        resolution=max(one.fidelity.resolution for one in listed.candidates),  # as the search decodes them
        cache_dir=default_cache_dir(),
    )
    if arguments.candidates > len(candidates):
        raise SystemExit(f"--candidates must be at most {len(candidates)}, got {arguments.candidates}")
    print(f"{len(candidates)} of {len(listed.candidates)} candidates: " + "; ".join(map(label, candidates)))
    trained_at = {"images": arguments.images, "epochs": arguments.epochs, "data": images.fingerprint}
    for replicate, candidate in itertools.product(range(arguments.seeds), candidates):
        train_separately(candidate, images, trained_at, replicate=replicate)
    asked = [{"steps": steps} for steps in arguments.steps or ()] or [{"share": share} for share in SHARES]
    for length in asked:
        train_shared(candidates, images, trained_at, length)


def train_separately(candidate: Candidate, images: ImageData, trained_at: Record, *, replicate: int) -> None:
    """Train one candidate by itself, as the search would, unless that is recorded."""
    names = separate_names(candidate) | {"replicate": replicate}
    if find(trained_at, names):
        return
    job = candidate_job(candidate, replicate=replicate, run_seed=0)
    started = time.process_time()
    result = ProxyEvaluator(images.handle, TrainSettings())(job.spec, job.fidelity, job.seed)
    record = {
        **names,
        "place": [round(share, 4) for share in candidate.place],
        "multiply_adds": candidate.multiply_adds,
        "accuracy": result.val_accuracy,
        "loss": result.val_loss,
        "core_seconds": round(time.process_time() - started, 2),
    }
    append_record(NAME, record | trained_at)
    print(
        f"{label(candidate)}, training {replicate + 1}: {result.val_accuracy:.1%} in "
        f"{record['core_seconds']:.0f} core-seconds",
        flush=True,
    )


def separate_names(candidate: Candidate) -> dict[str, Any]:
    """Give what the separate trainings of a candidate are told by."""
    return {
        "kind": "separate",
        "candidate": label(candidate),
        "network": candidate.network,
        "settings": str(TrainSettings()),
    }


def train_shared(
    candidates: Sequence[Candidate], images: ImageData, trained_at: Record, length: Mapping[str, float]
) -> None:
    """Train one set of weights for all candidates and score each with it, unless that is recorded.

    Args:
        candidates: What shares.
        images: What they are trained and scored on.
        trained_at: Images and epochs of the separate trainings, and the data.
        length: Either `steps`, or a `share` of the core-seconds that one training of each candidate took.
    """
    names = {
        "kind": "shared",
        "candidates": [label(one) for one in candidates],
        "networks": [one.network for one in candidates],
        "settings": str(SUPERNET),
        **length,
    }
    if find(trained_at, names):
        return
    num_steps = int(length.get("steps", 0))
    if not num_steps:
        firsts = [find(trained_at, separate_names(one) | {"replicate": 0})[-1] for one in candidates]
        core_seconds = length["share"] * sum(record["core_seconds"] for record in firsts)
        num_steps = max(1, round(core_seconds / seconds_of_a_step(candidates, images, trained_at["images"])))
    specs = [trained_spec(candidate, images) for candidate in candidates]
    started = time.process_time()
    supernet = Supernet(shapes_of_specs(specs, "sliced"), seed=0)
    train_loss = train(supernet, specs, images, num_steps=num_steps, num_images=trained_at["images"])
    train_seconds = time.process_time() - started
    scores = [
        score_inherited(supernet, spec, images, resolution=spec.resolution, settings=SUPERNET)
        for spec in specs
    ]
    record = {
        **names,
        "steps": num_steps,
        "train_loss": round(train_loss, 4),
        "accuracies": [score.accuracy for score in scores],
        "losses": [score.capped_loss for score in scores],
        "core_seconds": round(train_seconds, 2),
        "score_core_seconds": round(time.process_time() - started - train_seconds, 2),
    }
    append_record(NAME, record | trained_at)
    print(
        f"shared, {num_steps} steps: {train_seconds:.0f} core-seconds, accuracies "
        + ", ".join(f"{score.accuracy:.1%}" for score in scores),
        flush=True,
    )


def seconds_of_a_step(candidates: Sequence[Candidate], images: ImageData, num_images: int) -> float:
    """Give the core-seconds of a step of a supernet that is thrown away; its first steps do not count."""
    specs = [trained_spec(candidate, images) for candidate in candidates]
    supernet = Supernet(shapes_of_specs(specs, "sliced"), seed=0)
    num_steps = TIMED_STEPS * len(specs)
    train(supernet, specs, images, num_steps=num_steps, num_images=num_images)
    started = time.process_time()
    train(supernet, specs, images, num_steps=num_steps, num_images=num_images)
    return (time.process_time() - started) / num_steps


def train(
    supernet: Supernet, specs: Sequence[ModelSpec], images: ImageData, *, num_steps: int, num_images: int
) -> float:
    """Train a supernet in place, one candidate drawn for each batch, and give the mean loss in nats."""
    generator = torch.Generator().manual_seed(0)
    return train_steps(
        supernet,
        make_supernet_optimizer(supernet, SUPERNET),
        images,
        draw_path=lambda: specs[int(torch.randint(len(specs), (1,), generator=generator))],
        steps=range(num_steps),
        num_steps=num_steps,
        num_images=num_images,
        settings=SUPERNET,
        generator=generator,
    )


def find(*wanted: Record) -> list[dict[str, Any]]:
    """Give the records that say all this, oldest first."""
    pairs = [pair for one in wanted for pair in one.items()]
    return [
        record
        for record in read_records(NAME)
        if all(name in record and record[name] == value for name, value in pairs)
    ]


# ---- what it says ----


def print_table() -> None:
    """Print every set of candidates that shared weights, beside separate trainings of the same ones."""
    groups: dict[str, list[Record]] = {}
    for record in read_records(NAME):
        if record["kind"] == "shared":
            same = [record[name] for name in ("data", "images", "epochs", "networks", "candidates")]
            groups.setdefault(str(same), []).append(record)
    for shared in groups.values():
        print_group(shared)


def print_group(shared: Sequence[Record]) -> None:
    """Print how well each supernet of one set of candidates ranks them, and whom it favours."""
    trained_at = {name: shared[0][name] for name in ("images", "epochs", "data")}
    rows = separate_trainings(shared[0], trained_at)
    num_candidates, num_seeds = len(rows), len(rows[0])
    if num_candidates < LEAST_CANDIDATES or num_seeds < 2:
        print(f"\n{num_candidates} candidates, {num_seeds} trainings each: nothing can be compared yet")
        return
    accuracies = np.array([[record["accuracy"] for record in row] for row in rows])
    losses = np.array([[record["loss"] for record in row] for row in rows])
    places = np.array([row[0]["place"] for row in rows])
    truth = accuracies.mean(axis=1)
    # One training and the mean of all others, each in turn; what shares is held against the same means beside.
    others = [np.delete(accuracies, index, axis=1).mean(axis=1) for index in range(num_seeds)]
    noise = 100 * np.sqrt(accuracies.var(axis=1, ddof=1).mean())
    print(
        f"\n{num_candidates} candidates, {trained_at['images']:,} images x {trained_at['epochs']} epochs, "
        f"{num_seeds} trainings each: {truth.min():.1%} to {truth.max():.1%}, one seed deviates by {noise:.2f} "
        f"points\nrank correlation with the mean of all {num_seeds} trainings, and of all but one in turn\n"
        + ROW.format("", "core-s", "Kendall, all", "Spearman, all", "Kendall, others", "Spearman, others")
    )
    seconds = sum(record["core_seconds"] for row in rows for record in row) / num_seeds
    for name, values in (("accuracy", accuracies), ("loss", -losses)):
        pairs = list(zip(values.T, others, strict=True))
        print(ROW.format(f"one training, by {name}", f"{seconds:.0f}", "", "", *both(pairs)))
    for record in shared:
        seconds = record["core_seconds"] + record["score_core_seconds"]
        for name, scores in (("accuracy", record["accuracies"]), ("loss", -np.array(record["losses"]))):
            of_all = both([(np.array(scores), truth)])
            of_others = both([(np.array(scores), other) for other in others])
            title = f"shared, {record['steps']} steps, by {name}"
            print(ROW.format(title, f"{seconds:.0f}", *of_all, *of_others))
    for record in shared:
        print_bias(record, truth, places)


def separate_trainings(shared: Record, trained_at: Record) -> list[list[Record]]:
    """Give the separate trainings of candidates that shared weights, as many of each as all of them have."""
    rows = []
    for name, network in zip(shared["candidates"], shared["networks"], strict=True):
        found = find(trained_at, {"kind": "separate", "candidate": name, "network": network})
        rows.append(sorted(found, key=lambda record: record["replicate"]))
    num_seeds = min(map(len, rows))
    return [row[:num_seeds] for row in rows]


def both(pairs: Sequence[tuple[FloatArray, FloatArray]]) -> list[str]:
    """Say the mean Kendall and Spearman correlation of some pairs; an interval is the mean of their intervals."""
    said = []
    for correlate in (correlate_kendall, correlate_spearman):
        found = [correlate(first, second) for first, second in pairs]
        value, low, high = (
            statistics.fmean(getattr(one, name) for one in found) for name in ("value", "low", "high")
        )
        said.append(f"{value:.2f} ({low:.2f} to {high:.2f})")
    return said


def print_bias(record: Record, truth: FloatArray, places: FloatArray) -> None:
    """Print what sharing does to the accuracy of candidates that grow in one dimension alone."""
    errors = 100 * (np.array(record["accuracies"]) - truth)
    print(
        f"shared, {record['steps']} steps: {errors.mean():+.1f} points from separate trainings, deviation "
        f"{errors.std(ddof=1):.1f}; sharing adds to growth in"
    )
    biases, resampled = bias_of_sharing(errors, places)
    low, high = np.quantile(resampled, (0.025, 0.975), axis=0)
    for index, dimension in enumerate(DIMENSIONS):
        print(f"    {dimension:<12}{biases[index]:+6.1f} points ({low[index]:+.1f} to {high[index]:+.1f})")


def bias_of_sharing(errors: FloatArray, places: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Regress the errors, less their mean, on the shares of depth, width and resolution in the growth.

    The shares sum to one, so each of the three figures is the error of growth in that dimension alone.

    Returns:
        (3,) points, and (num_resamples, 3) of as many resamples of the candidates.
    """
    rows = np.random.default_rng(0).integers(len(errors), size=(NUM_RESAMPLES, len(errors)))

    def regress(chosen: NDArray[np.int64]) -> FloatArray:
        centred = errors[chosen] - errors[chosen].mean()
        return np.linalg.lstsq(places[chosen], centred, rcond=None)[0]

    return regress(np.arange(len(errors))), np.array([regress(chosen) for chosen in rows])


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="train what is missing")
    running.add_argument("--candidates", type=int, default=NUM_CANDIDATES)
    running.add_argument("--images", type=int, default=NUM_IMAGES)
    running.add_argument("--epochs", type=int, default=NUM_EPOCHS)
    running.add_argument("--seeds", type=int, default=NUM_SEEDS, help="separate trainings of each candidate")
    running.add_argument(
        "--steps", type=int, nargs="+", help="of supernets; default: as many as the core-seconds buy"
    )
    commands.add_parser("table", help="print what all records say")
    arguments = parser.parse_args()
    if arguments.command == "run":
        run(arguments)
    else:
        print_table()


if __name__ == "__main__":
    main()
