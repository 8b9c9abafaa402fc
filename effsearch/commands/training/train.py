"""effsearch train: train a network as one trains a network that is to be used."""

import contextlib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from effsearch.commands.placement import Placement
from effsearch.commands.training.beginning import needs_no_initial, with_initial
from effsearch.commands.training.history import EventWriter, require_tensorboard, write_history
from effsearch.commands.training.options import TrainOptions
from effsearch.commands.training.plan import plan_training
from effsearch.commands.training.report import (
    describe_training,
    epoch_words,
    make_report,
)
from effsearch.commands.training.search_note import note_in_search
from effsearch.commands.training.settings import run_settings
from effsearch.commands.training.settled import TrainPlan
from effsearch.commands.watching import Watcher
from effsearch.proxy_train.build import Network, build_model
from effsearch.proxy_train.device import Compute, compute_on, resolve_device
from effsearch.proxy_train.full.checkpoint import EpochRow, load_best, require_best
from effsearch.proxy_train.full.epoch import StepLog
from effsearch.proxy_train.full.group import Group, joined
from effsearch.proxy_train.full.loop import train_fully
from effsearch.proxy_train.full.score import FullScore, score_fully
from effsearch.proxy_train.full.training import check_batch
from effsearch.proxy_train.full.transfer import Transfer, load_initial
from effsearch.proxy_train.kernels import switch
from effsearch.proxy_train.memory import keep_freed_memory, memory_as_failure
from effsearch.proxy_train.score import normalisation_of
from effsearch.proxy_train.train import narrow_classifier
from effsearch.results.checkpoints import FOLDER as CHECKPOINTS
from effsearch.results.export.namings import all_names
from effsearch.results.run_dir import RunDir, create_or_resume
from effsearch.results.run_files import HISTORY_FILE, TRAINED_SPEC
from effsearch.space.errors import RunError
from effsearch.space.outcome import OutOfMemory, TrainingFailed
from effsearch.space.text import to_json

FREE_SETTINGS = frozenset({"tensorboard"})


def run_train(options: TrainOptions, watcher: Watcher) -> dict[str, Any] | None:
    """Train a network, write the run directory, and give the report as JSON values.

    Returns:
        None in processes that only help; the first one has the report.

    Raises:
        EffsearchError: Something the user gave does not hold, or the training failed.
    """
    with training_process(options) as (compute, group):
        watcher.console.quiet |= not group.is_first
        if not group.is_first:
            group.wait()  # until the first has decoded the images
        plan = plan_training(options, watcher, group=group)
        if group.is_first:
            group.wait()
        report = train_planned(plan, options, watcher, compute=compute, group=group)
    if report is not None and plan.winner is not None:
        note_in_search(plan.winner, report, watcher)
    return report


@contextlib.contextmanager
def training_process(options: TrainOptions) -> Iterator[tuple[Compute, Group]]:
    """Prepare this process for a while: on a CPU it trains on one thread and on our own kernels.

    With one thread weights are the same to the bit; torchrun gives further cores to further processes.
    """
    if options.has_tensorboard:
        require_tensorboard()
    with training_device(options.placement) as compute, joined(compute.device) as group:
        yield compute, group


@contextlib.contextmanager
def training_device(placement: Placement) -> Iterator[Compute]:
    """Prepare this process for a while; see `training_process`."""
    device = resolve_device(placement.device)
    with contextlib.ExitStack() as stack:
        if device.type == "cpu":
            stack.callback(torch.set_num_threads, torch.get_num_threads())
            torch.set_num_threads(1)
            keep_freed_memory()
            stack.enter_context(switch.turned_on())
        yield compute_on(device, placement.precision)


