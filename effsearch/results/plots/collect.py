"""What is there to draw in these run directories?"""

import dataclasses
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any  # a JSON value

from effsearch.results.effort import fidelity_effort
from effsearch.results.json_files import read_json
from effsearch.results.ledger import LedgerEntry, read_entries
from effsearch.results.plots.front_data import Family, FamilyMember, FrontPlot, FrontPoint, FrontSeries
from effsearch.results.plots.rows import int_of, number_of, rows_in
from effsearch.results.plots.scales import format_multiply_adds
from effsearch.results.run_files import (
    FAMILY_FILE,
    LEDGER_FILE,
    REPORT_FILE,
    SETTINGS_FILE,
    read_report,
    read_settings,
)
from effsearch.space.errors import UsageError

# Scores of separate trainings at the target resolution, a rung's being a longer one. Screening scores, trainings that
# check the proxy, scaled networks and test scores are other quantities.
RANKED_KINDS = frozenset({"trial", "confirm", "anchor", "rung"})


def collect_front(run_paths: Sequence[Path]) -> FrontPlot:
    """The picture of the searches in some runs, and of the families scaled from them.

    A network has one accuracy: the mean over its seeds at its dearest fidelity, failures left out. Where the
    report says which seeds a mean was taken over, those are taken. A run that is still going on is drawn as
    far as it has come, without a winner.

    Args:
        run_paths: Directories of baseline runs and of scale runs, at least one of the first kind.

    Raises:
        UsageError: There is no run, none has a score yet, or they were scored on different data.
        RunError: A file of a run cannot be read.
    """
    runs = list({run.resolve(): run for run in run_paths}.values())
    scored: dict[Path, list[LedgerEntry]] = {}
    families: list[Family] = []
    for run in runs:
        read_settings(run)  # says what is wrong where there is no run
        entries = [
            entry
            for entry in read_entries(run / LEDGER_FILE)
            if entry.has_succeeded and entry.kind in RANKED_KINDS
        ]
        if entries:
            scored[run] = entries
        families += _families_of(run)
    if not scored:
        raise UsageError(
            f"nothing to plot in {', '.join(str(run) for run in run_paths)}: no network was scored there yet"
        )
    _refuse_different_data(scored)
    series = [_series_of(run, entries) for run, entries in scored.items()]
    return FrontPlot(
        title=_title(list(scored), series),
        series=tuple(series),
        families=tuple(dict.fromkeys(families)),
        resolution=_common_resolution(scored.values()),
        notes=(*_notes(scored.values(), series), *_family_notes(families)),
    )


def _series_of(run: Path, entries: list[LedgerEntry]) -> FrontSeries:
    report = read_report(run) or {}
    path = run / REPORT_FILE
    best = rows_in(report, "winners", path)
    if "winners" not in report and isinstance(report.get("best"), dict):
        best = [report["best"]]
    rows = [*best, *rows_in(report, "anchors", path)]
    networks: dict[tuple[str, int], list[LedgerEntry]] = {}
    for entry in entries:
        networks.setdefault((entry.network_hash, entry.multiply_adds), []).append(entry)
    dearest = max(fidelity_effort(entry.fidelity) for entry in entries)
    trials: list[FrontPoint] = []
    anchors: list[FrontPoint] = []
    winners: list[FrontPoint] = []
    for network in networks.values():
        row = next((row for row in rows if _is_about(row, network)), None)
        point = _point_of(network, row, dearest=dearest)
        if any(entry.kind == "anchor" for entry in network):
            name = point.name if point.is_full_fidelity else f"{point.name} (shorter training)"
            anchors.append(dataclasses.replace(point, name=name))
        else:
            trials.append(point)
        if any(row is one for one in best):
            winners.append(point)
    unknown = [row for row in best if not any(_is_about(row, network) for network in networks.values())]
    winners += [_point_of_row(row, run / REPORT_FILE) for row in unknown]
    return FrontSeries(
        name=run.name or run.resolve().name,
        trials=tuple(trials),
        anchors=tuple(anchors),
        winners=tuple(sorted(winners, key=lambda point: point.multiply_adds)),
        budgets=_budgets_of(run),
    )


def _point_of(network: list[LedgerEntry], row: Mapping[str, Any] | None, *, dearest: float) -> FrontPoint:
    """One network's mean at its dearest fidelity, over the seeds of its row in the report if it has one."""
    effort = max(fidelity_effort(entry.fidelity) for entry in network)
    entries = [entry for entry in network if fidelity_effort(entry.fidelity) == effort]
    if row is not None and isinstance(row.get("seeds"), list):
        entries = [entry for entry in entries if entry.seed in row["seeds"]] or entries
    accuracies = [entry.val_accuracy for entry in entries if entry.val_accuracy is not None]
    named = next((entry for entry in network if entry.kind == "anchor"), network[0])
    return FrontPoint(
        name=named.name,
        multiply_adds=named.multiply_adds,
        accuracy=statistics.fmean(accuracies),
        accuracy_std=statistics.stdev(accuracies) if len(accuracies) > 1 else 0.0,
        num_seeds=len(accuracies),
        is_full_fidelity=effort == dearest,
        network_hash=named.network_hash,
    )


def _is_about(row: Mapping[str, Any], network: list[LedgerEntry]) -> bool:
    """Whether a row of the report means this network."""
    first = network[0]
    if "network_hash" in row:
        return bool(row["network_hash"] == first.network_hash)
    has_same_cost = (row.get("multiply_adds"), row.get("params")) == (first.multiply_adds, first.parameters)
    return has_same_cost and row.get("name") in {entry.name for entry in network}


