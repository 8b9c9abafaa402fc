"""What tests of commands share: trainings by a formula, and the ledger as it lies on disk."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from effsearch.results.run_files import LEDGER_FILE
from effsearch.search.placement.executor import Evaluator, Executor, SerialExecutor


def train_by(monkeypatch: pytest.MonkeyPatch, evaluate: Evaluator) -> None:
    """Has every command score networks with `evaluate`, in this process."""

    @contextmanager
    def open_executor(images: object, placement: object, **more: object) -> Iterator[Executor]:
        yield SerialExecutor(evaluate)

    monkeypatch.setattr("effsearch.commands.pools.open_executor", open_executor)


def ledger_of(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's ledger."""
    return [json.loads(line) for line in (run / LEDGER_FILE).read_text().splitlines()]
