import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from effsearch.results.ledger import LedgerEntry
from effsearch.results.plots.collect import collect_front
from effsearch.results.plots.front import draw_front
from effsearch.results.run_dir import create_or_resume
from effsearch.space.errors import RunError, UsageError

from ..conftest import MakeEntry

MakeRun = Callable[..., Path]
FAMILY = {
    "base": "trial 1",
    "coefficients": {"alpha": 1.2, "beta": 1.1, "gamma": 1.15},
    "family": [
        {"phi": 1, "multiply_adds": 700, "params": 5},
        {"phi": 2, "multiply_adds": 1400, "params": 9, "accuracy": 0.8},
    ],
}


@pytest.fixture
def make_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeRun:
    monkeypatch.chdir(tmp_path)

    def make(
        name: str,
        entries: Sequence[LedgerEntry],
        *,
        report: dict[str, Any] | None = None,
        command: str = "baseline",
        data: str = "cifar10",
        budgets: Sequence[float] = (400,),
    ) -> Path:
        with (
            create_or_resume(
                Path(name),
                command=command,
                settings={"data": data, "budgets": [{"multiply_adds": budget} for budget in budgets]},
                free_settings=frozenset(),
                now=datetime.now(UTC),
            ) as run,
            run.open_ledger() as ledger,
        ):
            for entry in entries:
                ledger.append(entry)
            if report is not None:
                run.write_result(report)
        return Path(name)

    return make


def _search(make_entry: MakeEntry) -> list[LedgerEntry]:
    """Two trials, one of them confirmed, an anchor with two seeds, a failure, and scores of other kinds."""
    one = {"name": "trial 1", "network_hash": "h1", "multiply_adds": 300, "parameters": 3}
    two = {"name": "trial 2", "network_hash": "h2", "multiply_adds": 200, "parameters": 2}
    b0 = {"name": "efficientnet-b0", "network_hash": "hb", "multiply_adds": 386, "parameters": 5}
    return [
        make_entry(**one, seed=1, val_accuracy=0.7),
        make_entry(**two, seed=1, val_accuracy=0.5),
        make_entry(**b0, kind="anchor", seed=1, val_accuracy=0.58),
        make_entry(**b0, kind="confirm", seed=2, val_accuracy=0.62),
        make_entry(**one, kind="confirm", seed=2, val_accuracy=0.6),
        make_entry(**one, kind="confirm", seed=3, val_accuracy=0.62),
        make_entry(**one, kind="confirm", seed=4, failure="loss became NaN"),
        make_entry(name="trial 3", network_hash="h3", multiply_adds=100, failure="out of memory"),
        make_entry(name="scaled", network_hash="h4", multiply_adds=900, kind="coefficient", val_accuracy=0.9),
        make_entry(**one, kind="final", seed=5, val_accuracy=0.1),
    ]


REPORT: dict[str, Any] = {
    "best": {"name": "trial 1", "multiply_adds": 300, "params": 3, "accuracy": 0.61, "seeds": [2, 3]},
    "anchors": [
        {"name": "efficientnet-b0", "multiply_adds": 386, "params": 5, "accuracy": 0.6, "seeds": [1, 2]}
    ],
    "trials": 3,
    "budget": {"multiply_adds": 400, "parameters": None},
}


def test_a_network_has_one_accuracy_the_mean_of_its_seeds(make_run: MakeRun, make_entry: MakeEntry) -> None:
    (series,) = collect_front([make_run("run", _search(make_entry))]).series
    assert [(point.name, point.num_seeds) for point in series.trials] == [("trial 1", 3), ("trial 2", 1)]
    assert series.trials[0].accuracy == pytest.approx((0.7 + 0.6 + 0.62) / 3)
    (anchor,) = series.anchors
    assert (anchor.name, anchor.accuracy, anchor.num_seeds) == ("efficientnet-b0", pytest.approx(0.6), 2)
    assert anchor.accuracy_std == pytest.approx(0.04 / 2**0.5)
    assert series.winners == (), "the run is still going on"
    assert series.budgets == (400,)


def test_a_report_names_the_winner_and_the_seeds_of_its_mean(
    make_run: MakeRun, make_entry: MakeEntry
) -> None:
    plot = collect_front([make_run("run", _search(make_entry), report=REPORT)])
    (series,) = plot.series
    (winner,) = series.winners
    assert winner == series.trials[0], "the star lies on its dot"
    assert (winner.accuracy, winner.num_seeds) == (pytest.approx(0.61), 2)
    assert series.budgets == (400,)
    assert plot.title == "3 networks on cifar10 within 0 M FLOPs"
    assert plot.resolution == 224
    assert plot.notes == ()


def test_a_winner_that_is_an_anchor_or_unknown_to_the_ledger_is_drawn(
    make_run: MakeRun, make_entry: MakeEntry
) -> None:
    entries = _search(make_entry)
    (series,) = collect_front([make_run("a", entries, report=REPORT | {"best": REPORT["anchors"][0]})]).series
    assert series.winners == series.anchors[:1]
    best = {"multiply_adds": 250, "params": 1, "accuracy": 0.5, "seeds": [7]}
    (series,) = collect_front([make_run("b", entries, report={"best": best})]).series
    (winner,) = series.winners
    assert (winner.multiply_adds, winner.accuracy, winner.num_seeds) == (250, 0.5, 1)


