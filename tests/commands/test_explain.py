"""`effsearch explain` as a user meets it: on runs with made-up scores."""

import csv
import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from effsearch.results.evaluations import to_entry
from effsearch.results.run_dir import create_or_resume
from effsearch.results.run_lock import acquire_lock
from effsearch.search.fidelity import make_rungs
from effsearch.space.canonical import network_hash, space_hash
from effsearch.space.cost import count_cost
from effsearch.space.outcome import Evaluation, Fidelity, Job, ProxyResult, derive_seed
from effsearch.space.screening import all_points
from effsearch.space.search_space import SearchSpace
from effsearch.space.shipped_spaces import load_shipped_space
from effsearch.space.space_text import space_from_yaml

from ..conftest import Done, Effsearch, refuses

TOP = Fidelity(num_images=600, num_epochs=9, resolution=32)
RUNGS = make_rungs(TOP, num_rungs=2, reduction=3)
OWN_SPACE = (
    "schema_version: 1\nname: own\nstem: {out_channels: 8}\nhead: {out_channels: 0}\nstages:\n"
    "  - {channels: [8, 16], repeats: [1, 2, 3], kernel_size: [3, 5]}\n"
)
MACRO_BUDGETS: dict[str, Any] = {
    "budget": "40M-FLOPs, 2M-params; 60M-FLOPs, 2M-params",
    "budget_limits": {"multiply_adds": 60_000_000, "parameters": 2_000_000},
}


MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(effsearch: Effsearch) -> MakeRun:
    """A baseline run of the benchmark's space, or of another; the choice "2" adds 2 points wherever it is made."""

    def make(
        *,
        space: SearchSpace | None = None,
        num_networks: int = 40,
        command: str = "baseline",
        without: str = "",
        **changes: Any,
    ) -> Path:
        space = space or load_shipped_space("nas-bench-macro")
        settings: dict[str, Any] = {
            "budget": "60M-FLOPs",
            "budget_limits": {"multiply_adds": 60_000_000},
            "space": space.name,
            "space_hash": space_hash(space),
            "resolution": 32,
            "num_classes": 10,
            "fidelity": dataclasses.asdict(TOP),
            "num_rungs": 2,
            "reduction": 3,
            "objective": "accuracy",
            "reward_exponent": -0.07,
            **changes,
        }
        settings.pop(without, None)
        points = np.random.default_rng(0).permutation(all_points(space))[:num_networks].tolist()
        with (
            create_or_resume(
                Path("run"),
                command=command,
                settings=settings,
                free_settings=frozenset(),
                now=datetime.now(UTC),
            ) as run,
            run.open_ledger() as ledger,
        ):
            for number, point in enumerate(points):
                for rung in (0, 1) if number % 3 == 0 else (0,):
                    evaluation = trained(space, point, number, rung)
                    ledger.append(
                        to_entry(evaluation, data_fingerprint="d", settings_hash="s", now=datetime.now(UTC))
                    )
            failed = dataclasses.replace(
                trained(space, points[0], 0, 0, seed=1), result=None, failure="no memory"
            )
            ledger.append(to_entry(failed, data_fingerprint="d", settings_hash="s", now=datetime.now(UTC)))
        return run.path

    return make


def trained(space: SearchSpace, point: list[int], number: int, rung: int, seed: int = 0) -> Evaluation:
    spec = space.spec_at(point, resolution=32, num_classes=10)
    network = network_hash(spec)
    job = Job(
        kind="rung" if rung else "trial",
        name=f"trial {number + 1}",
        spec=spec,
        network=f"{network}-{number}",  # two points may be one network, and a ledger scores it once
        cost=count_cost(spec),
        fidelity=RUNGS[rung],
        seed=derive_seed(seed, network, 0),
        choices=space.labels_at(point),
    )
    accuracy = 0.5 + 0.02 * point.count(2) + 0.1 * rung + 0.0001 * (number % 7)
    result = ProxyResult(val_accuracy=accuracy, val_loss=1.0, train_seconds=1.0, num_images_seen=600)
    return Evaluation(job=job, result=result, seconds=1.0)


def cannot_explain(ended: Done, *words: str) -> None:
    """Refused at once, in one line, and nothing was written."""
    refuses(ended, 2, *words)
    assert len(ended.err.strip().splitlines()) == 1
    assert not Path("run/importance.csv").exists()


def test_people_read_what_mattered_what_a_budget_brings_and_where_the_files_are(
    effsearch: Effsearch, make_run: MakeRun
) -> None:
    run = make_run()
    ended = effsearch("explain", "run")
    assert (ended.code, ended.err) == (0, "")
    for words in (
        "share of the variance of accuracy, with 90 % intervals",
        "2: +1.3 ±",
        "strongest pairs: ",
        "number of blocks",
        "40 networks, 54 trainings: the best choice surely beats the worst in each of the 8 dimensions",
        "budget 60M-FLOPs: the best 5 networks use ",
        "points expected of 10, 25, 50 % more FLOPs: +",
        "table: run/importance.csv",
        "plot: run/plots/importance.png",
    ):
        assert words in ended.out
    assert (run / "plots" / "importance.png").read_bytes().startswith(b"\x89PNG")


