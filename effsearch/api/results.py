"""What does a program get back from a call, and from a run directory?

Values only: everything is read from what the run has written, so a run that was made elsewhere opens the same way,
and nothing in it is ever executed. `report` of each holds all that `--json` prints.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any  # Any: JSON values

from effsearch.space.coefficients import ScalingCoefficients
from effsearch.space.cost import Cost, count_cost
from effsearch.space.errors import RunError, UsageError
from effsearch.space.spec import ModelSpec

if TYPE_CHECKING:
    import pandas as pd

Report = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A network that a search has scored."""

    name: str
    spec: ModelSpec = field(repr=False)  # at the resolution and classes that the budget was counted with
    cost: Cost
    accuracy: float | None  # mean over its trainings on validation images, in [0, 1]
    accuracies: tuple[float, ...]
    expected_score: float | None  # what a training would come to on average, all that is known counted
    network_hash: str
    spec_path: Path


@dataclass(frozen=True, init=False)
class Run:
    """A run directory of a command that searches or trains, whether it goes on, has ended or was stopped.

    Args:
        path: The directory; `runs/latest` is the newest.

    Raises:
        UsageError: There is no run at the path.
    """

    path: Path

    def __init__(self, path: str | PathLike[str]) -> None:
        from effsearch.results.run_files import read_settings

        object.__setattr__(self, "path", Path(path))
        read_settings(self.path)

    @cached_property
    def command(self) -> str:
        """What made it, such as "baseline"."""
        from effsearch.results.run_files import read_settings

        return read_settings(self.path).command

    @property
    def settings(self) -> Report:
        """All that was asked and settled, as JSON values."""
        from effsearch.results.run_files import read_settings

        return read_settings(self.path).settings

    @property
    def is_finished(self) -> bool:
        """Whether it has come to a result."""
        from effsearch.results.run_files import has_report

        return has_report(self.path)

    @property
    def report(self) -> Report:
        """Its result, as JSON values.

        Raises:
            UsageError: It has none yet.
        """
        from effsearch.results.run_files import read_report

        found = read_report(self.path)
        if found is None:
            raise UsageError(
                f"{self.path} has no result yet: the same call with run={str(self.path)!r} goes on"
            )
        return found

    @property
    def best(self) -> Found:
        """The winner of a search; of the widest budget where there are several.

        Raises:
            UsageError: The run has no result yet, or is no search for a network.
        """
        return self._found(self._of_search("best"), "best")

    @property
    def winners(self) -> tuple[Found, ...]:
        """The winner of each budget, ascending; raises as `best` does."""
        return tuple(self._found(row) for row in self._of_search("winners"))

    @property
    def finalists(self) -> tuple[Found, ...]:
        """The networks that were trained several times, best first; raises as `best` does."""
        return tuple(self._found(row) for row in self._of_search("finalists"))

    @property
    def anchors(self) -> tuple[Found, ...]:
        """The known networks that were trained for comparison; raises as `best` does."""
        return tuple(self._found(row) for row in self._of_search("anchors"))

    @property
    def trials(self) -> "pd.DataFrame":
        """One row for each training so far, oldest first, as in `trials.csv`; of a run that goes on too."""
        from effsearch.results.ledger import read_entries
        from effsearch.results.run_files import LEDGER_FILE
        from effsearch.results.trials import trials_frame

        path = self.path / LEDGER_FILE
        return trials_frame(read_entries(path) if path.exists() else [])

    @property
    def certificate(self) -> str | None:
        """How far its proxy can be trusted, in a line; None where nobody has validated it."""
        from effsearch.results.certificate import words_of_run

        return words_of_run(self.path)

    def _of_search(self, name: str) -> Any:
        if self.command != "baseline":
            raise UsageError(
                f"{self.path} is a {self.command} run, and has no {name}: its report says what it found"
            )
        return self.report[name]

    def _found(self, row: Report, file: str | None = None) -> Found:
        # Runs are moved and copied: the file is looked for in the run, not where it once lay.
        path = self.path / "specs" / (f"{file}.json" if file else Path(row["spec_path"]).name)
        spec = _read_spec(path)
        return Found(
            name=row["name"],
            spec=spec,
            cost=count_cost(spec),
            accuracy=row["accuracy"],
            accuracies=tuple(row.get("accuracies", ())),
            expected_score=row.get("expected_score"),
            network_hash=row["network_hash"],
            spec_path=path,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A network of a family."""

    name: str
    phi: float
    spec: ModelSpec = field(repr=False)
    cost: Cost
    nominal_multiply_adds: int  # what the rule promises
    spec_path: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What `scale` made of a network."""

    path: Path  # the folder
    members: tuple[Member, ...]
    coefficients: ScalingCoefficients | None  # None where the rule has its own
    run: Run | None  # of the search for coefficients; None where none was searched
    report: Report = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """What `train` came to."""

    run: Run
    name: str
    spec: ModelSpec = field(repr=False)  # as it was trained
    accuracy: float  # of the best epoch on validation images, top-1, in [0, 1]
    test_accuracy: float  # of the same weights on test images, looked at once
    weights: Path  # safetensors
    report: Report = field(repr=False)

    @property
    def path(self) -> Path:
        """The run directory, so that a training stands for its network elsewhere."""
        return self.run.path

    @property
    def history(self) -> "pd.DataFrame":
        """One row for each epoch."""
        import pandas as pd

        return pd.read_csv(self.report["history"])


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What `export` wrote."""

    path: Path  # the file that was asked for
    files: tuple[Path, ...]  # with those beside it
    cost: tuple[int, int]  # multiply-adds and parameters
    report: Report = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What a network costs for one image, by three counts."""

    name: str
    cost: Cost
    resolution: int  # pixels
    num_classes: int
    fvcore_total: int  # with norms and pooling
    torch_flops: int  # two for each multiply-add
    parts: Mapping[str, Cost]
    median_seconds: Mapping[str, float]  # of a pass, by runtime; empty unless it was timed
    report: Report = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What `explain`, `validate` or `status` says."""

    words: tuple[str, ...]  # for people
    report: Report = field(repr=False)


def make_family(report: Report) -> Family:
    """Give the value behind the report of `scale`."""
    members = []
    for row in report["family"]:
        spec = _read_spec(Path(row["spec_path"]))
        members.append(
            Member(
                name=row["name"],
                phi=row["phi"],
                spec=spec,
                cost=count_cost(spec),
                nominal_multiply_adds=row["nominal_multiply_adds"],
                spec_path=Path(row["spec_path"]),
            )
        )
    coefficients = report["coefficients"]
    return Family(
        path=members[0].spec_path.parent,
        members=tuple(members),
        coefficients=None if coefficients is None else ScalingCoefficients(**coefficients),
        run=Run(Path(report["run"])) if "run" in report else None,
        report=report,
    )


def make_training(report: Report) -> Training:
    """Give the value behind the report of `train`."""
    return Training(
        run=Run(Path(report["run"])),
        name=report["network"],
        spec=_read_spec(Path(report["spec_path"])),
        accuracy=report["best"]["accuracy"],
        test_accuracy=report["test"]["accuracy"],
        weights=Path(report["weights"]),
        report=report,
    )


def make_exported(report: Report) -> Exported:
    """Give the value behind the report of `export`."""
    files = tuple(Path(one["path"]) for one in report["files"])
    return Exported(
        path=files[0], files=files, cost=(report["multiply_adds"], report["params"]), report=report
    )


def make_profile(report: Report) -> Profile:
    """Give the value behind the report of `profile`."""

    def cost(row: Report) -> Cost:
        return Cost(
            multiply_adds=row["multiply_adds"], parameters=row["params"], activations=row["activations"]
        )

    return Profile(
        name=report["name"],
        cost=cost(report),
        resolution=report["resolution"],
        num_classes=report["classes"],
        fvcore_total=report["fvcore_total"],
        torch_flops=report["torch_flops"],
        parts={row["part"]: cost(row) for row in report["parts"]},
        median_seconds={
            row["conditions"]["runtime"]: row["whole"]["median"] for row in report.get("latency", ())
        },
        report=report,
    )


def _read_spec(path: Path) -> ModelSpec:
    from effsearch.space.text import from_json

    try:
        return from_json(path.read_text("utf-8"), source=str(path))
    except OSError as error:
        raise RunError(f"cannot read {path}: {error.strerror}") from error
