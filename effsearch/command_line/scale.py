"""effsearch scale: what it may be asked."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from effsearch.command_line.shared import (
    RUNS_ROOT,
    Address,
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
from effsearch.space.errors import UsageError


class Rule(StrEnum):
    """By which rule a family grows."""

    strict = "strict"
    official = "official"
    solve = "solve"
    dwr = "dwr"


class Method(StrEnum):
    """How coefficients are searched."""

    grid = "grid"
    random = "random"


SEARCH_OPTIONS = (
    *("search", "grid_step", "data", "trials", "minutes", "seeds", "check", "seed", "workers", "run"),
    *("proxy_resolution", "min_map", "images", "epochs", "proxy_width"),
    *(
        "engine",
        "address",
        "trial_timeout",
        "device",
        "precision",
        "gpu_share",
        "cpus_per_trial",
        "train_fn",
        "storage",
    ),
)


def scale(
    context: typer.Context,
    phi: Annotated[
        str | None, typer.Option(help="1..7 (the default), -4..-1, or a list such as 0.5,1,1.5.")
    ] = None,
    base: Annotated[
        str | None, typer.Option(help="Run, spec file or preset; default: the newest baseline run.")
    ] = None,
    rule: Annotated[
        Rule,
        typer.Option(
            help="strict: alpha^phi, beta^phi, gamma^phi. solve: the exponent at which the built network costs 2^phi "
            "times the base. official: the published EfficientNets. dwr: mostly width, for few activations."
        ),
    ] = Rule.strict,
    coefficients: Annotated[
        str | None, typer.Option(help="alpha,beta,gamma such as 1.2,1.1,1.15; nothing is searched then.")
    ] = None,
    budgets: Annotated[
        str | None, typer.Option(help="Costs for solve or dwr to meet, in place of --phi: 800M,1.6G-FLOPs.")
    ] = None,
    dwr_exponent: Annotated[float, typer.Option(help="Share of the cost that dwr gives to width.")] = 0.8,
    max_resolution: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Pixels at the most; EfficientNetV2 stops at 480.")
    ] = None,
    resolution_multiple: Annotated[int, typer.Option(help="Resolutions are multiples of it.")] = 1,
    fix_stem_head: Annotated[
        bool,
        typer.Option(
            "--fix-stem-head", help="Keep stem, head, and the first and last stage's repeats, as Lite does."
        ),
    ] = False,
    divisor: Annotated[int, typer.Option(help="Channels are multiples of it.")] = 8,
    floor: Annotated[
        bool, typer.Option(help="Round up where channels would fall below 90 per cent of what is wanted.")
    ] = True,
    search: Annotated[Method, typer.Option(help="How the coefficients are searched.")] = Method.grid,
    grid_step: Annotated[float, typer.Option(help="Step of the grid.")] = 0.05,
    tolerance: Annotated[
        float, typer.Option(help="How far alpha * beta^2 * gamma^2 may be from 2, strictly.")
    ] = 0.1,
    data: Annotated[
        str | None,
        typer.Option(
            help="Images to search on; default: the base run's, else synthetic.", callback=load_own_images
        ),
    ] = None,
    trials: Annotated[int | None, typer.Option(help="Networks to train, over all resumes.")] = None,
    minutes: Annotated[
        float | None, typer.Option(help="Time for all, over all resumes; 10 where no --trials is given.")
    ] = None,
    seeds: Annotated[
        int, typer.Option(help="Trainings of each of the best; the others get fewer the worse they look.")
    ] = 5,
    check: Annotated[
        bool, typer.Option(help="Train the best three four times longer, to see whether their order holds.")
    ] = False,
    resolution: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Pixels of the base; default: its own.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Classes; default: the base's.")
    ] = None,
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
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the family; default: family/ of the base's run, else NAME-family."),
    ] = None,
    run: Run = None,
    train_fn: TrainFn = None,
    storage: Storage = None,
    as_json: Json = False,
    config: Config = None,
) -> Task:
    """Find compound coefficients for a network, and write the scaled family.

    Takes the newest run's winner, or --base. Without --coefficients it trains ways of growing it that cost the same,
    and says which depth, width and resolution pay. With them, or by the rules official and dwr, nothing is trained.
    Every table has what the formula promises beside what is built.
    """
    own_run(run)
    from effsearch.commands.inputs import parse_phis
    from effsearch.commands.scaling.family_tables import print_family
    from effsearch.commands.scaling.options import ScaleOptions
    from effsearch.commands.scaling.scale import run_scale
    from effsearch.space.scaling import BuildRules

    if budgets is not None and (phi is not None or rule not in (Rule.solve, Rule.dwr)):
        raise UsageError(
            "--budgets says what is to be met: give it with --rule solve or dwr, and without --phi"
        )
    needs_coefficients = rule in (Rule.strict, Rule.solve)
    is_searching = coefficients is None and needs_coefficients
    if not is_searching:
        what = "--coefficients" if needs_coefficients else f"--rule {rule.value}"
        refuse_given(context, SEARCH_OPTIONS, f"{what} searches nothing")
    if not needs_coefficients:
        refuse_given(context, ("tolerance",), f"--rule {rule.value} has no surface")
    if rule is not Rule.dwr:
        refuse_given(context, ("dwr_exponent",), f"--rule {rule.value} has no such exponent")
    if search is Method.random:
        refuse_given(context, ("grid_step",), "--search random has no grid")
    settings: Any = None
    proxy_options: Any = None
    if is_searching:
        from effsearch.commands.proxy import ProxyOptions
        from effsearch.search.coefficients.settings import CoefficientSettings

        settings = CoefficientSettings(
            method=search.value,
            grid_step=grid_step,
            tolerance=tolerance,
            num_trials=trials,
            minutes=10.0 if trials is None and minutes is None else minutes,
            seed=seed,
            num_seeds=seeds,
            has_check=check,
        )
        proxy_options = ProxyOptions(
            data=data or "",
            min_map=min_map,
            proxy_resolution=proxy_resolution,
            num_images=images,
            num_epochs=epochs,
            width=proxy_width,
            seed=seed,
        )
    options = ScaleOptions(
        base=base,
        rule=rule.value,
        phis=None if budgets is not None else parse_phis(phi or "1..7"),
        budgets=budgets,
        coefficients=coefficients,
        tolerance=tolerance,
        dwr_exponent=dwr_exponent,
        build=BuildRules(
            divisor=divisor,
            has_floor=floor,
            has_fixed_ends=fix_stem_head,
            resolution_multiple=resolution_multiple,
            max_resolution=max_resolution,
        ),
        out=out,
        num_classes=classes,
        resolution=resolution,
        run=run,
        runs_root=RUNS_ROOT,
        placement=placement_of(
            workers=workers,
            engine=engine,
            address=address,
            trial_timeout=trial_timeout,
            device=device if is_searching else Device.cpu,
            precision=precision,
            gpu_share=gpu_share,
            cpus_per_trial=cpus_per_trial,
            run=run,
            train_fn=train_fn,
        ),
        search=settings,
        proxy=proxy_options,
        storage=storage,
    )
    return Task(lambda watcher: run_scale(options, watcher), print_family, as_json)
