"""Searching, scaling, comparing and checking from Python."""

from pathlib import Path
from typing import Any, Unpack  # Any: JSON values

from effsearch.api.asking import as_network, ask, documented
from effsearch.api.options import (
    AblateOptions,
    BaselineOptions,
    PathName,
    ScaleOptions,
    ValidateOptions,
)
from effsearch.api.results import Answer, Family, Run, make_family
from effsearch.space.spec import ModelSpec

Network = Run | ModelSpec | PathName  # a run stands for its winner, a name for a preset or a spec file


@documented("baseline")
def baseline(*, progress: bool = True, **options: Unpack[BaselineOptions]) -> Run:
    """Find the best network inside a budget; the same call with the same `run` goes on where it was stopped.

    Args:
        progress: Whether stderr tells how far it is.
        options: See below. `data` may be images in hand, `space` a mapping or a `SearchSpace`, `train_fn` a training
            loop of your own.

    Raises:
        EffsearchError: An option does not hold, nothing fits, or trainings keep failing.
    """
    return Run(Path(ask("baseline", progress=progress, **options)["run"]))


@documented("baseline")
def plan_baseline(*, progress: bool = True, **options: Unpack[BaselineOptions]) -> dict[str, Any]:
    """Say what `baseline` would do with the same options, and train nothing.

    Args:
        progress: Whether stderr tells how far it is: images are decoded, and some steps timed.
        options: As those of `baseline`.

    Raises:
        EffsearchError: An option does not hold, or nothing fits.
    """
    report: dict[str, Any] = ask("baseline", progress=progress, dry_run=True, **options)
    return report


@documented("scale")
def scale(base: Network | None = None, *, progress: bool = True, **options: Unpack[ScaleOptions]) -> Family:
    """Find compound coefficients for a network, unless they are given, and write the scaled family.

    Args:
        base: A run, for its winner, a `ModelSpec`, a preset's name or a spec file; default: the newest baseline run.
        progress: Whether stderr tells how far it is.
        options: See below.

    Raises:
        EffsearchError: An option does not hold, or a network is out of reach.
    """
    return make_family(ask("scale", progress=progress, base=as_network(base), **options))


@documented("ablate")
def ablate(base: Network | None = None, *, progress: bool = True, **options: Unpack[AblateOptions]) -> Run:
    """Grow a network by depth, width, resolution or all together at equal cost, and see which pays.

    Args:
        base: As for `scale`.
        progress: Whether stderr tells how far it is.
        options: See below.

    Raises:
        EffsearchError: An option does not hold, or a network is out of reach.
    """
    return Run(Path(ask("ablate", progress=progress, base=as_network(base), **options)["run"]))


@documented("validate")
def validate(run: Run | PathName, *, progress: bool = True, **options: Unpack[ValidateOptions]) -> Answer:
    """Find out how far a run's proxy can be trusted: train a sample of its networks longer.

    Args:
        run: A baseline run, finished or not.
        progress: Whether stderr tells how far it is.
        options: See below. A run that was trained by a `train_fn` needs it again.

    Raises:
        EffsearchError: There is no such run, its data have changed, or too little can be compared.
    """
    report = ask("validate", progress=progress, run=run, **options)
    return Answer(words=(report["words"],), report=report)
