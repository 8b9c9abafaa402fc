"""`effsearch validate` as a user meets it: on a run with made-up scores, trained longer for real once."""

import dataclasses
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from effsearch.commands.proxy import train_settings_record
from effsearch.proxy_train.data.datasets import load_images
from effsearch.results.certificate import read_certificate
from effsearch.results.evaluations import settings_hash, to_entry
from effsearch.results.run_dir import create_or_resume
from effsearch.results.run_files import is_run
from effsearch.results.run_lock import acquire_lock
from effsearch.search.placement.executor import SerialExecutor
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.outcome import Evaluation, Fidelity, Job, ProxyResult, derive_seed
from effsearch.space.space_text import space_from_yaml
from effsearch.space.spec import ModelSpec

from ..conftest import Effsearch, refuses
from .conftest import ledger_of, train_by

WIDTHS = [8 * (index + 1) for index in range(10)]
SPACE = space_from_yaml(
    "schema_version: 1\nname: widths\nstem: {out_channels: 8}\n"
    f"stages: [{{channels: {WIDTHS}, repeats: 1}}]\nhead: {{out_channels: 0}}\n"
)
FIDELITY = Fidelity(num_images=64, num_epochs=1, resolution=16)


MakeRun = Callable[..., Path]


@pytest.fixture(scope="module")
def fingerprint(cache: Path) -> str:
    return load_images("synthetic", resolution=16, cache_dir=cache).fingerprint


@pytest.fixture
def make_run(effsearch: Effsearch, fingerprint: str) -> MakeRun:
    """A baseline run whose wider networks score better; nothing was trained for it."""

    def make(*, num_networks: int = 10, command: str = "baseline", without: str = "", **changes: Any) -> Path:
        settings: dict[str, Any] = {
            "data": "synthetic",
            "data_fingerprint": fingerprint,
            "seed": 0,
            "fidelity": dataclasses.asdict(FIDELITY),
            "training": train_settings_record(),
            **changes,
        }
        settings.pop(without, None)
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
            for index in range(num_networks):
                ledger.append(
                    to_entry(
                        scored(index),
                        data_fingerprint=fingerprint,
                        settings_hash=settings_hash(train_settings_record()),
                        now=datetime.now(UTC),
                    )
                )
        return run.path

    return make


def scored(index: int) -> Evaluation:
    spec = SPACE.spec_at((index,), resolution=32, num_classes=10)
    network = network_hash(spec)
    job = Job(
        kind="trial",
        name=f"trial {index + 1}",
        spec=spec,
        network=network,
        cost=count_cost(spec),
        fidelity=FIDELITY,
        seed=derive_seed(0, network, 0),
        choices=SPACE.labels_at((index,)),
    )
    return Evaluation(job=job, result=accuracy((index + 1) / 20), seconds=1.0)


def accuracy(value: float) -> ProxyResult:
    return ProxyResult(val_accuracy=value, val_loss=1.0, train_seconds=1.0, num_images_seen=64)


