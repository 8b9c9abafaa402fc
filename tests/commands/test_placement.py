"""Where the trainings of a command run, how long one may take, and what if memory is too small for one."""

import importlib.util
import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from effsearch.commands import placement as placement_module
from effsearch.commands import pools, proxy
from effsearch.commands.placement import SPARE_SECONDS, Placement, make_placement
from effsearch.commands.proxy import train_settings_record
from effsearch.proxy_train.evaluator import ProxyEvaluator
from effsearch.proxy_train.train import TrainSettings, with_batch_share
from effsearch.results.evaluations import from_entry, settings_hash
from effsearch.results.ledger import read_entries
from effsearch.space.errors import UsageError
from effsearch.space.outcome import Fidelity, OutOfMemory, ProxyResult
from effsearch.space.spec import ModelSpec

from ..conftest import Effsearch, refuses
from .conftest import SerialPool, ledger_of

TINY = (
    "--images",
    "64",
    "--epochs",
    "1",
    "--proxy-resolution",
    "16",
    "--proxy-width",
    "0.25",
    "--workers",
    "1",
)
TINY += ("--finalists", "1", "--seeds", "1", "--screen", "off", "--no-anchors")
SPACE_TEXT = """\
schema_version: 1
name: tiny
resolution: 16
stem: {out_channels: 8}
stages: [{stride: 2, channels: [8, 16, 24, 32], repeats: 1}]
head: {out_channels: 0}
"""
FIDELITY = Fidelity(num_images=100, num_epochs=1, resolution=32)
LONGER = Fidelity(num_images=100, num_epochs=4, resolution=32)


