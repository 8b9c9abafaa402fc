"""Does a supernet that is trained on for its best networks alone rank these better?

    python benchmarks/focus_rank.py run --of-run runs/NAME                     # the best 96 alone, ten minutes
    python benchmarks/focus_rank.py run --of-run runs/NAME --paths space       # as long, paths of the whole space
    python benchmarks/focus_rank.py run --of-run runs/NAME --paths none        # not at all: only more images
    python benchmarks/focus_rank.py table

Takes the supernet of a finished `baseline` on nas-bench-macro, trains it on for a time on one core, and scores the
tuning networks that its screening liked best once more. Records of results/focus_rank.jsonl hold Kendall's tau of the
old and the new scores with the true accuracy, by loss alone and as a search joins it with NASWOT. About 13 minutes
of one core each; calls may run side by side. The first eleven records (`is_of_trial_script`) were computed from the
scores that an earlier script left: their core-seconds are those asked for.
"""

import argparse
import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from macro_data import canonical_key, load_cifar, load_table, macro_space
from recipe_rank import load_of_run
from recording import append_record, read_records
from scipy.stats import kendalltau

from effsearch.commands.baseline.screen_plan import FOCUS_RATE_SHARE, stored_plan
from effsearch.proxy_train.screen import score_inherited
from effsearch.proxy_train.supernet_train import (
    SupernetSettings,
    make_supernet_optimizer,
    path_spec,
    train_steps,
)
from effsearch.proxy_train.worker import prepare_worker
from effsearch.results.ledger import read_entries
from effsearch.results.run_files import LEDGER_FILE, read_settings
from effsearch.results.screened import read_screening
from effsearch.search.screening.screen_prior import joined
from effsearch.search.screening.second_look import on_one_level
from effsearch.space.outcome import Fidelity
from effsearch.space.screen_scores import ScreenScores
from effsearch.space.screening import sample_points
from effsearch.space.search_space import Point, SearchSpace
from effsearch.space.spec import ModelSpec
from effsearch.space.supernet_work import ScreenScore, SupernetPlan

NAME = "focus_rank"
Paths = Literal["best", "space", "none"]
NUM_TIMED_STEPS = 20
NUM_SPACE_PATHS = 4_096


def truth_of(point: Point, space: SearchSpace) -> tuple[float, str]:
    """Give a point's true accuracy, in per cent, and which networks it belongs to."""
    labels = space.labels_at(point)
    network = load_table()[canonical_key("".join(str(labels[one.name]) for one in space.dimensions))]
    return network.mean_accuracy, network.split


def run(options: argparse.Namespace) -> None:
    """Train on, score again, and append what the scores say of the truth."""
    images, space = load_cifar(), macro_space()
    plan = stored_plan(read_settings(options.of_run).settings["screen"]).supernet
    first = read_screening(read_entries(options.of_run / LEDGER_FILE), space).first
    liked = joined(first)
    tuning = [point for point in first if truth_of(point, space)[1] == "tuning"]
    best = sorted(tuning, key=lambda point: -liked[point])[: options.networks]
    plan = dataclasses.replace(plan, fidelity=at_resolution(plan.fidelity, options.resolution))
    settings = dataclasses.replace(
        SupernetSettings(),
        learning_rate=options.rate_share * SupernetSettings().learning_rate,
        num_val_images=options.val_images,
    )
    supernet = load_of_run(options.of_run, images.num_classes)
    num_steps, core_seconds = 0, 0.0
    if options.paths != "none":
        points = best[: options.top] if options.paths == "best" else space_points(space)
        generator = torch.Generator().manual_seed(options.seed)
        draw_path = drawing(points, space, plan, generator, num_classes=images.num_classes)
        optimizer = make_supernet_optimizer(supernet, settings)

        def train(steps: range, num_steps: int) -> None:
            train_steps(
                supernet,
                optimizer,
                images,
                draw_path=draw_path,
                steps=steps,
                num_steps=num_steps,
                num_images=plan.fidelity.num_images,
                settings=settings,
                generator=generator,
            )

        train(range(2), 10**6)  # at next to no learning rate: memory is asked for, kernels are loaded
        started = time.process_time()
        train(range(NUM_TIMED_STEPS), 10**6)
        num_steps = int(options.seconds / (time.process_time() - started) * NUM_TIMED_STEPS)
        started = time.process_time()
        train(range(num_steps), num_steps)
        core_seconds = time.process_time() - started
    scores = ScreenScores(first=dict(first))
    for point in best:
        spec = path_spec(space, point, plan, num_classes=images.num_classes)
        found = score_inherited(supernet, spec, images, resolution=options.resolution, settings=settings)
        scores.add(
            point,
            ScreenScore(
                naswot=first[point].naswot,
                val_loss=found.capped_loss,
                val_accuracy=found.accuracy,
                core_seconds=0.0,
                is_second=True,
            ),
        )
    record = {
        "of_run": options.of_run.name,
        "paths": options.paths,
        "top": options.top if options.paths == "best" else None,
        "networks": len(best),
        "resolution": options.resolution,
        "core_seconds": round(core_seconds, 1),
        "steps": num_steps,
        "rate_share": options.rate_share,
        "val_images": options.val_images,
        "seed": options.seed,
        **agreement(best, scores, space),
    }
    append_record(NAME, record)
    print(record)


