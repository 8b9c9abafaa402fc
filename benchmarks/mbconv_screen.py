"""Does a screening rank the default space, where no table helps and where widths and repeats are shared too?

    effsearch baseline --budget 400M-FLOPs --data cifar10 --minutes 60 --run RUN
    python benchmarks/mbconv_screen.py RUN                # tau of the screening; trains 40 networks
    python benchmarks/mbconv_screen.py RUN --winner       # winner, B0 and the best random network, five seeds each

Networks are trained by themselves for four times the run's proxy. The first part takes 40 screened networks from 90
to 100 per cent of the budget, spread over the screening's ranking. The second compares the winner on test images with
B0 and with the best of the random networks at the same FLOPs, picked by one such training on validation images.
"""

import argparse
import dataclasses
import json
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from jobs import Arm, TestEvaluator, train_arms

from effsearch.commands.inputs import read_space, read_text
from effsearch.proxy_train.data.cache import default_cache_dir
from effsearch.proxy_train.data.datasets import ImageData, load_images
from effsearch.proxy_train.evaluator import ProxyEvaluator
from effsearch.proxy_train.train import TrainSettings
from effsearch.results.ledger import LedgerEntry, read_entries
from effsearch.results.run_files import LEDGER_FILE, read_report, read_settings
from effsearch.results.screened import SECOND
from effsearch.search.validating.correlation import correlate_kendall
from effsearch.space.budget import Budget
from effsearch.space.canonical import network_hash
from effsearch.space.outcome import Fidelity, derive_seed
from effsearch.space.presets import load_preset
from effsearch.space.screening import draw_inside
from effsearch.space.spec import ModelSpec
from effsearch.space.text import from_json

LONGER = 4
NUM_NETWORKS = 40
LEAST_NETWORKS = 4
NUM_SEEDS = 5
NUM_RANDOM = 10  # from which the best random network is picked
BAND = 0.9  # share of the budget
FRESH = 2_000  # replicates that no search and no other benchmark uses


def rank_screening(run: Path, settings: dict[str, Any], images: ImageData, fidelity: Fidelity) -> None:
    """Train networks of the band longer, and print tau with what the screening said."""
    space = read_space(settings["space"])
    limit = settings["budget_limits"]["multiply_adds"]
    screened = [
        entry
        for entry in read_entries(run / LEDGER_FILE)
        if entry.kind == "screen" and entry.val_loss is not None and entry.multiply_adds >= BAND * limit
        if SECOND not in entry.features  # second scores are on a level of their own
    ]
    if len(screened) < LEAST_NETWORKS:
        print(
            f"{len(screened)} networks of the band were screened with a supernet, {LEAST_NETWORKS} are the least"
        )
        return
    screened.sort(key=lambda entry: entry.val_loss or 0.0)
    places = np.linspace(0, len(screened) - 1, min(NUM_NETWORKS, len(screened))).round().astype(int)
    chosen: list[LedgerEntry] = [screened[place] for place in dict.fromkeys(places.tolist())]
    arms = []
    for entry in chosen:
        spec = space.spec_at(
            space.point_of(entry.point),
            resolution=settings["resolution"],
            num_classes=settings["num_classes"],
        )
        seed = derive_seed(settings["seed"], entry.network_hash, FRESH)
        arms.append(Arm(name=entry.network_hash, spec=spec, fidelity=fidelity, seed=seed))
    evaluate = ProxyEvaluator(handle=images.handle, settings=TrainSettings())
    accuracies = train_arms("mbconv_screen", arms, evaluate, data=images.fingerprint)
    longer = [accuracies[arm.name, arm.seed] for arm in arms]
    for name, values in (
        ("screening", [-(entry.val_loss or 0.0) for entry in chosen]),
        ("NASWOT", [entry.features["naswot"] for entry in chosen]),
        ("FLOPs", [float(entry.multiply_adds) for entry in chosen]),
    ):
        tau = correlate_kendall(np.array(values), np.array(longer))
        print(f"{name}: tau {tau.value:.2f} ({tau.low:.2f} to {tau.high:.2f}), {len(chosen)} networks")


def compare_winner(run: Path, settings: dict[str, Any], images: ImageData, fidelity: Fidelity) -> None:
    """Train the winner, B0 and the best of some random networks with fresh seeds, and print test accuracies."""
    report = read_report(run)
    assert report is not None, "the run has no result yet"
    winner = from_json(read_text(run / "specs" / "best.json", what="spec file"))
    cost = int(report["best"]["multiply_adds"])
    space = read_space(settings["space"])
    points = draw_inside(
        space,
        Budget(multiply_adds=cost),
        NUM_RANDOM,
        resolution=settings["resolution"],
        num_classes=settings["num_classes"],
        rng=np.random.default_rng(settings["seed"]),
        least_share=0.98,
    )
    random = [
        space.spec_at(point, resolution=settings["resolution"], num_classes=settings["num_classes"])
        for point in points.tolist()
    ]
    evaluate = ProxyEvaluator(handle=images.handle, settings=TrainSettings())
    picks = [_arm(f"random {index}", spec, fidelity, 0) for index, spec in enumerate(random)]
    picked = train_arms("mbconv_random", picks, evaluate, data=images.fingerprint)
    best = max(picks, key=lambda arm: picked[arm.name, arm.seed]).spec
    b0 = dataclasses.replace(
        load_preset("efficientnet-b0"),
        resolution=settings["resolution"],
        num_classes=settings["num_classes"],
    )
    networks = {"winner": winner, "efficientnet-b0": b0, f"best of {NUM_RANDOM} random": best}
    arms = [
        _arm(name, spec, fidelity, replicate)
        for replicate in range(1, NUM_SEEDS + 1)
        for name, spec in networks.items()
    ]
    tests = train_arms("mbconv_winner", arms, TestEvaluator(images.handle), data=images.fingerprint)
    for name in networks:
        values = [value for (arm, _), value in tests.items() if arm == name]
        error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
        print(f"{name}: {statistics.fmean(values):.2%} +- {2.78 * error:.2%} (95 %), {len(values)} seeds")


def _arm(name: str, spec: ModelSpec, fidelity: Fidelity, replicate: int) -> Arm:
    return Arm(
        name=name, spec=spec, fidelity=fidelity, seed=derive_seed(0, network_hash(spec), FRESH + replicate)
    )


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("--winner", action="store_true")
    options = parser.parse_args()
    settings = dict(read_settings(options.run).settings)
    images = load_images(
        settings["data"],
        resolution=settings["image_resolution"],
        cache_dir=default_cache_dir(),
        seed=settings["seed"],
    )
    proxy = Fidelity(**settings["fidelity"])
    longer = dataclasses.replace(proxy, num_epochs=LONGER * proxy.num_epochs)
    print(f"each training: {json.dumps(dataclasses.asdict(longer))}")
    (compare_winner if options.winner else rank_screening)(options.run, settings, images, longer)


if __name__ == "__main__":
    main()
