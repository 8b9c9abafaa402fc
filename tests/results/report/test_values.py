"""What sections are handed, in numbers."""

from typing import Any

import pytest

from effsearch.results.certificate import write_certificate
from effsearch.results.ledger import LedgerEntry
from effsearch.results.report.contents import read_contents
from effsearch.results.report.front import front_json, make_front
from effsearch.results.report.growth import growth_json, make_family
from effsearch.results.report.headline import make_headline
from effsearch.results.report.importance import make_importance
from effsearch.results.report.networks import index_networks
from effsearch.results.report.progress import make_progress, progress_json
from effsearch.results.report.record import command_words, make_failures, make_provenance, make_spending
from effsearch.results.report.training_table import COLUMNS, table_json
from effsearch.results.report.trust import certificate_json, make_certificates, make_screening
from effsearch.results.report.wording import (
    asked_words,
    budget_words,
    count,
    duration,
    fidelity_short,
    fidelity_words,
    moment,
    percent,
    points,
)

from ..conftest import MakeCertificate, MakeEntry
from .conftest import FAMILY, IMPORTANCE, MakeRun


def test_the_front_knows_each_network_s_trainings(make_run: MakeRun, search: list[LedgerEntry]) -> None:
    contents = read_contents(make_run(entries=search, files={"family/family.json": FAMILY}))
    networks = index_networks(contents.entries)
    chart = make_front(contents, networks)
    assert chart is not None
    content = front_json(chart)
    rows = table_json(contents.entries, networks)["rows"]
    for network in content["networks"]:
        own = {row[0] for row in rows if row[-1] == network["number"] and row[1] != "screening"}
        assert own == {network["name"]}
    assert content["front"] == [[200_000_000, 50.0], [300_000_000, 65.0]]
    assert [name for name, _ in chart.families] == ["trial 1 (alpha 1.2, beta 1.1, gamma 1.15)"]
    one = next(network for network in content["networks"] if network["name"] == "trial 1")
    assert ["stage3.kernel_size", "5"] in one["choices"]
    assert (one["seeds"], one["accuracy"], one["is_on_front"]) == (2, 65.0, True)


def test_one_network_at_two_sizes_is_two_rows_of_the_front(make_entry: MakeEntry) -> None:
    entries = [
        make_entry(multiply_adds=100),
        make_entry(multiply_adds=200, seed=2),
        make_entry(multiply_adds=100, seed=3),
    ]
    networks = index_networks(entries)
    assert networks.number("a1b2", 100) == 0
    assert networks.number("a1b2", 200) == 1
    assert networks.number("a1b2", 300) is None


def test_a_network_is_known_by_an_entry_that_has_its_layers(search: list[LedgerEntry]) -> None:
    found = index_networks(search).entry("h1", 300_000_000)
    assert found is not None
    assert found.kind == "trial"  # its screening, which came first, has none


def test_the_table_has_every_entry_and_all_digits_of_a_seed(make_entry: MakeEntry) -> None:
    seed = 2**63 + 11
    content = table_json([make_entry(seed=seed, batch_share=0.5)], index_networks([]))
    (row,) = content["rows"]
    cells = dict(zip([key for key, *_ in COLUMNS], row, strict=False))
    assert cells["seed"] == str(seed)
    assert cells["remark"] == "batch x 0.5"
    assert content["trainings"] == ["5,000 x 2, 32 px"]
    assert [content["choices"][index] for index in cells["choices"]] == [
        ["stage3.kernel_size", "5"],
        ["activation", "swish"],
        ["stage1.se_ratio", "0.25"],
    ]


def test_ways_to_train_are_in_the_order_of_their_price(make_entry: MakeEntry) -> None:
    def way(images: int, epochs: int) -> dict[str, int]:
        return {"num_images": images, "num_epochs": epochs, "resolution": 32}

    entries = [
        make_entry(fidelity=way(*size), seed=i) for i, size in enumerate([(9_000, 9), (900, 90), (80, 9)])
    ]
    assert table_json(entries, index_networks(entries))["trainings"][0] == "80 x 9, 32 px"
    assert table_json(entries, index_networks(entries))["trainings"][-1] in (
        "9,000 x 9, 32 px",
        "900 x 90, 32 px",
    )


def test_progress_counts_minutes_of_work_and_keeps_records(
    make_run: MakeRun, search: list[LedgerEntry]
) -> None:
    (rung,) = make_progress(read_contents(make_run(entries=search)))
    assert [step.minutes for step in rung.steps] == [2, 3, 4, 6]
    assert [(step.minutes, step.accuracy) for step in rung.records] == [(2, 0.7)]
    assert (rung.num_failed, rung.num_networks, rung.median_seconds) == (1, 3, 30.0)
    (content,) = progress_json([rung])
    assert content["records"] == [[2, 70.0]]


