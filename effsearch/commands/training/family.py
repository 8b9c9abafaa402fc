"""effsearch train RUN --family: train a run's winner and all that was scaled from it, and say so where plots look.

The run is the search whose winner was scaled, or the search of the coefficients that it was scaled with.
"""

import dataclasses
from pathlib import Path
from typing import Any

from effsearch.commands.in_hand import SpecInHand
from effsearch.commands.inputs import Base, read_base, read_spec
from effsearch.commands.training.options import TrainOptions
from effsearch.commands.training.plan import check_options, fit_to_images, plan_network
from effsearch.commands.training.search_note import measured_fields
from effsearch.commands.training.train import train_planned, training_process
from effsearch.commands.watching import Watcher
from effsearch.results.json_files import read_json, write_json
from effsearch.results.run_dir import file_name
from effsearch.results.run_files import (
    BASE_SPEC,
    FAMILY_FILE,
    SPECS_FOLDER,
    is_run,
    read_report,
    read_settings,
)
from effsearch.space.errors import RunError, UsageError
from effsearch.space.spec import ModelSpec

TRAININGS_FOLDER = "trained"  # in the family's
BASE_NAME = "base"


def run_train_family(options: TrainOptions, watcher: Watcher) -> dict[str, Any] | None:
    """Train the winner and the family of a baseline or scale run one after another, each in a run of its own.

    Each ended training's accuracy goes into the family's record at once. The same command goes on with the first
    that has not ended.

    Raises:
        EffsearchError: There is no such run or family, or a training failed.
    """
    if options.initial is not None:
        raise UsageError("--init is for one network: leave it out with --family")
    base, record_path = _read_grown(options)
    networks = _networks(base, record_path)
    root = options.run or record_path.parent / TRAININGS_FOLDER
    for name, spec in networks:
        check_options(dataclasses.replace(options, run=root / file_name(name)), base, name, spec)
    reports: list[dict[str, Any]] = []
    with training_process(options) as (compute, group):
        watcher.console.quiet |= not group.is_first
        if not group.is_first:
            group.wait()
        largest = max(spec.resolution for _, spec in networks)
        fitting, images = fit_to_images(options, base, watcher, largest=largest)
        if group.is_first:
            group.wait()
        for name, spec in networks:
            plan = plan_network(options, name, spec, fitting, images, base=base)
            own = dataclasses.replace(options, run=root / file_name(name))
            report = train_planned(plan, own, watcher, compute=compute, group=group, is_newest=False)
            if report is not None:
                reports.append(report)
                _note(record_path, name, report)
    if not reports:
        return None
    return {"family": str(record_path), "trained": reports}


def _read_grown(options: TrainOptions) -> tuple[Base, Path]:
    """Give what a family was scaled from, and where its record is."""
    run = Path(options.network)
    if not isinstance(options.network, SpecInHand) and is_run(run) and read_settings(run).command == "scale":
        return _read_scaling(run)
    base = read_base(options.network, runs_root=options.runs_root)
    if base.run is None:
        raise UsageError(
            f"--family needs a baseline or scale run with a family, and {options.network} is none"
        )
    record_path = base.run / FAMILY_FILE
    if not record_path.exists():
        raise UsageError(f"{base.run} has no family yet: run effsearch scale --base {base.run} first")
    return base, record_path


def _read_scaling(run: Path) -> tuple[Base, Path]:
    """Give the same of a search of coefficients; its images are those of the search that found the base."""
    again = f"the same effsearch scale command with --run {run} writes it, and trains nothing again"
    report, spec_path = read_report(run), run / SPECS_FOLDER / f"{BASE_SPEC}.json"
    if report is None:
        raise UsageError(f"the run at {run} has no result yet; let it finish with effsearch scale --run")
    own, found_in = read_settings(run).settings, run
    record, base_run = report.get("family_record"), report.get("base_run")
    if not isinstance(record, str) or not spec_path.is_file() or not {"base", "data"} <= own.keys():
        raise UsageError(f"{run} does not say where its family is: {again}")
    if not Path(record).is_file():
        raise UsageError(f"the family of {run} is not at {record}: {again}")
    searched = Path(base_run) if isinstance(base_run, str) else run
    if is_run(searched) and read_settings(searched).settings.get("data") == own["data"]:
        found_in = searched
    return Base(str(own["base"]), read_spec(str(spec_path))[1], found_in), Path(record)


def _networks(base: Base, record_path: Path) -> list[tuple[str, ModelSpec]]:
    """Give the winner and the members of its family, by name."""
    networks = [(BASE_NAME, base.spec)]
    for row in _rows(read_json(record_path), record_path):
        path = record_path.parent / f"{row['name']}.json"
        networks.append((row["name"], read_spec(str(path))[1]))
    return networks


def _note(record_path: Path, name: str, report: dict[str, Any]) -> None:
    """Put what a training came to into the family's record: `accuracy` is on validation images, as in all plots."""
    content = read_json(record_path)
    measured = measured_fields(report)
    if name == BASE_NAME:
        content["base_trained"] = measured
    for row in _rows(content, record_path):
        if row["name"] == name:
            row.update(measured)
    write_json(record_path, content)


def _rows(content: dict[str, Any], path: Path) -> list[dict[str, Any]]:
    rows = content.get("family")
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and _is_name(row.get("name")) for row in rows
    ):
        raise RunError(f"{path} must hold a family with named networks, each the name of a file beside it")
    return rows


def _is_name(name: object) -> bool:
    """Tell whether a member's name is one that a family is written under, and leads to no other folder."""
    return isinstance(name, str) and bool(name) and name == Path(name).name and "\0" not in name
