"""What may be asked of a run that is there: plot, report, validate, repair, explain, status, dashboard."""

import sys
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from effsearch.command_line.interrupts import ends_unsaid
from effsearch.command_line.shared import (
    RUNS_ROOT,
    Address,
    Config,
    CpusPerTrial,
    Device,
    DeviceName,
    Engine,
    EngineName,
    GpuShare,
    Json,
    Precision,
    PrecisionOption,
    Task,
    TrainFn,
    TrialTimeout,
    Workers,
    own_run,
    placement_of,
    print_report,
)


class JudgedScores(StrEnum):
    """Which scores of a run longer training judges."""

    trainings = "trainings"
    screening = "screening"


def plot(
    runs: Annotated[list[Path] | None, typer.Argument(help="Runs; default: the newest baseline run.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="A .png, .svg or .pdf; default: plots/front.png of the run.")
    ] = None,
    as_json: Json = False,
) -> Task:
    """Draw what a run holds.

    A search: accuracy against FLOPs with its front and family; coefficients: their surface; an ablation: its arms; a
    family's folder: promised and built cost.
    """
    from effsearch.commands.plot import run_plot
    from effsearch.commands.run_tables import print_plot

    return Task(lambda _: run_plot(runs or [], out=out, runs_root=RUNS_ROOT), print_plot, as_json)


def report(
    run: Annotated[Path | None, typer.Argument(help="Directory of a run; default: the newest.")] = None,
    out: Annotated[Path | None, typer.Option(help="A .html file; default: report.html in the run.")] = None,
    as_json: Json = False,
) -> Task:
    """Write all that a run holds as one page that opens anywhere, offline too.

    Result and anchors, the front to point at and pick from, the network drawn, what mattered, how far to trust it,
    the family, failures, cost, commands, and every training in a table. Of a training: curves, test result, recipe.
    """
    from effsearch.commands.report import run_report
    from effsearch.commands.run_tables import print_page

    path = run or RUNS_ROOT / "latest"
    return Task(lambda _: run_report(path, out=out, now=datetime.now(UTC)), print_page, as_json)


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
    precision: PrecisionOption = Precision.auto,
    gpu_share: GpuShare = None,
    cpus_per_trial: CpusPerTrial = None,
    train_fn: TrainFn = None,
    as_json: Json = False,
    config: Config = None,
) -> Task:
    """Find out how far a run's proxy can be trusted: train a sample of its networks longer.

    Prints the rank correlation of short with longer training and what picking by the short one costs, each with an
    interval. With --of screening it judges the scores that trainings were picked by.
    """
    own_run(run)
    from effsearch.commands.run_tables import print_validation
    from effsearch.commands.validating.judged import ValidateOptions
    from effsearch.commands.validating.validate import run_validate

    options = ValidateOptions(
        run=run,
        of=of.value,
        factor=factor,
        num_networks=networks,
        minutes=minutes,
        stop_at=stop_at,
        seed=seed,
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
        runs_root=RUNS_ROOT,
    )
    return Task(lambda watcher: run_validate(options, watcher), print_validation, as_json)


def repair(
    run: Annotated[Path, typer.Argument(help="Directory of a run that something is damaged in.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it, instead of saying what would be done.")] = False,
    as_json: Json = False,
) -> Task:
    """Mend a damaged run: keep all that is whole, put aside what is not, rebuild what can be rebuilt.

    Every file is kept as it was before it is changed. Without --yes nothing is changed.
    """
    own_run(run)
    from effsearch.commands.repairing.repair import run_repair
    from effsearch.commands.repairing.tables import print_repair

    return Task(lambda _: run_repair(run, is_agreed=yes), print_repair, as_json)


def explain(
    run: Annotated[Path, typer.Argument(help="Directory of a baseline run, finished or not.")],
    space: Annotated[
        str | None, typer.Option(help="YAML file of the run's space, where the run does not keep it.")
    ] = None,
    as_json: Json = False,
) -> Task:
    """Say which choices mattered in a run, where its budget binds, and what to widen.

    From 8 trained networks on. It trains nothing: all is read off the model of the run's scores, with the doubt that
    is left.
    """
    from effsearch.commands.explaining.explain import explain_run
    from effsearch.commands.explaining.tables import print_explanation

    return Task(lambda _: explain_run(run, space=space), print_explanation, as_json)


def status(
    run: Annotated[Path | None, typer.Argument(help="Directory of a run; default: the newest.")] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until the run is no longer running.")] = False,
    as_json: Json = False,
) -> Task | None:
    """Say what a run is doing, from another terminal: how far it is, and what every worker trains.

    It only reads, so it disturbs nothing.
    """
    from effsearch.commands.run_tables import print_status
    from effsearch.commands.status import run_status, watch_status

    path = run or RUNS_ROOT / "latest"
    if watch:
        with ends_unsaid():
            watch_status(path, show=lambda report: print_report(report, as_json, print_status))
        return None
    return Task(lambda _: run_status(path), print_status, as_json)


def dashboard(
    run: Annotated[Path | None, typer.Argument(help="Directory of a run; default: the newest.")] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port on this machine; 0 takes one that is free.")
    ] = 8080,
    as_json: Json = False,
) -> None:
    """Look at a run's Optuna studies in Optuna's dashboard, on this machine alone, until Ctrl-C.

    A copy in memory is shown, and kept up to date while the run goes on. Nothing of the run is locked or written.
    """
    from effsearch.commands.dashboard import run_dashboard
    from effsearch.commands.run_tables import print_dashboard

    def show(report: dict[str, Any]) -> None:
        print_report(report, as_json, print_dashboard)
        sys.stdout.flush()  # a program that reads this waits for the address

    with ends_unsaid():
        run_dashboard(run or RUNS_ROOT / "latest", port=port, show=show)