def _point_of_row(row: Mapping[str, Any], path: Path) -> FrontPoint:
    seeds = row.get("seeds")
    return FrontPoint(
        name=str(row.get("name", "winner")),
        multiply_adds=int_of(row, "multiply_adds", path),
        accuracy=number_of(row, "accuracy", path),
        num_seeds=len(seeds) if isinstance(seeds, list) and seeds else 1,
    )


def _budgets_of(run: Path) -> tuple[int, ...]:
    """Multiply-adds that a run's budgets allow, ended or not; an old run's settings hold only the widest."""
    settings = read_settings(run).settings
    limits = settings.get("budgets") or [settings.get("budget_limits") or {}]
    path = run / SETTINGS_FILE
    return tuple(int_of(one, "multiply_adds", path) for one in limits if one.get("multiply_adds") is not None)


def _families_of(run: Path) -> list[Family]:
    """What a scale run has reported, or `scale` has left in a baseline run."""
    families = []
    for path in (run / REPORT_FILE, run / FAMILY_FILE):
        content = read_json(path) if path.exists() else {}
        rows = rows_in(content, "family", path)
        if not rows:
            continue
        members = tuple(
            FamilyMember(
                phi=number_of(row, "phi", path),
                multiply_adds=int_of(row, "multiply_adds", path),
                accuracy=None if row.get("accuracy") is None else number_of(row, "accuracy", path),
            )
            for row in rows
        )
        families.append(Family(name=_family_name(content), members=members))
    return families


def _family_name(content: Mapping[str, Any]) -> str:
    """Base and coefficients: "trial 12 (alpha 1.2, beta 1.1, gamma 1.15)"."""
    base, coefficients = content.get("base", "its base"), content.get("coefficients")
    name = str(base.get("name", "its base") if isinstance(base, dict) else base)
    if isinstance(coefficients, dict):
        names = ("alpha", "beta", "gamma")
        shown = [f"{key} {_short(coefficients[key])}" for key in names if key in coefficients]
        return f"{name} ({', '.join(shown)})"
    return name


def _short(value: object) -> str:
    return f"{value:g}" if isinstance(value, int | float) else str(value)


def _refuse_different_data(scored: Mapping[Path, list[LedgerEntry]]) -> None:
    first, *others = scored
    for other in others:
        if {entry.data_fingerprint for entry in scored[first]} != {
            entry.data_fingerprint for entry in scored[other]
        }:
            raise UsageError(f"{first} and {other} were scored on different data; plot them apart")


def _notes(scored: Iterable[list[LedgerEntry]], series: Sequence[FrontSeries]) -> tuple[str, ...]:
    """What a reader must know: heights of two searches may not compare, and one training is a noisy thing."""
    ways = {
        max(
            (fidelity_effort(entry.fidelity), entry.batch_share, entry.settings_hash, entry.key.fidelity)
            for entry in entries  # one that had to do with half the batch is no other way
        )
        for entries in scored
    }
    notes = ["These runs trained in different ways: compare shapes, not heights."] if len(ways) > 1 else []
    points = [point for one in series for point in (*one.trials, *one.anchors) if point.is_full_fidelity]
    repeated = [point for point in points if point.num_seeds > 1]
    best = max((winner.accuracy for one in series for winner in one.winners), default=1.0)
    is_beaten = any(point.num_seeds == 1 and point.accuracy > best for point in points)
    if is_beaten and not repeated:
        notes.append("Every dot is one training, which is noisy: above the winner, it may be luck.")
    if is_beaten and repeated:
        freedom = sum(point.num_seeds - 1 for point in repeated)
        variance = sum((point.num_seeds - 1) * point.accuracy_std**2 for point in repeated) / freedom
        notes.append(
            f"A bare dot is one training, with a deviation of {100 * variance**0.5:.1f} points: above the winner, it "
            "may be luck."
        )
    return tuple(notes)


def _family_notes(families: Iterable[Family]) -> tuple[str, ...]:
    """Say it where the family's accuracies are those of full trainings, beside trials' of short ones."""
    if all(member.accuracy is None for family in families for member in family.members):
        return ()
    return ("The family was trained in full, the trials were not: compare its members with each other.",)


def _common_resolution(scored: Iterable[list[LedgerEntry]]) -> int | None:
    """The target resolution that all trials share; anchors scaled down may have their own."""
    resolutions = {
        entry.spec.get("resolution") for entries in scored for entry in entries if entry.kind == "trial"
    }
    resolution = resolutions.pop() if len(resolutions) == 1 else None
    return resolution if isinstance(resolution, int) else None


def _title(runs: list[Path], series: list[FrontSeries]) -> str:
    """Such as "64 networks on cifar10 within 400 M FLOPs"."""
    num_networks = sum(len(one.trials) + len(one.anchors) for one in series)
    title = f"{num_networks} network{'s' if num_networks != 1 else ''}"
    sources = {str(read_settings(run).settings.get("data", "")) for run in runs}
    if len(sources) == 1 and (source := Path(sources.pop()).name):
        title += f" on {source}"
    budgets = {one.budgets for one in series}
    if len(budgets) == 1 and (limits := budgets.pop()):
        title += f" within {', '.join(map(format_multiply_adds, limits))} FLOPs"
    return title