def test_json_and_table_hold_the_same_numbers(effsearch: Effsearch, make_run: MakeRun) -> None:
    run = make_run()
    report = effsearch("explain", "run", "--json").json
    assert (report["networks"], report["trainings"], report["rungs"]) == (40, 54, 2)
    assert len(report["dimensions"]) == 8
    assert {one["best_choice"] for one in report["dimensions"]} == {"2"}
    with (run / "importance.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    effects = [row for row in rows if row["what"] == "effect"]
    assert [float(row["value"]) for row in effects] == pytest.approx(
        [effect["effect"]["mean"] for one in report["dimensions"] for effect in one["effects"]], rel=1e-4
    )
    (share,) = [
        row
        for row in rows
        if row["what"] == "share_with_pairs" and row["name"] == report["dimensions"][2]["name"]
    ]
    assert float(share["high"]) == pytest.approx(report["dimensions"][2]["total"]["high"], rel=1e-4)
    gains = [float(row["value"]) for row in rows if row["what"] == "gain"]
    assert gains == pytest.approx([price["gain"] for price in report["budgets"][0]["prices"]], rel=1e-4)
    assert {row["what"] for row in rows} >= {"share", "pair_share", "budget_used"}


def test_asking_again_gives_the_same_answer(effsearch: Effsearch, make_run: MakeRun) -> None:
    run = make_run()
    first = effsearch("explain", "run", "--json").out
    table = (run / "importance.csv").read_bytes()
    assert effsearch("explain", "run", "--json").out == first
    assert (run / "importance.csv").read_bytes() == table


def test_every_budget_of_several_and_every_bound_has_its_price(
    effsearch: Effsearch, make_run: MakeRun
) -> None:
    make_run(**MACRO_BUDGETS)
    report = effsearch("explain", "run", "--json").json
    assert [use["budget"] for use in report["budgets"]] == ["40M-FLOPs, 2M-params", "60M-FLOPs, 2M-params"]
    for use in report["budgets"]:
        assert use["shares"].keys() == {"multiply_adds", "parameters"}
        assert len(use["prices"]) == 9
    assert any("% more params" in line for line in report["words"])


def test_a_reward_is_explained_where_it_was_sought(effsearch: Effsearch, make_run: MakeRun) -> None:
    make_run(objective="reward", reward_exponent=-2.0)
    report = effsearch("explain", "run", "--json").json
    assert report["objective"] == "reward"
    assert {one["best_choice"] for one in report["dimensions"]} != {"2"}  # it costs more than it brings


def test_a_reward_that_weighs_step_times_is_explained_with_them(
    effsearch: Effsearch, make_run: MakeRun
) -> None:
    make_run(objective="reward", reward_exponent=0.0, step_time_exponent=0.1, parameters_exponent=-2.0)
    report = effsearch("explain", "run", "--json").json
    assert {one["best_choice"] for one in report["dimensions"]} != {"2"}  # it costs more than it brings


def test_a_space_of_the_users_own_is_read_from_its_file(effsearch: Effsearch, make_run: MakeRun) -> None:
    make_run(space=space_from_yaml(OWN_SPACE), num_networks=12)
    cannot_explain(
        effsearch("explain", "run"), "run searched own, which is no space of this effsearch", "space.yaml"
    )
    Path("own.yaml").write_text(OWN_SPACE)
    cannot_explain(
        effsearch("explain", "run", "--space", "mbconv"), "mbconv is not the space that run searched"
    )
    report = effsearch("explain", "run", "--space", "own.yaml", "--json").json
    assert [one["name"] for one in report["dimensions"]] == [
        "stage1.channels",
        "stage1.repeats",
        "stage1.kernel_size",
    ]
    assert "the network that the model expects to be best fits already" in report["words"][2]
    assert report["words"][-2].startswith(
        "stage1.repeats: the largest choice (3) is best with probability above .99, and "
    )
    assert report["words"][-2].endswith("take it: allow more")
    assert report["words"][-1].endswith("likes best: may be dropped")


def test_too_few_trainings_for_any_claim_are_called_that(effsearch: Effsearch, make_run: MakeRun) -> None:
    make_run(num_networks=8)
    out = effsearch("explain", "run").out
    assert "surely beats the worst in each" not in out
    assert "too few to say of any dimension" in out or "in the others that may be chance" in out


def test_a_run_that_is_still_searching_can_be_explained(effsearch: Effsearch, make_run: MakeRun) -> None:
    lock = acquire_lock(make_run() / "run.lock")
    try:
        assert effsearch("explain", "run").code == 0
    finally:
        lock.release()


# Bad input.


def test_what_is_no_run_of_a_search_is_refused(effsearch: Effsearch, make_run: MakeRun) -> None:
    cannot_explain(effsearch("explain", "nowhere"), "no run at nowhere")
    make_run(command="scale")
    cannot_explain(
        effsearch("explain", "run"), "run holds a scale run, and only a baseline run can be explained"
    )


def test_seven_networks_are_refused(effsearch: Effsearch, make_run: MakeRun) -> None:
    make_run(num_networks=7)
    cannot_explain(
        effsearch("explain", "run"), "7 network(s) of the space have a score", "--trials or --minutes"
    )


def test_settings_that_do_not_name_the_space_are_refused(effsearch: Effsearch, make_run: MakeRun) -> None:
    make_run(without="space_hash")
    cannot_explain(effsearch("explain", "run"), "do not say what was searched: no space_hash")
