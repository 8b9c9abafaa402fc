"""`effsearch baseline` with rungs that go on from the weights of those below, on a space and images of its own."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from effsearch.commands import pools, proxy
from effsearch.results.run_files import LEDGER_FILE, SETTINGS_FILE
from effsearch.search.placement.continuing_executor import ContinuingExecutor
from effsearch.space.outcome import Job

from ..conftest import Effsearch, write_colours
from .conftest import SerialPool, ledger_of

SPACE_TEXT = """\
schema_version: 1
name: tiny
resolution: 16
norm_momentum: 0.1
stem: {out_channels: 8}
stages: [{stride: 2, channels: [8, 16, 24, 32], repeats: [1, 2], kernel_size: [3, 5]}]
head: {out_channels: 0}
"""
LINE = (
    "baseline --space tiny.yaml --data colours --no-anchors --screen off --images 48 --epochs 4 --rungs 2 "
    "--finalists 1 --seeds 2 --workers 1 --json"
)
Search = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def search(effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch) -> Iterator[Search]:
    """Gives the ledger after a search in the current folder; workers are this process."""
    write_colours(Path("colours"), side=16)
    Path("tiny.yaml").write_text(SPACE_TEXT)
    monkeypatch.setattr(pools, "open_pool", SerialPool)
    monkeypatch.setattr(proxy, "step_seconds", lambda *args, **more: 0.01)
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)

    def run(name: str, *words: str) -> list[dict[str, Any]]:
        ended = effsearch(*LINE.split(), "--run", name, *words)
        assert ended.code == 0, ended.err
        return ledger_of(Path(name))

    yield run
    torch.set_num_threads(num_threads)


def scores(ledger: list[dict[str, Any]]) -> list[Any]:
    return [(one["network_hash"], one["kind"], one["seed"], one["accuracy"], one["loss"]) for one in ledger]


def of_kind(ledger: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [one for one in ledger if one["kind"] == kind]


def test_promoted_networks_go_on_from_their_weights_and_lost_ones_cost_time_alone(
    search: Search, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = search("found", "--trials", "6")
    promoted, confirmed = of_kind(found, "rung"), of_kind(found, "confirm")
    assert len(promoted) == 2
    assert {one["from_checkpoint"] for one in promoted} == {True}
    assert {one["from_checkpoint"] for one in confirmed} == {False}  # fresh seeds have no rung below
    for one in promoted + confirmed:
        assert (one["fidelity"]["epochs"], one["fidelity"]["continues"]["epochs"]) == (3, 1)
    assert all("from_checkpoint" not in one for one in of_kind(found, "trial"))
    left = {path.name[:16] for path in Path("found", "checkpoints").iterdir()}
    assert left == {one["network_hash"][:16] for one in of_kind(found, "trial")} - {
        one["network_hash"][:16] for one in promoted
    }

    submit = ContinuingExecutor.submit

    def lose_all(self: ContinuingExecutor, job: Job) -> None:
        shutil.rmtree(Path("lost", "checkpoints"), ignore_errors=True)
        submit(self, job)

    monkeypatch.setattr(ContinuingExecutor, "submit", lose_all)
    lost = search("lost", "--trials", "6")
    assert scores(lost) == scores(found)
    assert {one["from_checkpoint"] for one in of_kind(lost, "rung")} == {False}


def test_a_run_that_goes_on_finds_the_weights_of_the_first_call(search: Search) -> None:
    first = search("run", "--trials", "2")
    assert not of_kind(first, "rung")
    assert [one["from_checkpoint"] for one in of_kind(first, "confirm")] == [
        True,
        False,
    ]  # the finalist's two seeds
    assert len(list(Path("run", "checkpoints").iterdir())) == 1  # of the network that came second
    promoted = of_kind(search("run", "--trials", "6"), "rung")
    assert promoted
    assert {one["from_checkpoint"] for one in promoted} == {True}


def test_a_run_from_before_goes_on_with_rungs_from_fresh_weights(search: Search) -> None:
    search("run", "--trials", "2")
    ledger = Path("run", LEDGER_FILE)
    lines = [line for line in ledger.read_text().splitlines(True) if json.loads(line)["kind"] == "trial"]
    ledger.write_text("".join(lines))
    path = Path("run", SETTINGS_FILE)
    stored = json.loads(path.read_text())
    assert stored["settings"].pop("continues_rungs") is True
    path.write_text(json.dumps(stored))
    promoted = of_kind(search("run", "--trials", "6"), "rung")
    assert promoted
    for one in promoted:
        assert "from_checkpoint" not in one
        assert "continues" not in one["fidelity"]
        assert one["fidelity"]["epochs"] == 4


def test_where_step_times_are_weighed_all_trainings_of_a_rung_take_the_same_steps(search: Search) -> None:
    words = ("--trials", "4", "--objective", "reward", "--step-time-exponent", "-0.07")
    ledger = search("run", *words)
    assert of_kind(ledger, "rung")
    assert not any("continues" in one["fidelity"] for one in ledger)
    assert not Path("run", "checkpoints").exists()


def test_one_rung_keeps_no_weights(search: Search) -> None:
    search("run", "--trials", "2", "--rungs", "1")
    assert not Path("run", "checkpoints").exists()
    assert "continues_rungs" not in json.loads(Path("run", SETTINGS_FILE).read_text())["settings"]