def test_each_budget_has_its_line_and_its_winner(make_run: MakeRun, make_entry: MakeEntry) -> None:
    rows = [
        {"network_hash": network, "multiply_adds": cost, "params": 1, "accuracy": 0.5}
        for network, cost in (("h2", 200), ("h1", 300))
    ]
    report = {"best": rows[1], "winners": rows}
    plot = collect_front([make_run("run", _search(make_entry), report=report, budgets=(250, 400))])
    (series,) = plot.series
    assert [winner.name for winner in series.winners] == ["trial 2", "trial 1"]
    assert series.budgets == (250, 400)
    assert plot.title.endswith("within 0 M, 0 M FLOPs")


def test_a_single_training_above_the_winner_is_said_to_be_noisy(
    make_run: MakeRun, make_entry: MakeEntry
) -> None:
    lucky = {"name": "trial 9", "network_hash": "h9", "multiply_adds": 150, "parameters": 2}
    entries = [*_search(make_entry), make_entry(**lucky, seed=1, val_accuracy=0.69)]
    (note,) = collect_front([make_run("run", entries, report=REPORT)]).notes
    # Trial 1 counts with the two seeds of its row, .6 and .62; B0 has .58 and .62.
    assert "with a deviation of 2.2 points" in note
    plain = collect_front([make_run("going-on", entries)])
    assert plain.notes == (), "without a winner there is nothing to be above of"


def test_a_row_with_a_hash_means_that_network_whatever_its_name(
    make_run: MakeRun, make_entry: MakeEntry
) -> None:
    best = {"name": "renamed", "network_hash": "h2", "multiply_adds": 200, "params": 2, "accuracy": 0.5}
    (series,) = collect_front([make_run("run", _search(make_entry), report={"best": best})]).series
    assert series.winners == series.trials[1:2]


def test_only_the_dearest_fidelity_is_ranked(make_run: MakeRun, make_entry: MakeEntry) -> None:
    cheap = {"num_images": 1000, "num_epochs": 1, "resolution": 32, "width": 1.0}
    dear = cheap | {"num_epochs": 4}
    entries = [
        make_entry(network_hash="h1", fidelity=cheap, val_accuracy=0.9),
        make_entry(network_hash="h1", fidelity=dear, val_accuracy=0.5),
        make_entry(network_hash="h2", fidelity=cheap, val_accuracy=0.8),
    ]
    (series,) = collect_front([make_run("run", entries)]).series
    assert [(point.accuracy, point.is_full_fidelity) for point in series.trials] == [
        (0.5, True),
        (0.8, False),
    ]
    assert len(series.front) == 1


def test_families_come_from_scale_runs_and_from_the_family_folder_once(
    make_run: MakeRun, make_entry: MakeEntry
) -> None:
    baseline = make_run("run", _search(make_entry))
    (baseline / "family").mkdir()
    (baseline / "family" / "family.json").write_text(json.dumps(FAMILY))
    scale = make_run("scale", [], report=FAMILY, command="scale")
    plot = collect_front([baseline, scale])
    assert plot.notes == (
        "The family was trained in full, the trials were not: compare its members with each other.",
    )
    (family,) = plot.families
    assert family.name == "trial 1 (alpha 1.2, beta 1.1, gamma 1.15)"
    members = [(member.phi, member.multiply_adds, member.accuracy) for member in family.members]
    assert members == [(1, 700, None), (2, 1400, 0.8)]


def test_a_run_given_twice_is_drawn_once(make_run: MakeRun, make_entry: MakeEntry) -> None:
    run = make_run("run", _search(make_entry))
    assert len(collect_front([run, Path("runs/latest")]).series) == 1


def test_runs_on_different_data_are_not_put_in_one_picture(make_run: MakeRun, make_entry: MakeEntry) -> None:
    first, second = make_run("a", [make_entry()]), make_run("b", [make_entry(data_fingerprint="other")])
    with pytest.raises(UsageError, match="a and b were scored on different data; plot them apart"):
        collect_front([first, second])


def test_runs_trained_in_different_ways_carry_a_note(make_run: MakeRun, make_entry: MakeEntry) -> None:
    first, second = make_run("a", [make_entry()]), make_run("b", [make_entry(settings_hash="other")])
    assert collect_front([first, second]).notes[0].startswith("These runs trained in different ways")
    assert collect_front([first]).notes == ()


def test_nothing_scored_is_nothing_to_plot(make_run: MakeRun, make_entry: MakeEntry) -> None:
    with pytest.raises(UsageError, match="no run at nowhere"):
        collect_front([Path("nowhere")])
    run = make_run("run", [make_entry(failure="out of memory")])
    with pytest.raises(UsageError, match="nothing to plot in run: no network was scored there yet"):
        collect_front([run])


def test_settings_that_do_not_hold_are_one_line(make_run: MakeRun, make_entry: MakeEntry) -> None:
    run = make_run("run", [make_entry()], budgets=(1.5,))
    with pytest.raises(
        RunError, match=r"settings\.json: the setting budgets must be a list of bounds .*: 1\.5"
    ):
        collect_front([run])


@pytest.mark.parametrize(
    ("report", "message"),
    [
        ({"best": {"multiply_adds": "3"}}, r"report\.json: multiply_adds must be a whole number .*got '3'"),
        ({"best": {"multiply_adds": 3}}, r"report\.json: accuracy must be a number, got None"),
        ({"family": [{"multiply_adds": 3}]}, "phi must be a number, got None"),
    ],
)
def test_a_report_that_does_not_hold_is_one_line(
    make_run: MakeRun, make_entry: MakeEntry, report: dict[str, Any], message: str
) -> None:
    run = make_run("run", [make_entry()], report=report)
    with pytest.raises(RunError, match=message):
        collect_front([run])


def test_what_was_collected_can_be_drawn(make_run: MakeRun, make_entry: MakeEntry) -> None:
    run = make_run("run", _search(make_entry), report=REPORT | FAMILY)
    assert draw_front(collect_front([run])).axes
