"""Where do measured figures go? Appended to benchmarks/results/NAME.jsonl, with hardware, versions and time."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from effsearch.results.environment import describe_environment

RESULTS = Path(__file__).parent / "results"


def read_records(name: str) -> list[dict[str, Any]]:
    """Give the records of earlier calls, oldest first."""
    path = RESULTS / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def append_record(name: str, record: dict[str, Any]) -> None:
    """Append one measured figure."""
    RESULTS.mkdir(exist_ok=True)
    environment = describe_environment(now=datetime.now(UTC), command_line=[name])
    machine = {
        key: environment[key]
        for key in ("time", "git_commit", "versions", "platform", "cpu", "usable_cores")
        if key in environment
    }
    with (RESULTS / f"{name}.jsonl").open("a") as file:
        file.write(json.dumps(record | machine) + "\n")
