"""The command line: parse, call, print, exit code.

Results go to stdout, progress and errors to stderr. torch, optuna, pandas and matplotlib load inside the commands
that use them, so that `--help` answers at once.
"""

import json
import os
import signal
import sys
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from effsearch import __version__
from effsearch.commands.config import read_config
from effsearch.space.errors import EffsearchError, UsageError
from effsearch.space.passwords import hide_passwords

if TYPE_CHECKING:
    from effsearch.commands.placement import Placement

app = typer.Typer(
    name="effsearch",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Find an efficient image network for your data and your compute, then a whole family of it.",
)

RUNS_ROOT = Path("runs")
INTERRUPTED = 130
STOPPED = "stopped; the same command with the same --run goes on"


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


class Rule(StrEnum):
    """By which rule a family grows."""

    strict = "strict"
    official = "official"
    solve = "solve"
    dwr = "dwr"


class JudgedScores(StrEnum):
    """Which scores of a run longer training judges."""

    trainings = "trainings"
    screening = "screening"


class Engine(StrEnum):
    """What does the trainings."""

    local = "local"
    ray = "ray"


class Device(StrEnum):
    """What trainings compute on."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Method(StrEnum):
    """How coefficients are searched."""

    grid = "grid"
    random = "random"


def _show_version(is_asked: bool) -> None:
    if is_asked:
        print(f"effsearch {__version__}")
        raise typer.Exit


def _load_config(context: typer.Context, path: Path | None) -> Path | None:
    """Make a settings file the defaults of a command's options; flags still win."""
    if path is not None:
        known = [name for parameter in context.command.params for name in parameter.opts]
        context.default_map = {**read_config(path, known), **(context.default_map or {})}
    return path


def _refuse_given(context: typer.Context, names: Sequence[str], why: str) -> None:
    """Refuse options that were typed and that nothing would read; what a settings file gives may rest there."""
    typed = [
        parameter
        for parameter in context.command.params
        if parameter.name in names and _is_typed(context, parameter.name)
    ]
    given = [next(word for word in parameter.opts if word.startswith("--")) for parameter in typed]
    if given:
        raise UsageError(f"{why}: leave out {' and '.join(given)}")


def _is_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


_SEARCH_OPTIONS = (
    *("search", "grid_step", "data", "trials", "minutes", "seeds", "check", "seed", "workers", "run"),
    *("proxy_resolution", "min_map", "images", "epochs", "proxy_width"),
    *("engine", "address", "trial_timeout", "device", "gpu_share", "cpus_per_trial", "storage"),
)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", help="YAML file of options, such as 'trials: 60'.", callback=_load_config, is_eager=True
    ),
]
Seed = Annotated[
    int,
    typer.Option(
        min=0,
        max=2**31 - 1,
        help="Seed of everything that is drawn; proposals repeat exactly with --workers 1.",
    ),
]
Workers = Annotated[
    int | None,
    typer.Option(help="Trainings side by side; default: one for each core, here or of the cluster."),
]
EngineName = Annotated[
    Engine, typer.Option("--engine", help="What trains: processes of this machine, or a Ray cluster.")
]
Address = Annotated[
    str | None,
    typer.Option(
        help="Ray cluster: host:port of its head, or auto on one of its nodes; default: one started here."
    ),
]
TrialTimeout = Annotated[
    float | None,
    typer.Option(
        metavar="MINUTES",
        help="A training that takes longer is stopped and tried once more; default: by what it is expected to take.",
    ),
]
DeviceName = Annotated[
    Device,
    typer.Option("--device", help="What trains; auto: the run's own device, else a GPU where there is one."),
]
GpuShare = Annotated[
    float | None,
    typer.Option(help="Share of a GPU for each training, such as .25; default: as many as its memory holds."),
]
CpusPerTrial = Annotated[
    float | None, typer.Option(help="Cores that a Ray cluster counts for each training; default: one.")
]
Run = Annotated[
    Path | None, typer.Option("--run", help="Run directory; the same command on the same one goes on.")
]
Storage = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="Data base for Optuna's tools to read the studies from, beside the run directory; none writes to none.",
    ),
]
Classes = Annotated[
    int | None, typer.Option(min=1, max=1_000_000, help="Classes to count with; default: the data's.")
]
ProxyPixels = Annotated[
    int | None, typer.Option(help="Pixels the proxy trains at; default: the images' own size, at most 64.")
]
MinMap = Annotated[
    int | None, typer.Option(help="Least side of the last map; strides come off the front for it.")
]
Images = Annotated[int | None, typer.Option(help="Training images of one proxy training.")]
Epochs = Annotated[int | None, typer.Option(help="Epochs of one proxy training.")]
ProxyWidth = Annotated[float | None, typer.Option(help="Width multiplier of the proxy's networks.")]


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_show_version, is_eager=True)
    ] = False,
) -> None:
    pass