def test_a_night_between_two_starts_is_no_progress(make_run: MakeRun, make_entry: MakeEntry) -> None:
    entries = [
        make_entry(seed=1, time="2026-02-03T09:10:00+00:00"),
        make_entry(seed=2, time="2026-02-04T09:05:00+00:00"),
    ]
    starts = [{"time": f"2026-02-0{day}T09:00:00+00:00"} for day in (3, 4)]
    run = make_run(entries=entries, files={"environment.json": {"starts": starts}})
    (rung,) = make_progress(read_contents(run))
    assert [step.minutes for step in rung.steps] == [10, 15]


def test_spending_is_by_kind_and_sums_up(make_run: MakeRun, search: list[LedgerEntry]) -> None:
    rounds = '{"round": 0, "train_loss": 2.0, "core_seconds": 65.0}\n' * 2
    run = make_run(entries=search, files={"supernet/rounds.jsonl": rounds})
    contents = read_contents(run)
    spending = make_spending(contents)
    by_kind = {row.what: (row.num, row.num_failed, row.seconds) for row in spending.rows}
    assert by_kind == {
        "supernet": (None, 0, 130.0),
        "trial": (3, 1, 65.0),
        "anchor": (1, 0, 40.0),
        "fresh seed": (1, 0, 30.0),
        "screening": (2, 0, 25.0),
    }
    assert spending.seconds == 290.0
    assert sum(row.share for row in spending.rows) == pytest.approx(1)
    assert spending.wall_seconds == 360.0
    screening = make_screening(contents)
    assert screening is not None
    assert (screening.num_scored, screening.supernet_seconds, screening.losses) == (2, 130.0, ((0, 2.0),))
    assert screening.by.startswith("a supernet")


def test_failures_have_their_reasons(make_run: MakeRun, search: list[LedgerEntry]) -> None:
    (failure,) = make_failures(read_contents(make_run(entries=search)))
    assert (failure.name, failure.reason, failure.seconds) == ("trial 3", "loss became NaN", 5.0)


@pytest.mark.parametrize(
    ("stored", "typed"),
    [
        ("/home/me/.venv/bin/effsearch plot", "effsearch plot"),
        (
            "/site-packages/effsearch/cli.py baseline --data 'my photos'",
            "effsearch baseline --data 'my photos'",
        ),
        ("python -m pytest", "python -m pytest"),
        ("effsearch 'unclosed", "effsearch 'unclosed"),
        ("", ""),
    ],
)
def test_a_command_is_shown_as_it_is_typed(stored: str, typed: str) -> None:
    assert command_words(stored) == typed


def test_provenance_has_commands_versions_and_every_setting(make_run: MakeRun) -> None:
    provenance = make_provenance(
        read_contents(make_run(settings={"training": {"batch_size": 64, "schedule": None}}))
    )
    (start,) = provenance.starts
    assert start.command == "effsearch baseline --budget 400M-FLOPs"
    assert dict(provenance.versions)["torch"]
    assert dict(provenance.settings)["training.batch_size"] == "64"
    assert "training.schedule" not in dict(provenance.settings)
    assert not provenance.has_changed


def test_importances_are_read_with_their_intervals(make_run: MakeRun) -> None:
    importance = make_importance(read_contents(make_run(files={"importance.csv": IMPORTANCE})))
    assert importance is not None
    assert [one.name for one in importance.dimensions] == ["activation", "stage1.repeats"]
    relu, swish = importance.dimensions[0].choices
    assert (relu.effect.mean, relu.effect.is_sure, swish.best_probability) == (-0.02, True, 0.97)
    assert not importance.dimensions[1].choices[0].effect.is_sure
    assert (importance.largest_share, importance.largest_effect) == (0.7, 0.03)
    assert importance.words == (
        "activation: relu best with probability 0.0300; never taken by the networks that the model likes best: "
        "may be dropped",
    )


def test_a_certificate_is_drawn_and_ordered(make_run: MakeRun, make_certificate: MakeCertificate) -> None:
    run = make_run()
    write_certificate(run, make_certificate())
    (view,) = make_certificates(read_contents(run))
    assert view.places == (2, 1, 3)
    content = certificate_json(view.certificate, index_networks([]))
    assert (content["choice"], content["best"]) == (0, 1)
    assert content["points"][0][:3] == [52.0, 60.0, "trial 7"]


def test_a_family_has_its_curve_unless_it_is_too_old(make_run: MakeRun) -> None:
    family = make_family(read_contents(make_run(files={"family/family.json": FAMILY})))
    assert family is not None
    assert family.growth is not None
    assert growth_json(family.growth)["built"] == [600_000_000, 1_200_000_000]
    old = {"base": "b", "family": [{"phi": 1, "multiply_adds": 7}]}
    contents = read_contents(make_run("old", files={"family/family.json": old}))
    family = make_family(contents)
    assert family is not None
    assert family.growth is None
    assert contents.unread.lines == []


