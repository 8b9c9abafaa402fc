"""effsearch prune: a trained network with fewer channels, inside a budget, trained a little afterwards."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from torch import Tensor

from effsearch.commands.pruning.plan import PruneOptions, PrunePlan, plan_pruning, run_settings
from effsearch.commands.pruning.report import make_report, width_rows
from effsearch.commands.training.history import write_history
from effsearch.commands.training.report import describe_training
from effsearch.commands.training.train import said_where_it_goes_on, score_test, train_in, training_device
from effsearch.commands.watching import Watcher
from effsearch.proxy_train.augment import to_input
from effsearch.proxy_train.batches import choose_rows, load_batch
from effsearch.proxy_train.build import Network, build_model
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.device import Compute
from effsearch.proxy_train.full.checkpoint import repair_advice, require_best
from effsearch.proxy_train.full.group import ALONE, has_launcher
from effsearch.proxy_train.full.score import FullScore, score_fully
from effsearch.proxy_train.full.training import check_batch, for_recipe
from effsearch.proxy_train.kernels import switch
from effsearch.proxy_train.memory import memory_as_failure
from effsearch.proxy_train.pruning.prune import prune_network, require_reach
from effsearch.proxy_train.pruning.units import require_torch_pruning
from effsearch.proxy_train.score import normalisation_of, preprocessing_of
from effsearch.proxy_train.tensor_files import read_tensors, write_tensors
from effsearch.results.checkpoints import FOLDER as CHECKPOINTS
from effsearch.results.export.weights import read_network
from effsearch.results.json_files import read_json, write_json
from effsearch.results.run_dir import RunDir, create_or_resume
from effsearch.results.run_files import PRUNED_FILE, PRUNING_FILE, TRAINED_SPEC
from effsearch.space.budget import short_count
from effsearch.space.cost import count_cost
from effsearch.space.errors import RunError, UsageError
from effsearch.space.outcome import OutOfMemory, TrainingFailed
from effsearch.space.spec import ModelSpec
from effsearch.space.text import from_json, to_json

SCORE_IMAGES = 2_048  # training images that importance and norms are measured on
SCORE_BATCH = 128


def run_prune(options: PruneOptions, watcher: Watcher) -> dict[str, Any]:
    """Prune a network, train what is left, write the run directory, and give the report as JSON values.

    Raises:
        EffsearchError: Something the user gave does not hold, or the training failed.
    """
    require_torch_pruning()
    if has_launcher():
        raise UsageError("effsearch prune works in one process: start it without torchrun")
    with training_device(options.placement) as compute:
        plan = plan_pruning(options, watcher)
        check_batch(plan.train.training, num_images=len(plan.train.images.train))
        model = read_network(plan.base.spec, plan.weights)
        assert isinstance(model, Network)
        require_reach(model, plan.budget, plan.settings)
        with create_or_resume(
            options.run,
            command="prune",
            settings=run_settings(plan, options),
            free_settings=frozenset(),
            now=datetime.now(UTC),
            runs_root=options.runs_root,
        ) as run:
            watcher.say(f"run: {run.path}{' (resumed)' if run.is_resumed else ''}")
            watcher.follow(run)
            for line in plan.train.notes:
                watcher.say(line)
            done = run.read_result()
            if done is not None:
                require_best(run.path / CHECKPOINTS)
                watcher.say(
                    "this pruning has ended before: nothing is trained, and no test image is looked at again"
                )
                return done
            with said_where_it_goes_on(run, watcher):
                pruned = _prune_or_go_on(run, model, plan, compute, watcher)
                report = _train_and_test(run, pruned, plan, compute, watcher)
            run.write_result(report)
    return report


@dataclass(frozen=True, slots=True)
class Left:
    """What a pruning has left of the network."""

    model: Network
    record: dict[str, Any]  # as it stands in PRUNING_FILE, which is written last


def _prune_or_go_on(run: RunDir, model: Network, plan: PrunePlan, compute: Compute, watcher: Watcher) -> Left:
    """Prune, or take what an earlier call has left."""
    weights, record = run.path / CHECKPOINTS / PRUNED_FILE, run.path / PRUNING_FILE
    if record.exists():
        tensors, words = read_tensors(
            weights, what="the pruned weights", advice=repair_advice(weights.parent)
        )
        left = build_model(_spec_of(words, weights), seed=0)
        if {name: one.shape for name, one in tensors.items()} != {
            name: one.shape for name, one in left.state_dict().items()
        }:
            raise RunError(f"{weights} holds the weights of another network; give another --run")
        left.load_state_dict(tensors)
        watcher.say("pruned before: the training goes on")
        return Left(left, read_json(record))
    found = prune_planned(model, plan, compute, watcher)
    spec = found.model.spec
    preprocessing = preprocessing_of(plan.train.images, resolution=spec.resolution)
    words = {"spec": to_json(spec), "preprocessing": preprocessing.to_json()}
    write_tensors(weights, found.model.state_dict(), words)
    run.write_spec(TRAINED_SPEC, to_json(spec))
    write_json(record, found.record)
    return found


def _spec_of(words: dict[str, str], path: object) -> ModelSpec:
    if "spec" not in words:
        raise RunError(f"{path} holds no pruned network; give another --run")
    return from_json(words["spec"], source=str(path))


def prune_planned(model: Network, plan: PrunePlan, compute: Compute, watcher: Watcher) -> Left:
    """Prune a trained network as planned, and score it before and right after on the validation images."""
    images, spec = plan.train.images, plan.base.spec
    model = model.to(compute.device)
    before = _score(model, images, spec.resolution, compute)
    if before.accuracy <= images.learned_from:
        raise UsageError(
            f"{plan.weights} is right on {before.accuracy:.2%} of the validation images of {images.name}, and chance "
            f"on {images.chance_accuracy:.2%}: give weights that were trained on these images"
        )
    cost = count_cost(spec)
    watcher.say(
        f"prune: {plan.base.name}, {short_count(cost.multiply_adds)} FLOPs and {short_count(cost.parameters)} "
        f"parameters at {spec.resolution} px, to {plan.budget}; validation {before.accuracy:.2%} before"
    )
    batches = ScoreBatches(images, spec.resolution, compute)
    try:
        with memory_as_failure(), switch.turned_off():
            pruned = prune_network(
                model,
                plan.budget,
                plan.settings,
                score_batches=batches,
                norm_batches=batches,
                say=watcher.say,
            )
    except OutOfMemory as error:
        raise RunError(f"{error}; give --device cpu") from error
    for line in pruned.kept:
        watcher.say(f"left whole: {line}")
    for line in pruned.remarks:
        watcher.say(line)
    after = _score(pruned.model, images, spec.resolution, compute)
    left = pruned.model.to("cpu")
    # The spec is what is trained and exported: the recipe may set aside dropout and change the norms' momentum.
    model_spec = for_recipe(left.spec, plan.train.training.recipe)
    trained = build_model(model_spec, seed=0)
    trained.load_state_dict(left.state_dict())
    watcher.say(
        f"pruned: {short_count(count_cost(model_spec).multiply_adds)} FLOPs and "
        f"{short_count(count_cost(model_spec).parameters)} parameters; validation {after.accuracy:.2%} right after"
    )
    return Left(
        trained,
        {
            "before": _measured(spec, before),
            "right_after": _measured(model_spec, after),
            "widths": width_rows(spec, left.spec),
            "kept": list(pruned.kept),
            "remarks": list(pruned.remarks),
        },
    )


def _train_and_test(
    run: RunDir, left: Left, plan: PrunePlan, compute: Compute, watcher: Watcher
) -> dict[str, Any]:
    train = plan.trained(left.model.spec)
    watcher.say(describe_training(train, compute, ALONE))
    model = left.model.to(compute.device)
    rows = train_in(run.path, model, train, compute=compute, group=ALONE, watcher=watcher)
    write_history(run.path, rows)
    test = score_test(run, model, train, compute)
    return make_report(run, plan, train, left.record, rows, test, compute)


def _score(model: Network, images: ImageData, resolution: int, compute: Compute) -> FullScore:
    try:
        return score_fully(
            model,
            images.val,
            normalisation=normalisation_of(images),
            resolution=resolution,
            compute=compute,
        )
    except TrainingFailed as error:
        raise RunError(f"{error}; the weights cannot be pruned") from error


def _measured(spec: ModelSpec, score: FullScore) -> dict[str, Any]:
    cost = count_cost(spec)
    return {
        "accuracy": score.accuracy,
        "top5": score.top5,
        "loss": score.loss,
        "multiply_adds": cost.multiply_adds,
        "params": cost.parameters,
        "activations": cost.activations,
    }


class ScoreBatches:
    """Training images as they are, every class in proportion; each walk over them is the same.

    Args:
        images: Of which some training images are taken.
        resolution: Of the network, pixels.
        compute: Where the network is.
    """

    def __init__(self, images: ImageData, resolution: int, compute: Compute) -> None:
        self._images, self._resolution, self._compute = images, resolution, compute
        rows = choose_rows(images.train.labels, min(SCORE_IMAGES, len(images.train)))
        self._rows = np.random.default_rng(0).permutation(rows)  # choose_rows gives them in order

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        normalisation, device = normalisation_of(self._images), self._compute.device
        size = min(SCORE_BATCH, len(self._rows))
        for start in range(0, len(self._rows) - size + 1, size):
            pixels, labels = load_batch(self._images.train, self._rows[start : start + size])
            inputs = to_input(pixels.to(device), normalisation=normalisation, resolution=self._resolution)
            yield inputs, labels.to(device)