@app.command(
    epilog="[bold]Examples[/]\n\n"
    "effsearch baseline --budget 400M-FLOPs\n\n"
    "effsearch baseline --budget 400M-FLOPs --data photos/ --minutes 60 --run runs/photos\n\n"
    "effsearch baseline --budget 60M-FLOPs --max-params 2M --space nas-bench-macro --data cifar10 --trials 50"
)
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
    space: Annotated[str, typer.Option(help="Shipped search space, or a YAML file of one.")] = "mbconv",
    data: Annotated[
        str, typer.Option(help="synthetic, cifar10, an image folder or an archive.")
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
            help="Seek the whole front of accuracy against this, inside the budget. Latency is sought by FLOPs, and "
            "measured of every network trained."
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
    gpu_share: GpuShare = None,
    cpus_per_trial: CpusPerTrial = None,
    proxy_resolution: ProxyPixels = None,
    min_map: MinMap = None,
    images: Images = None,
    epochs: Epochs = None,
    proxy_width: ProxyWidth = None,
    run: Run = None,
    storage: Storage = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done, and train nothing.")
    ] = False,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Find the best network inside a budget."""
    from effsearch.commands.baseline.baseline import run_baseline
    from effsearch.commands.baseline.plan import BaselineOptions
    from effsearch.commands.proxy import ProxyOptions
    from effsearch.commands.tables import print_baseline, print_plan
    from effsearch.commands.watching import Watcher
    from effsearch.search.problem import SearchSettings

    if objective is Objective.accuracy:
        _refuse_given(context, ("reward_exponent",), "it counts with --objective reward")
    second: Any = multi_objective and SECOND_OBJECTIVES.get(multi_objective.value, multi_objective.value)
    has_budget = budget is not None or max_params is not None or max_activations is not None
    options = BaselineOptions(
        budget=budget if has_budget else "400M-FLOPs",
        max_params=max_params,
        max_activations=max_activations,
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
        placement=_placement(workers, engine, address, trial_timeout, device, gpu_share, cpus_per_trial, run),
        run=run,
        runs_root=RUNS_ROOT,
        is_dry_run=dry_run,
        storage=storage,
    )
    with Watcher() as watcher:
        report = run_baseline(options, watcher)
    _print(report, as_json, print_plan if dry_run else print_baseline)


@app.command(
    epilog="[bold]Examples[/]\n\n"
    "effsearch scale --phi 1..7\n\n"
    "effsearch scale --base efficientnet-b0 --coefficients 1.2,1.1,1.15 --rule solve --phi -2..3\n\n"
    "effsearch scale --base mobilenet-v2 --rule solve --budgets 800M,1.6G,3.2G-FLOPs\n\n"
    "effsearch scale --base runs/photos --search random --minutes 30 --phi 0.5,1,2"
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
        str | None, typer.Option(help="Images to search on; default: the base run's, else synthetic.")
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
    storage: Storage = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Find compound coefficients for a network, and write the scaled family."""
    from effsearch.commands.inputs import parse_phis
    from effsearch.commands.scaling.family_tables import print_family
    from effsearch.commands.scaling.options import ScaleOptions
    from effsearch.commands.scaling.scale import run_scale
    from effsearch.commands.watching import Watcher
    from effsearch.space.scaling import BuildRules

    if budgets is not None and (phi is not None or rule not in (Rule.solve, Rule.dwr)):
        raise UsageError(
            "--budgets says what is to be met: give it with --rule solve or dwr, and without --phi"
        )
    needs_coefficients = rule in (Rule.strict, Rule.solve)
    is_searching = coefficients is None and needs_coefficients
    if not is_searching:
        what = "--coefficients" if needs_coefficients else f"--rule {rule.value}"
        _refuse_given(context, _SEARCH_OPTIONS, f"{what} searches nothing")
    if not needs_coefficients:
        _refuse_given(context, ("tolerance",), f"--rule {rule.value} has no surface")
    if rule is not Rule.dwr:
        _refuse_given(context, ("dwr_exponent",), f"--rule {rule.value} has no such exponent")
    if search is Method.random:
        _refuse_given(context, ("grid_step",), "--search random has no grid")
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
        placement=_placement(
            workers,
            engine,
            address,
            trial_timeout,
            device if is_searching else Device.cpu,
            gpu_share,
            cpus_per_trial,
            run,
        ),
        search=settings,
        proxy=proxy_options,
        storage=storage,
    )
    with Watcher() as watcher:
        report = run_scale(options, watcher)
    _print(report, as_json, print_family)


