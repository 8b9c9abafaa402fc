"""Options that several commands share, and what is done with them.

torch, optuna, pandas and matplotlib load inside the commands that use them, so that `--help` answers at once.
"""

import contextlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from effsearch.commands.config import read_config
from effsearch.space.errors import UsageError

if TYPE_CHECKING:
    from effsearch.commands.placement import Placement
    from effsearch.commands.watching import Watcher

RUNS_ROOT = Path("runs")

_claims: ContextVar[contextlib.ExitStack] = ContextVar("claims")  # on runs, by what is being done


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done, once all that was asked for holds: the command line does it, or `effsearch.api`."""

    work: "Callable[[Watcher], Any]"  # gives JSON values, or None in a process that only helps another
    show: Callable[[Any], None]  # prints them for people
    as_json: bool


@dataclass(frozen=True, slots=True)
class Given:
    """What a caller in Python has named: it takes the place of what was typed."""

    names: frozenset[str]


class Engine(StrEnum):
    """What does the trainings."""

    local = "local"
    ray = "ray"
    inline = "inline"


class Device(StrEnum):
    """What trainings compute on."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Precision(StrEnum):
    """In what trainings on a CPU compute their pointwise convolutions."""

    auto = "auto"
    float32 = "float32"
    bfloat16 = "bfloat16"


def load_config(context: typer.Context, path: Path | None) -> Path | None:
    """Make a settings file the defaults of a command's options; flags still win."""
    if path is not None:
        known = [name for parameter in context.command.params for name in parameter.opts]
        context.default_map = {**read_config(path, known), **(context.default_map or {})}
    return path


def refuse_given(context: typer.Context | Given, names: Sequence[str], why: str) -> None:
    """Refuse options that were typed and that nothing would read; what a settings file gives may rest there."""
    if isinstance(context, Given):
        if unread := [name for name in names if name in context.names]:
            raise UsageError(f"{why}: leave out {' and '.join(unread)}")
        return
    typed = [
        parameter
        for parameter in context.command.params
        if parameter.name in names and is_typed(context, parameter.name)
    ]
    given = [next(word for word in parameter.opts if word.startswith("--")) for parameter in typed]
    if given:
        raise UsageError(f"{why}: leave out {' and '.join(given)}")


def is_typed(context: typer.Context, name: str) -> bool:
    """Tell whether an option stands on the command line itself."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def load_train_function(word: str | None) -> str | None:
    """Import the training loop that was typed as `module:function`."""
    if word is None:
        return None
    from effsearch.proxy_train.train_function import FunctionInHand, import_by_word, take_function

    return FunctionInHand(take_function(import_by_word(word, what="--train-fn")))


def load_own_images(data: str | None) -> str | None:
    """Call the function that was typed as `module:function`, and take its images; give any other name as it is."""
    from effsearch.proxy_train.train_function import import_by_word, is_word

    if data is None or not is_word(data) or Path(data).exists():
        return data
    from effsearch.proxy_train.data.in_hand import take_images

    return take_images(import_by_word(data, what="--data"), name=data.rpartition(":")[2])


Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout.")]
Config = Annotated[
    Path | None,
    typer.Option(
        "--config", help="YAML file of options, such as 'trials: 60'.", callback=load_config, is_eager=True
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
    Engine,
    typer.Option(
        "--engine",
        help="What trains: processes of this machine, a Ray cluster, or inline, with --train-fn: this very process.",
    ),
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
PrecisionOption = Annotated[
    Precision,
    typer.Option(
        "--precision",
        help="Of pointwise convolutions in trainings on a CPU: bfloat16 is faster where the processor computes in "
        "it, and its scores are others; auto: the run's own, else float32.",
    ),
]
GpuShare = Annotated[
    float | None,
    typer.Option(help="Share of a GPU for each training, such as .25; default: as many as its memory holds."),
]
CpusPerTrial = Annotated[
    float | None, typer.Option(help="Cores that a Ray cluster counts for each training; default: one.")
]
TrainFn = Annotated[
    str | None,
    typer.Option(
        "--train-fn",
        metavar="MODULE:FUNCTION",
        callback=load_train_function,
        help="Training loop of your own, called with (spec, fidelity, seed, images), gives the accuracy in [0, 1].",
    ),
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


def placement_of(
    *,
    workers: int | None,
    engine: Engine,
    address: str | None,
    trial_timeout: float | None,
    device: Device,
    precision: Precision,
    gpu_share: float | None,
    cpus_per_trial: float | None,
    run: Path | None,
    train_fn: str | None = None,
) -> "Placement":
    """Give where trainings run, as the options that all commands share say."""
    from effsearch.commands.placement import make_placement
    from effsearch.proxy_train.train_function import FunctionInHand

    return make_placement(
        num_workers=workers,
        engine=engine.value,
        address=address,
        trial_minutes=trial_timeout,
        device=device.value,
        precision=precision.value,
        gpu_share=gpu_share,
        cpus_per_trial=cpus_per_trial,
        run=run,
        train_function=train_fn.function if isinstance(train_fn, FunctionInHand) else None,
    )


def place_one(*, device: Device, precision: Precision, run: Path | None) -> "Placement":
    """Give where the one training of a command runs: in this process."""
    return placement_of(
        workers=1,
        engine=Engine.local,
        address=None,
        trial_timeout=None,
        device=device,
        precision=precision,
        gpu_share=None,
        cpus_per_trial=None,
        run=run,
    )


def do_task(task: Task) -> None:
    """Do what was asked for, and print what came of it."""
    from effsearch.commands.watching import Watcher

    with Watcher() as watcher:
        report = task.work(watcher)
    if report is not None:  # the other processes of a training have nothing to say
        print_report(report, task.as_json, task.show)


@contextlib.contextmanager
def claims() -> Iterator[None]:
    """Keep what `own_run` claims in here until the end, whatever has become of it."""
    with contextlib.ExitStack() as stack:
        token = _claims.set(stack)
        try:
            yield
        finally:
            _claims.reset(token)


def own_run(run: Path | None) -> None:
    """Own a run's directory until the command has ended, before anything slow is loaded.

    Of several processes of a training the first does.

    Raises:
        RunError: Another process owns it.
    """
    if os.environ.get("RANK", "0") == "0":
        from effsearch.results.run_lock import claimed_run

        _claims.get().enter_context(claimed_run(run))


def print_report(report: Any, as_json: bool, print_for_people: Callable[[Any], None]) -> None:
    """Print a report for a machine, or for people."""
    if as_json:
        print(json.dumps(report, indent=2))
    else:
        print_for_people(report)
