"""The page of a run: what is on it, however far the run has come."""

from pathlib import Path
from typing import Any

import pytest

from effsearch.results.certificate import write_certificate
from effsearch.results.ledger import LedgerEntry
from effsearch.results.report.contents import read_contents
from effsearch.results.report.page import HEADINGS
from effsearch.space.errors import RunError, UsageError

from ..conftest import MakeCertificate, MakeEntry
from .conftest import COEFFICIENTS, FAMILY, IMPORTANCE, TRIPLE, MakeRun
from .markup import Markup, page_of, words_of


def test_a_whole_search_has_every_section_that_it_holds(
    make_run: MakeRun, search: list[LedgerEntry], result: dict[str, Any], make_certificate: MakeCertificate
) -> None:
    run = make_run(
        entries=search, report=result, files={"family/family.json": FAMILY, "importance.csv": IMPORTANCE}
    )
    write_certificate(run, make_certificate())
    report = page_of(run)
    assert report.unread == ()
    others = {"coefficients", "ablation", "pruned", "training", "recipe", "full_trainings"}
    assert set(report.sections) == set(HEADINGS) - others
    assert report.num_trainings == 7
    words = words_of(report)
    for fact in ("Search of mbconv on cifar10 within 400M-FLOPs", "60.0% to 70.0% over 2 seeds", "+10.0"):
        assert fact in words
    assert "certificate: unknown" in words or "certificate: poor" in words
    data = Markup(report.html).data
    assert set(data["charts"]) == {"front", "progress", "agreement-0", "growth"}


def test_headings_of_the_page_are_those_of_its_sections(
    make_run: MakeRun, search: list[LedgerEntry], result: dict[str, Any]
) -> None:
    report = page_of(make_run(entries=search, report=result))
    tags = Markup(report.html).tags
    assert [attributes["id"] for tag, attributes in tags if tag == "section" and "id" in attributes] == list(
        report.sections
    )
    assert [tag for tag, _ in tags].count("h1") == 1
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_a_run_with_nothing_in_it_says_so(make_run: MakeRun) -> None:
    report = page_of(make_run(), "stopped")
    assert report.sections == ("result", "repeat")
    words = words_of(report)
    assert "There is no result in this run" in words
    assert "stopped before its end" in words
    assert len(report.html) < 100_000  # no charts, so no library to draw them


def test_a_run_that_was_cut_is_told_as_far_as_it_came(make_run: MakeRun, search: list[LedgerEntry]) -> None:
    run = make_run(entries=search)
    with (run / "ledger.jsonl").open("a") as file:
        file.write('{"schema_version": 1, "kind": "tri')
    report = page_of(run, "stopped")
    words = words_of(report)
    assert report.num_trainings == 7
    assert "No winner has been chosen yet. The best so far is trial 1 with 65.0%" in words
    assert "trial 1, the best so far" in words


def test_a_winner_is_shown_for_each_budget(
    make_run: MakeRun, search: list[LedgerEntry], result: dict[str, Any]
) -> None:
    small = result["best"] | {
        "name": "trial 2",
        "network_hash": "h2",
        "budget": {"multiply_adds": 200_000_000, "parameters": None},
    }
    budgets = [{"multiply_adds": 200_000_000}, {"multiply_adds": 400_000_000}]
    report = page_of(
        make_run(
            entries=search,
            report=result | {"winners": [small, *result["winners"]]},
            settings={"budgets": budgets},
        )
    )
    words = words_of(report)
    assert "Winner within 400M FLOPs trial 1" in words
    assert "Winner within 200M FLOPs trial 2" in words
    assert "trial 2, best within 200M FLOPs" in words
    assert Markup(report.html).data["charts"]["front"]["budgets"] == [200_000_000, 400_000_000]