@app.command(
    epilog="[bold]Examples[/]\n\neffsearch ablate --base efficientnet-b0 --factor 4 --data cifar10 --minutes 60\n\n"
    "effsearch ablate --base runs/photos --factor 2,4,8 --arms depth,width,compound\n\n"
    "effsearch ablate --base runs/photos --coefficients runs/scale-photos --longer 4"
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
        str | None, typer.Option(help="Images to train on; default: the base run's, else synthetic.")
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
) -> None:
    """Grow a network by depth, width, resolution or all together at equal cost, and see which pays."""
    from effsearch.commands.ablating.ablate import run_ablate
    from effsearch.commands.ablating.inputs import parse_arms, parse_factors
    from effsearch.commands.ablating.plan import AblateOptions
    from effsearch.commands.ablating.tables import print_ablation
    from effsearch.commands.proxy import ProxyOptions
    from effsearch.commands.watching import Watcher
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
        placement=_placement(workers, engine, address, trial_timeout, device, gpu_share, cpus_per_trial, run),
        run=run,
        runs_root=RUNS_ROOT,
    )
    with Watcher() as watcher:
        report = run_ablate(options, watcher)
    _print(report, as_json, print_ablation)


@app.command(
    epilog="[bold]Examples[/]\n\neffsearch plot\n\neffsearch plot runs/photos runs/b --out front.svg"
)
def plot(
    runs: Annotated[list[Path] | None, typer.Argument(help="Runs; default: the newest baseline run.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="A .png, .svg or .pdf; default: plots/front.png of the run.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Draw what a run holds.

    A search: accuracy against FLOPs with its front and family; coefficients: their surface; an ablation: its arms; a
    family's folder: promised and built cost.
    """
    from effsearch.commands.plot import run_plot
    from effsearch.commands.tables import print_plot

    _print(run_plot(runs or [], out=out, runs_root=RUNS_ROOT), as_json, print_plot)


@app.command(
    epilog="[bold]Examples[/]\n\neffsearch validate runs/photos\n\n"
    "effsearch validate runs/photos --of screening --networks 40 --stop-at 0.7 --minutes 60"
)
def validate(
    run: Annotated[Path, typer.Argument(help="Directory of a baseline run, finished or not.")],
    of: Annotated[
        JudgedScores, typer.Option(help="What is judged: the run's trainings, or the screening before them.")
    ] = JudgedScores.trainings,
    factor: Annotated[int, typer.Option(help="Epochs for each of the proxy's.")] = 4,
    networks: Annotated[
        int, typer.Option(help="Networks to train, spread over the proxy's ranking; its best is always in.")
    ] = 12,
    minutes: Annotated[float | None, typer.Option(help="Time for this call; default: no limit.")] = None,
    stop_at: Annotated[
        float | None, typer.Option(help="Stop once Kendall's tau is surely above or below this, such as 0.7.")
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, max=2**31 - 1, help="Seed of sample and trainings; default: the run's."),
    ] = None,
    workers: Workers = None,
    engine: EngineName = Engine.local,
    address: Address = None,
    trial_timeout: TrialTimeout = None,
    device: DeviceName = Device.auto,
    gpu_share: GpuShare = None,
    cpus_per_trial: CpusPerTrial = None,
    as_json: Json = False,
    config: Config = None,
) -> None:
    """Find out how far a run's proxy can be trusted: train a sample of its networks longer."""
    from effsearch.commands.tables import print_validation
    from effsearch.commands.validate import ValidateOptions, run_validate
    from effsearch.commands.watching import Watcher

    options = ValidateOptions(
        run=run,
        of=of.value,
        factor=factor,
        num_networks=networks,
        minutes=minutes,
        stop_at=stop_at,
        seed=seed,
        placement=_placement(workers, engine, address, trial_timeout, device, gpu_share, cpus_per_trial, run),
        runs_root=RUNS_ROOT,
    )
    with Watcher() as watcher:
        report = run_validate(options, watcher)
    _print(report, as_json, print_validation)


@app.command(
    epilog="[bold]Examples[/]\n\neffsearch explain runs/photos\n\n"
    "effsearch explain runs/mine --space mine.yaml --json"
)
def explain(
    run: Annotated[Path, typer.Argument(help="Directory of a baseline run, finished or not.")],
    space: Annotated[
        str | None, typer.Option(help="YAML file of the run's space, where the run does not keep it.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say which choices mattered in a run, where its budget binds, and what to widen."""
    from effsearch.commands.explaining.explain import explain_run
    from effsearch.commands.tables import print_explanation

    _print(explain_run(run, space=space), as_json, print_explanation)


@app.command(epilog="[bold]Examples[/]\n\neffsearch status\n\neffsearch status runs/photos --watch")
def status(
    run: Annotated[Path | None, typer.Argument(help="Directory of a run; default: the newest.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until the run is no longer running.")] = False,
    as_json: Json = False,
) -> None:
    """Say what a run is doing, from another terminal: how far it is, and what every worker trains."""
    from effsearch.commands.status import run_status, watch_status
    from effsearch.commands.tables import print_status

    path = run or RUNS_ROOT / "latest"
    if watch:
        watch_status(path, show=lambda report: _print(report, as_json, print_status))
    else:
        _print(run_status(path), as_json, print_status)


@app.command(epilog="[bold]Example[/]\n\neffsearch profile efficientnet-b0 --json")
def profile(
    network: Annotated[str, typer.Argument(help="Preset or spec file.")],
    resolution: Annotated[
        int | None, typer.Option(min=1, max=4096, help="Pixels; default: the network's own.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=1, max=1_000_000, help="Classes; default: the network's own.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Count what a network costs, and compare with fvcore and torch."""
    from effsearch.commands.profile import profile_network
    from effsearch.commands.tables import print_profile

    _print(profile_network(network, resolution=resolution, num_classes=classes), as_json, print_profile)


@app.command()
def spaces(as_json: Json = False) -> None:
    """List the search spaces that come with effsearch."""
    from effsearch.commands.listings import describe_spaces
    from effsearch.commands.tables import print_listing

    _print(describe_spaces(), as_json, print_listing)


@app.command()
def presets(as_json: Json = False) -> None:
    """List the known networks that come with effsearch."""
    from effsearch.commands.listings import describe_presets
    from effsearch.commands.tables import print_listing

    _print(describe_presets(), as_json, print_listing)


def _placement(
    workers: int | None,
    engine: Engine,
    address: str | None,
    trial_timeout: float | None,
    device: Device,
    gpu_share: float | None,
    cpus_per_trial: float | None,
    run: Path | None,
) -> "Placement":
    """Give where trainings run, as the options that all commands share say."""
    from effsearch.commands.placement import make_placement

    return make_placement(
        num_workers=workers,
        engine=engine.value,
        address=address,
        trial_minutes=trial_timeout,
        device=device.value,
        gpu_share=gpu_share,
        cpus_per_trial=cpus_per_trial,
        run=run,
    )


def _print(report: Any, as_json: bool, print_for_people: Any) -> None:
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        print_for_people(report)


def _end_by_signal(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def main() -> None:
    """Run the command line; every error is one line on stderr."""
    signal.signal(signal.SIGTERM, _end_by_signal)
    # The driver's matrices are small and its workers have all the cores: with two threads here, each waiting for a
    # busy core, reading the importance off 200 trainings took 20 to 67 s; with one 2 to 3 s. Before numpy loads.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    command = typer.main.get_command(app)
    try:
        exit_code = command.main(standalone_mode=False) or 0
        if exit_code == INTERRUPTED:  # the parser turns Ctrl-C into this
            _fail(STOPPED, INTERRUPTED)
        sys.exit(exit_code)
    except EffsearchError as error:
        _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        _fail(STOPPED, INTERRUPTED)
    except BrokenPipeError:  # the reader of stdout has left, as `head` does
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        if (
            hasattr(error, "format_message") and not error.format_message()
        ):  # no command: the help was printed
            sys.exit(2)
        if hasattr(error, "format_message"):  # what the command line parser could not read
            _fail(error.format_message(), 2)
        _fail(hide_passwords(f"a bug in effsearch, please report it: {type(error).__name__}: {error}"), 1)


def _fail(message: str, exit_code: int) -> None:
    print(f"effsearch: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(exit_code)


if __name__ == "__main__":
    main()