def train_planned(
    plan: TrainPlan,
    options: TrainOptions,
    watcher: Watcher,
    *,
    compute: Compute,
    group: Group,
    is_newest: bool = True,
) -> dict[str, Any] | None:
    """Train what was planned; see `run_train`."""
    check_batch(plan.training, num_images=len(plan.images.train), group=group)
    options = with_initial(options)
    model, transfer = _begin(plan, options)
    model = model.to(compute.device)
    if not group.is_first:
        path = group.tell("")
        if path:
            train_in(Path(path), model, plan, compute=compute, group=group)
        return None
    with create_or_resume(
        options.run,
        command="train",
        settings=run_settings(plan, options, num_processes=group.size),
        free_settings=FREE_SETTINGS,
        now=datetime.now(UTC),
        runs_root=options.runs_root,
        is_newest=is_newest,
    ) as run:
        watcher.say(f"run: {run.path}{' (resumed)' if run.is_resumed else ''}")
        watcher.follow(run)
        if transfer is not None:
            watcher.say(f"init: {transfer.words}")
        for line in (describe_training(plan, compute, group), *plan.notes):
            watcher.say(line)
        done = run.read_result()
        if done is not None:
            require_best(run.path / CHECKPOINTS)
        group.tell(str(run.path) if done is None else "")
        if done is not None:
            watcher.say(
                "this training has ended before: nothing is trained, and no test image is looked at again"
            )
            return done
        run.write_spec(TRAINED_SPEC, to_json(plan.spec))
        with said_where_it_goes_on(run, watcher):
            with (
                EventWriter(run.path, num_epochs=_num_epochs_before(run))
                if options.has_tensorboard
                else contextlib.nullcontext()
            ) as events:
                rows = train_in(
                    run.path, model, plan, compute=compute, group=group, watcher=watcher, events=events
                )
            write_history(run.path, rows)
            test = score_test(run, model, plan, compute)
        report = make_report(run, plan, rows, test, transfer, options, compute, group)
        run.write_result(report)
    return report


def _begin(plan: TrainPlan, options: TrainOptions) -> tuple[Network, Transfer | None]:
    model = build_model(plan.spec, seed=plan.training.seed)
    narrow_classifier(model)
    if options.initial is None or needs_no_initial(options.initial, options.run):
        return model, None
    return model, load_initial(model, options.initial, all_names(plan.spec))


def train_in(
    run: Path,
    model: Network,
    plan: TrainPlan,
    *,
    compute: Compute,
    group: Group,
    watcher: Watcher | None = None,
    events: EventWriter | None = None,
) -> list[EpochRow]:
    """Train in a run's directory, its failures as errors that the command line shows."""

    def take_epochs(rows: Sequence[EpochRow]) -> None:
        write_history(run, rows)
        if events is not None:
            events.write(rows[-1])
        if watcher is not None:
            watcher.say(epoch_words(rows[-1], plan.training.recipe.num_epochs))

    def take_step(log: StepLog) -> None:
        if watcher is not None:
            num_epochs = plan.training.recipe.num_epochs
            done = log.epoch - 1 + log.step / log.num_steps
            watcher.show("train", done, num_epochs, f"epoch {log.epoch} of {num_epochs}, loss {log.loss:.3f}")

    try:
        with memory_as_failure():
            return train_fully(
                model,
                plan.images,
                plan.training,
                folder=run / CHECKPOINTS,
                compute=compute,
                group=group,
                on_epoch=take_epochs,
                on_step=take_step,
            )
    except OutOfMemory as error:
        raise RunError(
            f"{error}; give --accumulate {2 * plan.training.num_parts} and another --run"
        ) from error
    except TrainingFailed as error:
        raise RunError(f"{error}; give a lower --lr and another --run") from error


@contextlib.contextmanager
def said_where_it_goes_on(run: RunDir, watcher: Watcher) -> Iterator[None]:
    """Say it where a training is stopped; what was lost is the epoch that it was in."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        num_epochs = _num_epochs_before(run)
        watcher.say(
            f"stopped after epoch {num_epochs}: the same command with --run {run.path} goes on from there"
        )
        raise


def _num_epochs_before(run: RunDir) -> int:
    path = run.path / HISTORY_FILE
    return len(path.read_text().splitlines()) - 1 if path.exists() else 0


def score_test(run: RunDir, model: Network, plan: TrainPlan, compute: Compute) -> FullScore:
    """Look at the test images, with the best weights of a training."""
    load_best(model, run.path / CHECKPOINTS)
    try:
        return score_fully(
            model,
            plan.images.test,
            normalisation=normalisation_of(plan.images),
            resolution=plan.training.resolution,
            compute=compute,
        )
    except TrainingFailed as error:
        raise RunError(f"{error}; give a lower --lr and another --run") from error
