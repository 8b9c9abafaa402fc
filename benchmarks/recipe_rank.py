"""Does another recipe of a short training rank networks better, and does starting from shared weights?

    python benchmarks/recipe_rank.py run default plain plain-32px            # 16 networks x 45 core-seconds a recipe
    python benchmarks/recipe_rank.py run inherited --of-run runs/NAME        # 12 core-seconds a network
    python benchmarks/recipe_rank.py table

Tuning networks of NAS-Bench-Macro from 40 to 60 M multiply-adds, spread evenly over the order of their true
accuracy, so that few trainings say as much as they can. `inherited` trains each on from the weights of a search's
supernet. Records go to results/recipe_rank.jsonl; what is there is not trained again.
"""

import argparse
import dataclasses
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from macro_data import MacroNetwork, load_cifar, load_table, macro_space, spec_of
from recording import append_record, read_records
from scipy.stats import kendalltau, pearsonr
from torch import nn

from effsearch.commands.baseline.screen_plan import stored_plan
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.score import Score, normalisation_of, score_on_split
from effsearch.proxy_train.screen import compute_norm_statistics
from effsearch.proxy_train.short_training import for_short_training, train_proxy
from effsearch.proxy_train.supernet import Supernet
from effsearch.proxy_train.supernet_train import SupernetSettings, load_supernet
from effsearch.proxy_train.train import TrainSettings, train_model
from effsearch.proxy_train.worker import prepare_worker
from effsearch.results.run_files import read_settings
from effsearch.results.supernet_files import supernet_of
from effsearch.space.canonical import network_hash
from effsearch.space.outcome import Fidelity, derive_seed
from effsearch.space.proxy import proxy_spec

NAME = "recipe_rank"
NUM_NETWORKS = 16
LIMITS = (40e6, 60e6)  # multiply-adds

ONE_EPOCH = Fidelity(num_images=40_000, num_epochs=1, resolution=16)
PLAIN = TrainSettings(
    batch_size=128,
    learning_rate=0.1,
    schedule="cosine",
    warmup_share=0.0,
    label_smoothing=0.0,
    max_gradient_norm=5.0,
    weight_decay=5e-4,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A training, and what it costs."""

    settings: TrainSettings
    fidelity: Fidelity


RECIPES: Mapping[str, Recipe] = {
    "default": Recipe(settings=TrainSettings(), fidelity=ONE_EPOCH),
    "plain": Recipe(settings=PLAIN, fidelity=ONE_EPOCH),
    "plain-32px": Recipe(settings=PLAIN, fidelity=Fidelity(num_images=10_000, num_epochs=1, resolution=32)),
}
INHERITED = Recipe(
    settings=dataclasses.replace(PLAIN, learning_rate=0.05),
    fidelity=Fidelity(num_images=10_000, num_epochs=1, resolution=16),
)


def spread_networks() -> list[MacroNetwork]:
    """Give the tuning networks that every recipe trains."""
    found = [
        network
        for network in load_table().values()
        if network.split == "tuning" and LIMITS[0] < network.multiply_adds <= LIMITS[1]
    ]
    found.sort(key=lambda network: network.mean_accuracy)
    return [found[int((place + 0.5) / NUM_NETWORKS * len(found))] for place in range(NUM_NETWORKS)]


def run(name: str, images: ImageData, supernet: Supernet | None) -> None:
    """Train the networks that have no record under a recipe yet."""
    recipe = INHERITED if supernet is not None else RECIPES[name]
    done = {record["key"] for record in read_records(NAME) if record["recipe"] == name}
    for network in spread_networks():
        if network.key in done:
            continue
        spec = spec_of(network.key)
        seed = derive_seed(0, network_hash(spec), 0)
        started, inherited = time.process_time(), None
        if supernet is None:
            model: nn.Module = train_proxy(images, spec, recipe.fidelity, seed, recipe.settings).model
        else:
            trained = proxy_spec(spec, recipe.fidelity, num_classes=images.num_classes)
            model = supernet.inherit(for_short_training(trained, recipe.settings))
            compute_norm_statistics(
                model,
                images,
                resolution=recipe.fidelity.resolution,
                num_images=SupernetSettings().num_calibration_images,
            )
            inherited = score(model, images, recipe).loss
            for module in model.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.momentum = recipe.settings.norm_momentum
            train_model(
                model,
                images.train,
                settings=recipe.settings,
                normalisation=normalisation_of(images),
                resolution=recipe.fidelity.resolution,
                num_images=recipe.fidelity.num_images,
                num_epochs=recipe.fidelity.num_epochs,
                seed=seed,
            )
        result = score(model, images, recipe)
        record = {
            "recipe": name,
            "key": network.key,
            "accuracy": result.accuracy,
            "loss": round(result.loss, 6),
            "core_seconds": round(time.process_time() - started, 2),
        }
        append_record(NAME, record if inherited is None else record | {"inherited_loss": round(inherited, 6)})


def score(model: nn.Module, images: ImageData, recipe: Recipe) -> Score:
    """Score a trained network on the validation images that a search would use."""
    return score_on_split(
        model,
        images.val,
        normalisation=normalisation_of(images),
        resolution=recipe.fidelity.resolution,
        max_images=recipe.settings.max_val_images,
    )


def load_of_run(folder: Path, num_classes: int) -> Supernet:
    """Give the supernet that a search on this space has trained."""
    plan = stored_plan(read_settings(folder).settings["screen"]).supernet
    files = supernet_of(folder).of_round(plan.num_rounds - 1, plan)
    return load_supernet(macro_space(), plan, files, num_classes=num_classes)


def print_table() -> None:
    """Print Kendall's tau and Pearson's correlation with the true accuracy, by recipe."""
    records = read_records(NAME)
    for name in dict.fromkeys(record["recipe"] for record in records):
        rows = [record for record in records if record["recipe"] == name]
        truth = [load_table()[row["key"]].mean_accuracy for row in rows]
        columns = {"accuracy": 1, "loss": -1} | (
            {"inherited_loss": -1} if "inherited_loss" in rows[0] else {}
        )
        words = [
            f"{column} tau {kendalltau(truth, values).statistic:+.2f} r {pearsonr(truth, values).statistic:+.2f}"
            for column, sign in columns.items()
            for values in [[sign * row[column] for row in rows]]
        ]
        seconds = statistics.fmean(row["core_seconds"] for row in rows)
        print(f"{name}: {len(rows)} networks, {seconds:.0f} core-seconds each; {'; '.join(words)}")


def main() -> None:
    """Train, or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    train = commands.add_parser("run")
    train.add_argument("recipes", metavar="RECIPE", nargs="+", choices=(*RECIPES, "inherited"))
    train.add_argument("--of-run", type=Path, help="baseline run on nas-bench-macro, for `inherited`")
    commands.add_parser("table")
    options = parser.parse_args()
    if options.command == "table":
        print_table()
        return
    prepare_worker()
    images = load_cifar()
    for name in options.recipes:
        if name == "inherited" and options.of_run is None:
            parser.error("inherited needs --of-run")
        run(name, images, load_of_run(options.of_run, images.num_classes) if name == "inherited" else None)


if __name__ == "__main__":
    main()