def agreement(points: list[Point], scores: ScreenScores, space: SearchSpace) -> dict[str, float]:
    """Give tau with the truth of first and second scores, over the same networks."""
    truth = [truth_of(point, space)[0] for point in points]

    def tau(values: list[float]) -> float:
        return round(float(kendalltau(values, truth).statistic), 3)

    before, after = joined(scores.first), joined(on_one_level(scores))
    old, new = (
        np.array([some[point].val_loss for point in points]) for some in (scores.first, scores.second)
    )
    moved = dict(zip(points, (new - new.mean() + old.mean()).tolist(), strict=True))
    only_moved = joined(
        scores.first
        | {point: dataclasses.replace(scores.first[point], val_loss=loss) for point, loss in moved.items()}
    )
    return {
        "tau_before": tau([before[point] for point in points]),
        "tau_after": tau([after[point] for point in points]),
        "tau_after_only_moved": tau([only_moved[point] for point in points]),
        "stretched": round(float(old.std() / new.std()), 3),
        "tau_before_by_loss": tau([-(scores.first[point].val_loss or 0.0) for point in points]),
        "tau_after_by_loss": tau([-(scores.second[point].val_loss or 0.0) for point in points]),
    }


def space_points(space: SearchSpace) -> list[Point]:
    """Draw paths from the whole space, as a fresh supernet's are."""
    drawn = sample_points(space, NUM_SPACE_PATHS, rng=np.random.default_rng(0))
    return [tuple(point) for point in drawn.tolist()]


def drawing(
    points: list[Point],
    space: SearchSpace,
    plan: SupernetPlan,
    generator: torch.Generator,
    *,
    num_classes: int,
) -> Callable[[], ModelSpec]:
    """Give what draws the path of each step."""

    def draw() -> ModelSpec:
        place = int(torch.randint(len(points), (1,), generator=generator))
        return path_spec(space, points[place], plan, num_classes=num_classes)

    return draw


def at_resolution(fidelity: Fidelity, resolution: int) -> Fidelity:
    """Give the fidelity at another size of the images."""
    return dataclasses.replace(fidelity, resolution=resolution)


def print_table() -> None:
    """Print every record, by the run whose supernet it goes on with."""
    for record in sorted(read_records(NAME), key=lambda one: (one["of_run"], -one["networks"])):
        what = {"best": f"the best {record['top']}", "space": "the whole space", "none": "not trained on"}
        words = [
            f"{record['of_run']}, best {record['networks']}: {what[record['paths']]}",
            f"{record['core_seconds']:.0f} core-seconds",
            f"{record['resolution']} px",
            f"rate share {record['rate_share']:g}",
            f"{record['val_images']:,} images",
            f"tau {record['tau_before']:.2f} -> {record['tau_after']:.2f}",
            f"by loss {record['tau_before_by_loss']:.2f} -> {record['tau_after_by_loss']:.2f}",
        ]
        print(", ".join(words))


def main() -> None:
    """Measure, or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("run")
    one.add_argument("--of-run", type=Path, required=True, help="baseline run with a supernet")
    one.add_argument("--paths", choices=("best", "space", "none"), default="best")
    one.add_argument("--top", type=int, default=96, help="networks that it is trained on for")
    one.add_argument("--networks", type=int, default=96, help="that are ranked")
    one.add_argument("--resolution", type=int, default=16)
    one.add_argument("--seconds", type=float, default=600.0, help="core-seconds of training on")
    one.add_argument("--rate-share", type=float, default=FOCUS_RATE_SHARE)
    one.add_argument("--val-images", type=int, default=SupernetSettings().num_second_val_images)
    one.add_argument("--seed", type=int, default=0)
    commands.add_parser("table")
    options = parser.parse_args()
    if options.command == "table":
        print_table()
    else:
        prepare_worker()
        run(options)


if __name__ == "__main__":
    main()
