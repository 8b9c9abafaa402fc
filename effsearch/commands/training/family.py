"""effsearch train RUN --family: train a run's winner and all that was scaled from it, and say so where plots look."""

import dataclasses
from pathlib import Path
from typing import Any

from effsearch.commands.inputs import Base, read_base, read_spec
from effsearch.commands.training.options import TrainOptions
from effsearch.commands.training.plan import check_options, fit_to_images, plan_network
from effsearch.commands.training.train import train_planned, training_process
from effsearch.commands.watching import Watcher
from effsearch.results.json_files import read_json, write_json
from effsearch.results.run_dir import file_name
from effsearch.results.run_files import FAMILY_FILE
from effsearch.space.errors import RunError, UsageError
from effsearch.space.spec import ModelSpec

TRAININGS_FOLDER = "family/trained"
BASE_NAME = "base"


def run_train_family(options: TrainOptions, watcher: Watcher) -> dict[str, Any] | None:
    """Train the winner and the family of a baseline run one after another, each in a run of its own.

    Each ended training's accuracy goes into the family's record at once. The same command goes on with the first
    that has not ended.

    Raises:
        EffsearchError: There is no such run or family, or a training failed.
    """
    base = read_base(options.network, runs_root=options.runs_root)
    if base.run is None:
        raise UsageError(f"--family needs a baseline run with a family, and {options.network} is none")
    if options.initial is not None:
        raise UsageError("--init is for one network: leave it out with --family")
    record_path = base.run / FAMILY_FILE
    networks = _networks(base, record_path)
    root = options.run or base.run / TRAININGS_FOLDER
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


def _networks(base: Base, record_path: Path) -> list[tuple[str, ModelSpec]]:
    """Give the winner and the members of its family, by name."""
    if not record_path.exists():
        raise UsageError(f"{base.run} has no family yet: run effsearch scale --base {base.run} first")
    networks = [(BASE_NAME, base.spec)]
    for row in _rows(read_json(record_path), record_path):
        path = record_path.parent / f"{row['name']}.json"
        networks.append((row["name"], read_spec(str(path))[1]))
    return networks


def _note(record_path: Path, name: str, report: dict[str, Any]) -> None:
    """Put what a training came to into the family's record: `accuracy` is on validation images, as in all plots."""
    content = read_json(record_path)
    measured = {
        "accuracy": report["best"]["accuracy"],
        "test_accuracy": report["test"]["accuracy"],
        "test_top5": report["test"]["top5"],
        "recipe": report["recipe"],
        "epochs": report["epochs"],
        "trained_in": report["run"],
    }
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
