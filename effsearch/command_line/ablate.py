"""effsearch ablate: what it may be asked."""

from typing import Annotated

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
    Run,
    Seed,
    Task,
    TrialTimeout,
    Workers,
    load_own_images,
    own_run,
    placement_of,
)


def ablate(
    base: Annotated[
        str | None, typer.Option(help="Run, spec file or preset; default: the newest baseline run.")
    ] = None,
    factor: Annotated[str, typer.Option(help="On the base's cost as trained: 4, or several: 2,4,8.")] = "4",
    arms: Annotated[
        str,
        typer.Option(
            help="What to compare beside the base; paper adds the paper's compound to one of your own."
        ),
    ] = "depth,width,resolution,compound,dwr",
    coefficients: Annotated[
        str | None,
        typer.Option(help="Of compound: alpha,beta,gamma or a scale run; default: the paper's 1.2,1.1,1.15."),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            help="Images to train on; default: the base run's, else synthetic.", callback=load_own_images
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Trainings of each network.")] = 5,
    longer: Annotated[int, typer.Option(help="Epochs for each of the proxy's.")] = 1,
    minutes: Annotated[
        float | None, typer.Option(help="Time for all, over all resumes; default: no limit.")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(help="Share of the wanted cost that a built one may differ by.")
    ] = 0.01,
    seed: Seed = 0,
    workers: Workers = None,
    engine: EngineName = Engine.local,
    address: Address = None,
    trial_timeout: TrialTimeout = None,
    device: DeviceName = Device.auto,
    precision: PrecisionOption = Precision.auto,
    gpu_share: GpuShare = None,
    cpus_per_trial: CpusPerTrial = None,
    proxy_resolution: Annotated[
        int | None,
        typer.Option(
            help="Pixels the base trains at; default: so few that the largest factor ends at the images' own size."
        ),
    ] = None,
    min_map: MinMap = None,
    images: Images = None,
    epochs: Epochs = None,
    run: Run = None,
    as_json: Json = False,
    config: Config = None,
) -> Task:
    """Grow a network by depth, width, resolution or all together at equal cost, and see which pays.

    Each way of growing is an arm; arms are built to the same cost within --tolerance, trained alike over shared
    seeds, and compared in pairs with 95 per cent intervals.
    """
    own_run(run)
    from effsearch.commands.ablating.ablate import run_ablate
    from effsearch.commands.ablating.inputs import parse_arms, parse_factors
    from effsearch.commands.ablating.plan import AblateOptions
    from effsearch.commands.ablating.tables import print_ablation
    from effsearch.commands.proxy import ProxyOptions
    from effsearch.search.ablation import AblationSettings

    options = AblateOptions(
        base=base,
        coefficients=coefficients,
        settings=AblationSettings(
            arms=parse_arms(arms),
            factors=parse_factors(factor),
            num_seeds=seeds,
            longer=longer,
            minutes=minutes,
            seed=seed,
            tolerance=tolerance,
        ),
        proxy=ProxyOptions(
            data=data or "",
            min_map=min_map,
            proxy_resolution=proxy_resolution,
            num_images=images,
            num_epochs=epochs,
            seed=seed,
        ),
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
        ),
        run=run,
        runs_root=RUNS_ROOT,
    )
    return Task(lambda watcher: run_ablate(options, watcher), print_ablation, as_json)