def test_a_search_of_coefficients_is_reported(make_run: MakeRun, make_entry: MakeEntry) -> None:
    entry = make_entry(kind="coefficient", name="1.2,1.1,1.15", point={}, coefficients=TRIPLE | {"phi": 1.0})
    report = page_of(make_run(entries=[entry], report=COEFFICIENTS, command="scale", settings={"base": "b0"}))
    assert report.unread == ()
    assert {"coefficients", "progress", "trainings"} <= set(report.sections)
    assert "front" not in report.sections
    words = words_of(report)
    assert "Scaling coefficients of b0 on cifar10" in words
    assert "1.2, 1.1, 1.15 (paper) *" in words
    assert Markup(report.html).data["charts"]["surface"]["winner"] == [1.1, 1.15]


def test_an_ablation_is_reported(make_run: MakeRun, make_entry: MakeEntry) -> None:
    arm = {"name": "depth", "factor": 2.0, "mean": 0.5, "low": 0.4, "high": 0.6, "accuracies": [0.4, 0.6]}
    arm |= {
        "trained_multiply_adds": 800,
        "trained_resolution": 32,
        "params": 5,
        "failures": 1,
        "is_upsampled": False,
    }
    arm |= {"difference": {"against": "compound", "mean": -0.01, "low": -0.03, "high": 0.01, "pairs": 2}}
    fidelity = {"num_images": 500, "num_epochs": 2, "resolution": 32}
    result = {"base": "b0", "arms": [arm], "notes": ["matched"], "fidelity": fidelity, "trainings": 2}
    entry = make_entry(kind="ablation", name="depth x2")
    report = page_of(make_run(entries=[entry], report=result, command="ablate"))
    assert report.unread == ()
    assert "ablation" in report.sections
    assert "-1.0 (-3.0 to +1.0)" in words_of(report)


def test_a_run_of_a_command_from_the_future_has_a_page(make_run: MakeRun) -> None:
    report = page_of(make_run(command="distill", report={"best": 3, "winners": "none", "trials": None}))
    assert report.sections == ("result", "repeat")
    assert "distill" in words_of(report)


def test_what_cannot_be_read_is_named_and_the_rest_is_told(
    make_run: MakeRun, search: list[LedgerEntry], result: dict[str, Any]
) -> None:
    files = {
        "validation.json": {"schema_version": 99},
        "family/family.json": "{torn",
        "importance.csv": "what,name,other,choice,value,low,high,best_probability\nshare,a,,,much,0,1,\n",
        "specs/best.json": "{}",
    }
    report = page_of(make_run(entries=search, report=result, files=files))
    for name in files:
        assert any(name in line for line in report.unread), name
    words = words_of(report)
    assert "What could not be read" in words
    assert "60.0% to 70.0% over 2 seeds" in words
    assert not {"trust", "family", "importance"} & set(report.sections)


def test_values_of_a_wrong_type_break_no_page(
    make_run: MakeRun, search: list[LedgerEntry], make_certificate: MakeCertificate
) -> None:
    certificate = make_certificate().to_json()
    certificate["networks"][0]["longer_accuracy"] = "high"
    run = make_run(entries=search, report={"best": [], "anchors": {}}, files={"validation.json": certificate})
    (line,) = page_of(run).unread
    assert "is no certificate" in line
    rows = [{"alpha": "x", "accuracies": 3, "low": [], "difference": "none"}]
    report = {"candidates": rows, "coefficients": 1, "interval": None, "arms": rows, "trainings": "many"}
    for command in ("scale", "ablate"):
        assert page_of(make_run(command, command=command, report=report)).sections[0] == "result"


def test_there_is_no_page_without_a_run(make_run: MakeRun, search: list[LedgerEntry]) -> None:
    with pytest.raises(UsageError, match="no run at nowhere"):
        read_contents(Path("nowhere"))
    run = make_run(entries=search)
    ledger = run / "ledger.jsonl"
    ledger.write_text("{broken\n" + ledger.read_text())
    with pytest.raises(RunError, match=r"ledger\.jsonl line 1 is damaged"):
        read_contents(run)


def test_a_page_is_the_same_each_time(make_run: MakeRun, search: list[LedgerEntry]) -> None:
    run = make_run(entries=search)
    assert page_of(run).html == page_of(run).html