@pytest.fixture
def by_formula(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Score by width in place of training; the list grows by a line for each longer training."""
    trained: list[str] = []

    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        trained.append(f"{spec.stages[0].out_channels} for {fidelity.num_epochs}")
        return accuracy(0.5 + spec.stages[0].out_channels / 1000)

    train_by(monkeypatch, evaluate)
    return trained


def test_a_run_is_trained_longer_for_real_and_certified(effsearch: Effsearch, make_run: MakeRun) -> None:
    run = make_run()
    ended = effsearch("validate", "run", "--factor", "2", "--networks", "4", "--workers", "1", "--json")
    assert ended.code == 0, ended.err
    report = ended.json
    longer = [line for line in ledger_of(run) if line["kind"] == "validate"]
    assert len(longer) == len(report["networks"]) == 4
    assert {line["fidelity"]["epochs"] for line in longer} == {2}
    assert report["networks"][0]["name"] == "trial 10"
    assert report["kendall"]["low"] <= report["kendall"]["value"] <= report["kendall"]["high"]
    assert json.loads((run / "validation.json").read_text()).items() <= report.items()
    assert (run / "plots" / "validation.png").read_bytes().startswith(b"\x89PNG")
    assert "validate" in (run / "trials.csv").read_text()


def test_what_was_trained_longer_is_not_trained_again_and_more_networks_add_to_it(
    effsearch: Effsearch, make_run: MakeRun, by_formula: list[str]
) -> None:
    run = make_run()
    first = effsearch("validate", "run", "--networks", "5", "--json").json
    again = effsearch("validate", "run", "--networks", "5", "--json").json
    assert (len(by_formula), again) == (5, first)
    assert {line.split(" for ")[1] for line in by_formula} == {"4"}
    more = effsearch("validate", "run", "--json").json
    assert (len(by_formula), len(set(by_formula)), len(more["networks"])) == (10, 10, 10)
    certificate = read_certificate(run)
    assert certificate is not None
    assert (certificate.kendall.value, certificate.grade) == (pytest.approx(1), "good")


def test_people_read_correlations_regret_grade_and_where_the_plot_is(
    effsearch: Effsearch, make_run: MakeRun, by_formula: list[str]
) -> None:
    make_run()
    out = effsearch("validate", "run").out
    for words in (
        "trial 10",
        "kendall: 1.00, 95 % interval 0.84 to 1.00",
        "spearman: 1.00",
        "regret of trusting the proxy: 0.0 points with its first choice, 0.8 on average over its top three",
        "10 of 10 networks trained longer; all that were asked for",
        "certificate: good, tau 1.00 (.84 to 1.00) with 4 x longer training over 10 networks",
        "plot: run/plots/validation.png",
    ):
        assert words in out


def test_it_stops_early_where_it_is_sure_and_says_how_sure(
    effsearch: Effsearch, make_run: MakeRun, by_formula: list[str]
) -> None:
    make_run()
    out = effsearch("validate", "run", "--stop-at", "0.5").out
    assert len(by_formula) == 8
    assert "8 of 10 networks trained longer; sure enough" in out
    assert "tau is above 0.5, read off a 97.5% interval" in out


def test_of_a_ladder_the_first_rung_is_judged_by_more_than_the_last(
    effsearch: Effsearch, make_run: MakeRun, by_formula: list[str]
) -> None:
    """Every network is scored at the first rung; what a search goes by in the end is the last."""
    dear = {**dataclasses.asdict(FIDELITY), "num_epochs": 9}
    make_run(fidelity=dear, num_rungs=3, reduction=3)
    ended = effsearch("validate", "run", "--json")
    assert len(ended.json["networks"]) == 10
    assert ended.json["proxy_fidelity"]["epochs"] == 1
    assert "judged: the first of 3 rungs, which ranks all networks" in ended.err
    assert {line.split(" for ")[1] for line in by_formula} == {"36"}


def test_the_seed_is_the_runs_where_none_is_given(
    effsearch: Effsearch, make_run: MakeRun, by_formula: list[str]
) -> None:
    make_run()
    assert effsearch("validate", "run", "--networks", "4", "--json").json["seed"] == 0
    other = effsearch("validate", "run", "--networks", "4", "--seed", "7", "--json").json
    assert (other["seed"], len(by_formula)) == (7, 8)


def test_control_c_loses_nothing(
    effsearch: Effsearch, make_run: MakeRun, by_formula: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run()
    wait = SerialExecutor.wait

    def interrupted(executor: SerialExecutor) -> Evaluation:
        if len(by_formula) == 3:
            raise KeyboardInterrupt
        return wait(executor)

    with monkeypatch.context() as patched:
        patched.setattr(SerialExecutor, "wait", interrupted)
        refuses(effsearch("validate", "run"), 130, "goes on")
    assert [line["kind"] for line in ledger_of(run)].count("validate") == 3
    assert effsearch("validate", "run").code == 0
    assert (len(by_formula), len(set(by_formula))) == (10, 10)


def test_help_names_the_options(effsearch: Effsearch) -> None:
    ended = effsearch("validate", "--help")
    assert ended.code == 0
    for option in ("--factor", "--networks", "--minutes", "--stop-at", "--seed", "--json"):
        assert option in ended.out


# Bad input.


def test_a_place_without_a_run_is_refused_and_left_alone(effsearch: Effsearch) -> None:
    refuses(effsearch("validate", "nowhere"), 2, "no run at nowhere")
    assert not is_run(Path("nowhere"))
    refuses(effsearch("validate"), 2, "run")


def test_a_run_of_another_command_is_refused(effsearch: Effsearch, make_run: MakeRun) -> None:
    make_run(command="scale")
    refuses(effsearch("validate", "run"), 2, "run holds a scale run", "baseline")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"num_networks": 3}, "3 network(s) of the space have a score"),
        ({"data_fingerprint": "0000"}, "synthetic holds other images than those that run was scored on"),
        ({"training": {"batch_size": 1}}, "trained by another version"),
        ({"without": "fidelity"}, "do not say how its networks were trained"),
    ],
)
def test_a_run_that_cannot_be_compared_with_is_refused_before_any_training(
    effsearch: Effsearch, make_run: MakeRun, by_formula: list[str], changes: dict[str, Any], words: str
) -> None:
    make_run(**changes)
    refuses(effsearch("validate", "run"), 2, words)
    assert by_formula == []
    assert not Path("run/validation.json").exists()


def test_a_run_that_is_still_searching_is_refused(
    effsearch: Effsearch, make_run: MakeRun, by_formula: list[str]
) -> None:
    lock = acquire_lock(make_run() / "run.lock")
    try:
        refuses(effsearch("validate", "run"), 1, "is in use by process")
    finally:
        lock.release()
    assert by_formula == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("--factor 1", "--factor must be at least 2"),
        ("--networks 3", "--networks must be at least 4"),
        ("--stop-at 2", "--stop-at is a correlation"),
        ("--minutes 0", "--minutes must be above 0"),
        ("--workers 0", "--workers must be at least 1"),
        ("--seed -1", "--seed"),
    ],
)
def test_options_that_cannot_be_are_refused(
    effsearch: Effsearch, make_run: MakeRun, words: str, message: str
) -> None:
    make_run()
    refuses(effsearch("validate", "run", *words.split()), 2, message)


def test_a_run_without_a_screening_has_none_to_judge(
    effsearch: Effsearch, make_run: MakeRun, by_formula: list[str]
) -> None:
    make_run(space="widths", space_hash="", resolution=32, num_classes=10)
    refuses(effsearch("validate", "run", "--of", "screening"), 2, "run searched widths, which is no space")
    assert by_formula == []


def test_few_trainings_point_to_the_screening(
    effsearch: Effsearch, make_run: MakeRun, by_formula: list[str]
) -> None:
    make_run(num_networks=5, screen={"num_networks": 100})
    told = effsearch("validate", "run", "--networks", "4").err
    assert "only 5 networks were trained; --of screening judges what they were picked by" in told
