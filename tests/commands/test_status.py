"""`effsearch status` as a user meets it, beside a run that is held, ended or left."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from effsearch.commands.status import run_status, watch_status
from effsearch.commands.watching import Watcher, short_seconds
from effsearch.results.evaluations import from_entry, to_entry
from effsearch.results.ledger import read_entries
from effsearch.results.run_dir import RunDir, create_or_resume
from effsearch.results.status import STATUS_FILE, StatusFile, Step
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.outcome import Evaluation, Fidelity, Job, ProxyResult
from effsearch.space.presets import load_preset
from effsearch.space.slot_status import SlotStatus

from ..conftest import Effsearch, refuses

FIDELITY = Fidelity(num_images=600, num_epochs=2, resolution=32)


def ended(name: str, accuracy: float | None, *, used_kernels: bool | None = None) -> Evaluation:
    spec = load_preset(name)
    network = network_hash(spec)
    job = Job(
        kind="trial", name=name, spec=spec, network=network, cost=count_cost(spec), fidelity=FIDELITY, seed=1
    )
    if accuracy is None:
        return Evaluation(job=job, result=None, failure="out of memory", seconds=1.0)
    result = ProxyResult(
        val_accuracy=accuracy,
        val_loss=1.0,
        train_seconds=2.0,
        num_images_seen=1_200,
        used_kernels=used_kernels,
    )
    return Evaluation(job=job, result=result, seconds=2.0)


@pytest.fixture
def held(effsearch: Effsearch) -> Iterator[RunDir]:
    """A run that this process owns, with two scores and a failure."""
    with create_or_resume(
        Path("run"), command="baseline", settings={}, free_settings=frozenset(), now=datetime.now(UTC)
    ) as run:
        with run.open_ledger() as ledger:
            for evaluation in (
                ended("efficientnet-b0", 0.25, used_kernels=True),
                ended("mnasnet-a1", 0.75, used_kernels=False),
                ended("efficientnet-b1", None),
            ):
                ledger.append(
                    to_entry(evaluation, data_fingerprint="d", settings_hash="s", now=datetime.now(UTC))
                )
        file = StatusFile(run.path, time.time)
        file.show_step(Step(what="search", done=30.0, total=60.0, text="2 trained"))
        file.show_slots(
            (
                SlotStatus(slot=0, task="trial 7", task_seconds=5.0, open_seconds=50.0, train_seconds=45.0),
                SlotStatus(slot=1, num_ended=2, num_failed=1, num_images=9_000, train_seconds=6.0),
            )
        )
        yield run


def test_a_running_search_says_how_far_it_is_and_what_each_worker_trains(
    held: RunDir, effsearch: Effsearch
) -> None:
    done = effsearch("status", "run")
    assert done.code == 0
    text = " ".join(done.out.split())
    assert "baseline in run: running, process" in text
    assert "2 trainings, 1 failed; best 75.0% (mnasnet-a1, 311.6M FLOPs)" in text
    assert "trainings ran on effsearch's kernels (1), torch's operators (1)" in text
    assert "search: 50% 2 trained" in text
    assert "trial 7" in text
    assert "1,500" in text  # images per second


def test_json_holds_the_same(held: RunDir, effsearch: Effsearch) -> None:
    report = effsearch("status", "run", "--json").json
    assert report["state"] == "running"
    assert report["step"] == {"what": "search", "done": 30.0, "total": 60.0, "text": "2 trained"}
    assert report["operators"] == {"kernels": 1, "torch": 1, "unknown": 0}
    first, second = report["workers"]
    assert (first["worker"], first["task"], first["images_per_second"]) == (1, "trial 7", None)
    assert first["seconds"] >= 5.0
    assert 0.9 < first["busy_share"] <= 1.0
    assert (second["task"], second["ended"], second["failed"]) == ("", 2, 1)


def test_a_run_that_goes_on_knows_what_its_trainings_ran_on(held: RunDir) -> None:
    results = [from_entry(entry).result for entry in read_entries(held.ledger_path)]
    assert [result and result.used_kernels for result in results] == [True, False, None]


def test_a_run_that_was_left_names_the_way_back_and_shows_no_workers(
    held: RunDir, effsearch: Effsearch
) -> None:
    held.close()
    report = effsearch("status", "run", "--json").json
    assert (report["state"], report["step"], report["workers"]) == ("stopped", None, [])
    assert "stopped; the same command with --run run goes on" in effsearch("status", "run").out


def test_what_an_earlier_call_left_is_not_what_a_run_does_now(held: RunDir) -> None:
    with Watcher() as watcher:
        watcher.follow(held)
    report = run_status(held.path)
    assert (report["state"], report["step"], report["workers"]) == ("running", None, [])


def test_a_status_that_a_crash_tore_is_not_looked_at(held: RunDir) -> None:
    (held.path / STATUS_FILE).write_text("")
    held.close()
    assert run_status(held.path)["state"] == "stopped"


def test_a_run_with_a_result_has_ended(held: RunDir) -> None:
    held.write_result({})
    assert run_status(held.path)["state"] == "running"  # until its owner lets go
    held.close()
    assert run_status(held.path)["state"] == "ended"


def test_watching_ends_with_the_run(held: RunDir) -> None:
    seen: list[str] = []

    def sleep(seconds: float) -> None:
        if len(seen) == 3:
            held.close()

    watch_status(held.path, show=lambda report: seen.append(report["state"]), sleep=sleep)
    assert seen == ["running", "running", "running", "stopped"]


def test_what_is_no_run_is_refused(effsearch: Effsearch) -> None:
    refuses(effsearch("status", "nowhere"), 2, "no run at nowhere")
    refuses(effsearch("status"), 2, "no run at runs/latest")


def test_what_is_said_is_said_as_it_is_but_for_passwords(capsys: pytest.CaptureFixture[str]) -> None:
    with Watcher() as watcher:
        watcher.say("loops:train: cannot use postgresql://me:secret@host/db")
    assert capsys.readouterr().err == "loops:train: cannot use postgresql://me:***@host/db\n"


def test_a_torn_record_is_told_once_nobody_writes_any_more(held: RunDir, effsearch: Effsearch) -> None:
    with held.ledger_path.open("ab") as file:
        file.write(b'{"schema_ver')
    assert effsearch("status", "run", "--json").json["torn"] == ""  # it may be about to be whole
    held.close()
    words = "1 torn record at the end of ledger.jsonl: the next call of the run's command cuts it off"
    assert words in effsearch("status", "run", "--json").json["torn"]
    assert words in effsearch("status", "run").out
    assert effsearch("report", "run").code == 0
    assert "1 torn record at the end" in Path("run/report.html").read_text()


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.04, "under .1 s"), (0.31, "about .3 s"), (6.2, "about 6 s"), (0.97, "about 1 s")],
)
def test_how_long_a_short_training_takes_is_never_nothing(seconds: float, words: str) -> None:
    assert short_seconds(seconds) == words
