"""effsearch baseline: what it may be asked."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from effsearch.command_line.shared import (
    RUNS_ROOT,
    Address,
    Classes,
    Config,
    CpusPerTrial,
    Device,
    DeviceName,
    Engine,
    EngineName,
    Epochs,
    GpuShare,
    Images,
    Json,
    MinMap,
    Precision,
    PrecisionOption,
    ProxyPixels,
    ProxyWidth,
    Run,
    Seed,
    Storage,
    Task,
    TrainFn,
    TrialTimeout,
    Workers,
    load_own_images,
    own_run,
    placement_of,
    refuse_given,
)


class Objective(StrEnum):
    """What a search maximises."""

    accuracy = "accuracy"
    reward = "reward"


class Sampler(StrEnum):
    """What proposes networks."""

    thompson = "thompson"
    tpe = "tpe"
    random = "random"
    nsga2 = "nsga2"
    gp = "gp"
    evolution = "evolution"


class Screen(StrEnum):
    """What is found out before any network is trained by itself."""

    auto = "auto"
    supernet = "supernet"
    zero_cost = "zero-cost"
    off = "off"


class SecondObjective(StrEnum):
    """What is kept low beside the accuracy, by the name users know."""

    flops = "flops"
    params = "params"
    activations = "activations"
    latency = "latency"


SECOND_OBJECTIVES = {"flops": "multiply_adds", "params": "parameters"}


def baseline(
    context: typer.Context,
    budget: Annotated[
        str | None,
        typer.Option(
            help="400M-FLOPs (where no bound is given), 0.4G-MACs, 5.3M-params, or several: 200M,400M-FLOPs."
        ),
    ] = None,
    max_params: Annotated[str | None, typer.Option(help="Further bound, such as 5.3M.")] = None,
    max_activations: Annotated[str | None, typer.Option(help="Further bound, such as 7M.")] = None,
    max_latency: Annotated[
        str | None,
        typer.Option(
            help="Bound on the time of one image on this machine (torch, one thread), such as 5ms; alone or further. "
            "Its blocks are timed before the search, and the finalists whole."
        ),
    ] = None,
    latency_table: Annotated[
        Path | None,
        typer.Option(
            help="Times of another runtime or machine for --max-latency, made there by effsearch profile --space "
            "SPACE --latency --out FILE."
        ),
    ] = None,
    space: Annotated[str, typer.Option(help="Shipped search space, or a YAML file of one.")] = "mbconv",
    data: Annotated[
        str,
        typer.Option(
            help="synthetic, cifar10, an image folder, an archive, or module:function that gives images and labels.",
            callback=load_own_images,
        ),
    ] = "synthetic",
    trials: Annotated[int | None, typer.Option(help="Networks to train, over all resumes.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Time for all, over all resumes; 10 where no --trials is given.")
    ] = None,
    resolution: Annotated[
        int | None,
        typer.Option(
            min=1, max=4096, help="Pixels at which the budget is counted; default: the space's, else 224."
        ),
    ] = None,
    classes: Classes = None,
    objective: Annotated[Objective, typer.Option(help="What is maximised.")] = Objective.accuracy,
    reward_exponent: Annotated[
        float, typer.Option("-w", "--reward-exponent", help="Of FLOPs / budget in the reward.")
    ] = -0.07,
    step_time_exponent: Annotated[
        float,
        typer.Option(help="Of a training step's measured time in the reward; EfficientNetV2's is -0.07."),
    ] = 0.0,
    params_exponent: Annotated[
        float, typer.Option(help="Of the params in the reward; EfficientNetV2's is -0.05.")
    ] = 0.0,
    multi_objective: Annotated[
        SecondObjective | None,
        typer.Option(
            help="Seek the whole front of accuracy against this, inside the budget. Latency is sought by FLOPs, "
            "under --max-latency by its prediction, and measured of every network trained."
        ),
    ] = None,
    sampler: Annotated[Sampler, typer.Option(help="What proposes networks.")] = Sampler.thompson,
    screen: Annotated[
        Screen,
        typer.Option(help="What to find out before training: auto takes a supernet where time allows."),
    ] = Screen.auto,
    screen_minutes: Annotated[
        float | None, typer.Option(help="Time for the supernet; default: a share of --minutes.")
    ] = None,
    rungs: Annotated[
        int | None,
        typer.Option(
            min=1, max=5, help="Rungs of the ladder, the better networks train longer; default: by time."
        ),
    ] = None,
    reduction: Annotated[int, typer.Option(help="One network of so many climbs to the next rung.")] = 3,
    warm_start: Annotated[
        Path | None, typer.Option(help="An earlier run of the same space to learn from.")
    ] = None,
    anchors: Annotated[
        bool, typer.Option(help="Train EfficientNet-B0 and MnasNet-A1 beside the candidates, for comparison.")
    ] = True,
    finalists: Annotated[int, typer.Option(help="Best networks that are trained again.")] = 5,
    seeds: Annotated[int, typer.Option(help="Trainings of each of them, the first included.")] = 3,
    seed: Seed = 0,
    workers: Workers = None,
    engine: EngineName = Engine.local,
    address: Address = None,
    trial_timeout: TrialTimeout = None,
    device: DeviceName = Device.auto,
    precision: PrecisionOption = Precision.auto,
    gpu_share: GpuShare = None,
    cpus_per_trial: CpusPerTrial = None,
    proxy_resolution: ProxyPixels = None,
    min_map: MinMap = None,
    images: Images = None,
    epochs: Epochs = None,
    proxy_width: ProxyWidth = None,
    run: Run = None,
    train_fn: TrainFn = None,
    storage: Storage = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and train nothing.")
    ] = False,
    as_json: Json = False,
    config: Config = None,
) -> Task:
    """Find the best network inside a budget.

    Draws networks from a search space, keeps to those whose counted cost fits, finds out what it can without
    training, trains the most promising for a short while on --data, and the best again with fresh seeds. The winner
    is a spec file, and everything that was tried lies in a run directory, which the same command goes on with.
    """
    if not dry_run:
        own_run(run)
    from effsearch.commands.baseline.baseline import run_baseline
    from effsearch.commands.baseline.options import BaselineOptions
    from effsearch.commands.baseline.tables import print_baseline, print_plan
    from effsearch.commands.proxy import ProxyOptions
    from effsearch.search.problem import SearchSettings

    if objective is Objective.accuracy:
        refuse_given(context, ("reward_exponent",), "it counts with --objective reward")
    second: Any = multi_objective and SECOND_OBJECTIVES.get(multi_objective.value, multi_objective.value)
    has_budget = any(bound is not None for bound in (budget, max_params, max_activations, max_latency))
    options = BaselineOptions(
        budget=budget if has_budget else "400M-FLOPs",
        max_params=max_params,
        max_activations=max_activations,
        max_latency=max_latency,
        latency_table=latency_table,
        space=space,
        resolution=resolution,
        num_classes=classes,
        search=SearchSettings(
            num_trials=trials,
            minutes=10.0 if trials is None and minutes is None else minutes,
            seed=seed,
            objective=objective.value,
            reward_exponent=reward_exponent,
            step_time_exponent=step_time_exponent,
            parameters_exponent=params_exponent,
            sampler=sampler.value,
            second_objective=second,
            reduction=reduction,
            num_finalists=finalists,
            num_seeds=seeds,
        ),
        proxy=ProxyOptions(
            data=data,
            min_map=min_map,
            proxy_resolution=proxy_resolution,
            num_images=images,
            num_epochs=epochs,
            width=proxy_width,
            seed=seed,
        ),
        has_anchors=anchors,
        screen=screen.value,
        screen_minutes=screen_minutes,
        num_rungs=rungs,
        warm_start=warm_start,
        placement=placement_of(
            workers=workers,
            engine=engine,
            address=address,
            trial_timeout=trial_timeout,
            device=device,
            precision=precision,
            gpu_share=gpu_share,
            cpus_per_trial=cpus_per_trial,
            run=run,
            train_fn=train_fn,
        ),
        run=run,
        runs_root=RUNS_ROOT,
        is_dry_run=dry_run,
        storage=storage,
    )
    show = print_plan if dry_run else print_baseline
    return Task(lambda watcher: run_baseline(options, watcher), show, as_json)
