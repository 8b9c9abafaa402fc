"""What tests of commands share: trainings by a formula, workers that are this process, and the ledger on disk."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from effsearch.commands.placement import Placement
from effsearch.proxy_train.data.datasets import ImageData, load_images
from effsearch.results.run_files import LEDGER_FILE
from effsearch.search.placement.attempt import attempt, ended_by
from effsearch.search.placement.executor import Evaluator, Executor, SerialExecutor
from effsearch.search.placement.pool import Ended
from effsearch.space.outcome import Fidelity, ProxyResult
from effsearch.space.spec import ModelSpec
from effsearch.space.text import to_json

from ..conftest import write_colours


@pytest.fixture
def images(trained: Path, cache: Path) -> ImageData:
    """The images of a test module's own `trained`, a folder that `train_in_folder` has filled."""
    return load_images(str(trained / "colours"), resolution=None, cache_dir=cache)


def train_by(monkeypatch: pytest.MonkeyPatch, evaluate: Evaluator) -> None:
    """Has every command score networks with `evaluate`, in this process."""

    @contextmanager
    def open_executor(images: object, placement: object, **more: object) -> Iterator[Executor]:
        yield SerialExecutor(evaluate)

    monkeypatch.setattr("effsearch.commands.pools.open_executor", open_executor)


def one_score(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
    """Score every network alike."""
    return ProxyResult(val_accuracy=0.5, val_loss=1.0, train_seconds=1.0, num_images_seen=64)


class SerialPool:
    """Stands in for `open_pool`: does tasks in this process, each when it is waited for."""

    num_slots = 1
    before_each: Callable[[Any], None] = staticmethod(lambda task: None)

    def __init__(self, work: Callable[[Any], Any], placement: Placement, **more: object) -> None:
        self._work = work
        self._tasks: list[Any] = []

    @property
    def num_running(self) -> int:
        return len(self._tasks)

    def submit(self, task: Any) -> None:
        assert not self._tasks, "one slot"
        self._tasks.append(task)

    def wait(self) -> Ended[Any, Any]:
        task = self._tasks.pop()
        type(self).before_each(task)
        return ended_by(attempt(self._work, task), task, 0.0)

    def close(self) -> None:
        """Nothing to stop."""


def train_in_folder(folder: Path, spec: ModelSpec, *, cache: Path, batch_size: int, **colours: Any) -> Path:
    """Write images of coloured noise and a spec into a folder, and train it on them a little, into `run`."""
    from effsearch.commands.training.options import TrainOptions
    from effsearch.commands.training.train import run_train
    from effsearch.commands.watching import Watcher

    write_colours(folder / "colours", **colours)
    (folder / "net.json").write_text(to_json(spec))
    with pytest.MonkeyPatch.context() as patch, Watcher() as watcher:
        patch.setenv("EFFSEARCH_CACHE", str(cache))
        options = TrainOptions(
            network=str(folder / "net.json"),
            data=str(folder / "colours"),
            num_epochs=3,
            batch_size=batch_size,
            placement=Placement(num_workers=1),
            run=folder / "run",
            runs_root=folder / "runs",
        )
        run_train(options, watcher)
    return folder


def ledger_of(run: Path) -> list[dict[str, Any]]:
    """The lines of a run's ledger."""
    return [json.loads(line) for line in (run / LEDGER_FILE).read_text().splitlines()]