def test_the_winner_leads_only_over_what_was_trained_alike(make_run: MakeRun) -> None:
    winner = {"name": "w", "network_hash": "w", "accuracy": 0.7, "accuracies": [0.7], "rung": 1}
    anchors = [
        winner | {"name": "alike", "network_hash": "a", "accuracy": 0.6},
        winner | {"name": "shorter", "network_hash": "b", "accuracy": 0.5, "rung": 0},
        {"name": "unknown", "network_hash": "c", "accuracy": 0.4},
    ]
    report = {"best": winner, "anchors": anchors, "owed": 2, "stopped_by": "minutes"}
    headline = make_headline(read_contents(make_run(report=report)), state="ended")
    assert [row.lead and round(row.lead, 9) for row in headline.others] == [0.1, None, None]
    assert [row.is_shorter for row in headline.others] == [False, True, False]
    assert any("2 trainings with fresh seeds" in line for line in headline.warnings)
    assert "the time was up" in headline.facts


def test_a_search_bounded_by_latency_says_what_was_allowed_predicted_and_measured(make_run: MakeRun) -> None:
    times = {"predicted_nanoseconds": 1_452_000, "measured_nanoseconds": 1_557_000}
    best = {"name": "w", "network_hash": "w", "accuracy": 0.7, "accuracies": [0.7], "rung": 1, **times}
    record = {"conditions": "torch", "limit_nanoseconds": 1_600_000, "held_to_nanoseconds": 1_509_000}
    other = best | {"name": "o", "network_hash": "o", "measured_nanoseconds": None}
    report = {"best": best, "finalists": [best, other], "latency": record}
    held = [{"multiply_adds": 60_000_000, "latency_nanoseconds": 1_509_000}]
    run = make_run(report=report, settings={"budgets": held, "max_latency_nanoseconds": 1_600_000})
    headline = make_headline(read_contents(run), state="ended")
    assert headline.title.endswith("within 60M-FLOPs, 1.6 ms")
    assert "latency on torch: 1.6 ms allowed, predictions held to 1.509 ms" in headline.facts
    assert "w: 1.452 ms predicted, 1.557 ms measured whole" in headline.facts
    assert "o: 1.452 ms predicted, not measured here" in headline.facts


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"budgets": [{"multiply_adds": 400_000_000}]}, "400M-FLOPs"),
        (
            {"budgets": [{"multiply_adds": 385_814_752}]},
            "385.814752M-FLOPs",
        ),  # not 385.8M, which nobody asked for
        ({"budgets": [{"multiply_adds": 1_500, "parameters": 999}]}, "1.5k-FLOPs, 999-params"),
        ({"budgets": [{"activations": 7_000_000}], "max_latency_nanoseconds": 5_000_000}, "7M-activations"),
        ({"budgets": [{"latency_nanoseconds": 4_700_000}], "max_latency_nanoseconds": 5_000_000}, "5 ms"),
        (
            {"budgets": [{"latency_nanoseconds": 4_700_000}], "max_latency_nanoseconds": 5_012_345},
            "5.012345 ms",
        ),
        ({"budgets": [{"latency_nanoseconds": 4_700_000}]}, "4.7 ms"),
        (
            {
                "budgets": [
                    {"multiply_adds": 11_500_000, "latency_nanoseconds": 1_500_000},
                    {"multiply_adds": 60_000_000, "latency_nanoseconds": 1_500_000},
                ],
                "max_latency_nanoseconds": 1_600_000,
            },
            "11.5M-FLOPs, 1.6 ms and 60M-FLOPs, 1.6 ms",
        ),
        ({"budget": "200M-FLOPs; 400M-FLOPs"}, "200M-FLOPs and 400M-FLOPs"),  # of an older run
        ({}, ""),
    ],
)
def test_the_title_has_the_budget_that_was_asked_for(settings: dict[str, Any], words: str) -> None:
    assert asked_words(settings) == words


def test_numbers_are_written_for_people() -> None:
    assert percent(0.65259) == "65.3%"
    assert percent(None) == "-"
    assert percent("much") == "much"
    assert points(-0.0123) == "-1.2"
    assert points(0.0) == "+0.0"
    assert count(59_335_168) == "59.34M"
    assert [duration(one) for one in (0, 2.5, 59, 61, 3600, 7500)] == [
        "0 s",
        "2.5 s",
        "59 s",
        "1 min 1 s",
        "1 h 0 min",
        "2 h 5 min",
    ]
    assert moment("2026-02-03T10:00:00.5+01:00") == "2026-02-03 09:00:00 UTC"
    assert moment("yesterday") == "yesterday"
    assert budget_words({"multiply_adds": 60_000_000, "parameters": None}) == "60M FLOPs"
    fidelity = {"num_images": 10_000, "num_epochs": 6, "resolution": 32, "width": 0.5}
    assert fidelity_words(fidelity) == "10,000 images x 6 epochs at 32 px, width x 0.5"
    assert fidelity_short(fidelity) == "10,000 x 6, 32 px, width x 0.5"
    assert fidelity_words({"odd": 1}) == "odd 1"