@dataclass(frozen=True)
class LittleMemory:
    """Stands in for `ProxyEvaluator`: every second network is too large for a whole batch."""

    handle: Path
    settings: TrainSettings
    device: str = "cpu"
    precision: str = "float32"
    tried: ClassVar[list[int]] = []  # batch sizes, in the order of trainings

    def __call__(self, spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        num_whole = sum(size == TrainSettings().batch_size for size in self.tried)
        self.tried.append(self.settings.batch_size)
        if self.settings == TrainSettings() and num_whole % 2 == 0:
            raise OutOfMemory("out of memory: 9 bytes")
        return ProxyResult(val_accuracy=0.5, val_loss=1.0, train_seconds=1.0, num_images_seen=64)

    def with_batch_share(self, share: float) -> "LittleMemory":
        return LittleMemory(self.handle, with_batch_share(self.settings, share))


@pytest.fixture
def little_memory(effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Gives the batch sizes that were tried, in a folder with a small space file."""
    Path("tiny.yaml").write_text(SPACE_TEXT)
    monkeypatch.setattr(LittleMemory, "tried", [])
    monkeypatch.setattr(pools, "ProxyEvaluator", LittleMemory)
    monkeypatch.setattr(pools, "open_pool", SerialPool)
    monkeypatch.setattr(proxy, "step_seconds", lambda *args, **more: 0.01)
    return LittleMemory.tried


def test_half_a_batch_is_a_score_that_says_so_and_the_run_goes_on_from_it(
    effsearch: Effsearch, little_memory: list[int]
) -> None:
    line = ("baseline", "--run", "run", *TINY)
    first = effsearch(*line, "--trials", "2")
    assert first.code == 0, first.err
    assert little_memory == [64, 32, 64]
    assert "trial 1: out of memory: 9 bytes; again with half the batch" in first.err
    half, whole = ledger_of(Path("run"))
    assert half["batch_share"] == 0.5
    assert "batch_share" not in whole
    assert half["settings_hash"] == settings_hash(train_settings_record() | {"batch_size": 32})
    assert whole["settings_hash"] == settings_hash(train_settings_record())
    assert half["fidelity"] == whole["fidelity"]
    assert half["failure"] == ""
    again = effsearch(*line, "--trials", "3", "--json")
    assert again.json["trials"] == 3
    assert little_memory == [64, 32, 64, 64, 32]  # nothing a second time
    networks = [one["network_hash"] for one in ledger_of(Path("run"))]
    assert len(set(networks)) == len(networks) == 3
    stored = [from_entry(entry).job.batch_share for entry in read_entries(Path("run", "ledger.jsonl"))]
    assert stored == [0.5, 1.0, 0.5]
    assert "batch_share" in Path("run", "trials.csv").read_text().splitlines()[0]


def test_a_training_that_starts_from_a_smaller_batch_is_the_same_as_one_of_that_batch() -> None:
    settings = TrainSettings(batch_size=64)
    assert with_batch_share(settings, 0.5) == TrainSettings(batch_size=32)
    assert with_batch_share(settings, 1.0) == settings
    assert with_batch_share(TrainSettings(batch_size=2), 0.5).batch_size == 2
    evaluator = ProxyEvaluator(Path("images"), settings)
    assert evaluator.with_batch_share(0.5) == ProxyEvaluator(Path("images"), TrainSettings(batch_size=32))


def test_a_run_goes_on_elsewhere_and_with_another_time_limit(
    effsearch: Effsearch, little_memory: list[int]
) -> None:
    line = ("baseline", "--run", "run", *TINY)
    assert effsearch(*line, "--trials", "1").code == 0
    settings = Path("run", "settings.json")
    stored = json.loads(settings.read_text())
    assert stored["settings"]["engine"] == "local"
    for name in ("engine", "address", "trial_minutes"):  # a run from before there were any
        del stored["settings"][name]
    settings.write_text(json.dumps(stored))
    again = effsearch(*line, "--trials", "2", "--trial-timeout", "5")
    assert again.code == 0, again.err
    assert json.loads(settings.read_text())["settings"]["trial_minutes"] == 5


# How long.


@pytest.fixture
def two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement_module, "usable_cores", lambda: 2)


@pytest.mark.usefixtures("two_cores")
@pytest.mark.parametrize(
    ("num_workers", "times"),
    [(1, 10), (2, 10), (8, 40)],  # eight workers on two cores take four times as long
)
def test_a_training_may_take_ten_times_what_is_expected_and_a_minute(num_workers: int, times: int) -> None:
    allowed = Placement(num_workers=num_workers).seconds_allowed(30.0, FIDELITY)
    assert allowed(job_at(FIDELITY)) == pytest.approx(times * 30 + SPARE_SECONDS)
    assert allowed(job_at(LONGER)) == pytest.approx(times * 120 + SPARE_SECONDS)


@pytest.mark.usefixtures("two_cores")
def test_on_a_cluster_every_worker_has_a_core() -> None:
    assert Placement(num_workers=8, engine="ray").workers_per_core == 1


def test_the_user_may_say_how_long() -> None:
    allowed = Placement(num_workers=8, trial_minutes=1.5).seconds_allowed(30.0, FIDELITY)
    assert allowed(job_at(FIDELITY)) == allowed(job_at(LONGER)) == 90


def test_without_any_guess_a_training_takes_as_long_as_it_takes() -> None:
    assert Placement(num_workers=1).seconds_allowed(0.0, FIDELITY)(job_at(FIDELITY)) is None


def job_at(fidelity: Fidelity) -> Any:
    """A job of which only the fidelity counts."""
    return SimpleNamespace(fidelity=fidelity)


# What is refused.


@pytest.mark.parametrize("command", ["baseline", "scale --base efficientnet-b0", "ablate", "validate run"])
@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--workers 0", "--workers must be at least 1, got 0"),
        ("--address auto", "--address names a Ray cluster: give it with --engine ray"),
        ("--trial-timeout 0", "--trial-timeout must be above 0, got 0"),
        ("--engine ray", "--engine ray needs Ray: pip install 'effsearch[ray]'"),
        ("--cpus-per-trial 2", "--cpus-per-trial is for a cluster: give it with --engine ray"),
    ],
)
def test_a_placement_that_cannot_be_is_refused_in_one_line(
    effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch, command: str, words: str, message: str
) -> None:
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "ray" else find_spec(name, *more)
    )
    refuses(effsearch(*command.split(), *words.split()), 2, message)


def test_a_cluster_is_told_how_many_workers_else_it_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[object, ...]] = []

    def count(address: str, *, cpus_per_task: float, gpus_per_task: float) -> int:
        asked.append((address, cpus_per_task, gpus_per_task))
        return 24

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr("effsearch.search.placement.ray_pool.count_workers", count)
    assert make_placement(engine="ray", address="auto", num_workers=64) == Placement(
        num_workers=64, engine="ray", address="auto"
    )
    assert asked == []
    placement = make_placement(
        engine="ray", address="auto", cpus_per_trial=2.0, device="cuda", gpu_share=0.25
    )
    assert (placement.num_workers, placement.cpus_per_trial) == (24, 2.0)
    assert asked == [("auto", 2.0, 0.25)]


@pytest.mark.parametrize("cpus", [0.0, -1.0, float("nan")])
def test_a_training_takes_some_of_a_core(monkeypatch: pytest.MonkeyPatch, cpus: float) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    with pytest.raises(UsageError, match="--cpus-per-trial must be above 0, got"):
        make_placement(engine="ray", cpus_per_trial=cpus)


def test_given_coefficients_have_no_use_for_a_placement(effsearch: Effsearch) -> None:
    line = "scale --base efficientnet-b0 --coefficients 1.2,1.1,1.15 --trial-timeout 5 --engine local"
    refuses(
        effsearch(*line.split()), 2, "--coefficients searches nothing: leave out --engine and --trial-timeout"
    )
