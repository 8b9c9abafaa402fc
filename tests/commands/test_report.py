"""`effsearch report` as a user meets it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from effsearch.results.evaluations import to_entry
from effsearch.results.run_dir import create_or_resume

from ..conftest import Effsearch, refuses
from .test_status import ended


@pytest.fixture
def run(effsearch: Effsearch) -> Path:
    """A search that was cut after two trainings, the newest run there is."""
    with (
        create_or_resume(
            None, command="baseline", settings={"seed": 1}, free_settings=frozenset(), now=datetime.now(UTC)
        ) as run,
        run.open_ledger() as ledger,
    ):
        for evaluation in (ended("efficientnet-b0", 0.25), ended("efficientnet-b1", None)):
            ledger.append(
                to_entry(evaluation, data_fingerprint="d", settings_hash="s", now=datetime.now(UTC))
            )
    return run.path


def test_the_newest_run_is_reported_into_itself(effsearch: Effsearch, run: Path) -> None:
    report = effsearch("report", "--json").json
    assert report["out"] == str(run / "report.html")
    assert report["bytes"] == (run / "report.html").stat().st_size
    assert report["trainings"] == 2
    assert {"front", "network", "failures", "spent", "repeat", "trainings"} <= set(report["sections"])
    assert report["unread"] == []
    page = (run / "report.html").read_text("utf-8")
    assert page.startswith("<!doctype html>")
    assert "stopped before its end" in page
    assert not list(run.glob("*.tmp"))


def test_a_training_that_is_the_newest_run_is_what_is_reported(effsearch: Effsearch, run: Path) -> None:
    later = datetime.now(UTC) + timedelta(seconds=5)
    with create_or_resume(
        None, command="train", settings={"seed": 1}, free_settings=frozenset(), now=later
    ) as training:
        pass
    report = effsearch("report", "--json").json
    assert Path(report["run"]).resolve() == training.path.resolve()
    assert report["out"] == str(training.path / "report.html")
    assert not (run / "report.html").exists()


def test_the_page_goes_where_it_is_asked_for(effsearch: Effsearch, run: Path) -> None:
    done = effsearch("report", str(run), "--out", "page.htm")
    assert done.out.startswith("page.htm (2.")
    assert Path("page.htm").stat().st_size > 1_000_000
    assert not (run / "report.html").exists()


def test_what_could_not_be_read_is_said(effsearch: Effsearch, run: Path) -> None:
    (run / "validation.json").write_text("{torn")
    assert "left out: " in effsearch("report", str(run)).out


def test_a_report_is_refused_in_one_line(effsearch: Effsearch, run: Path) -> None:
    refuses(effsearch("report", "nowhere"), 2, "no run at nowhere")
    refuses(effsearch("report", str(run), "--out", "page.pdf"), 2, "must end in .html", "page.pdf")
    refuses(effsearch("report", str(run), "--out", "no/such/folder/page.html"), 2, "there is no folder")
    with create_or_resume(
        Path("trained"), command="train", settings={}, free_settings=frozenset(), now=datetime.now(UTC)
    ):
        pass
    report = effsearch("report", "trained", "--json").json
    assert {"result", "training", "recipe"} <= set(report["sections"])
    (run / "ledger.jsonl").write_text("{\n" + (run / "ledger.jsonl").read_text())
    refuses(effsearch("report", str(run)), 1, "ledger.jsonl line 1 is damaged")
