"""`effsearch scale` where it searches the coefficients: scores by a formula, in a run directory like any other."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import pytest

from effsearch.commands.scaling.coefficient_report import BIAS, coefficient_report
from effsearch.commands.scaling.coefficient_tables import print_coefficients
from effsearch.commands.scaling.search import search_rules
from effsearch.results.run_files import LEDGER_FILE, TRIALS_FILE
from effsearch.search.coefficients.candidates import Candidate, CandidateList, LeftOut, place_of
from effsearch.search.coefficients.check import Checked
from effsearch.search.coefficients.search import CoefficientResult
from effsearch.search.coefficients.verdict import judge
from effsearch.space.coefficients import PAPER_COEFFICIENTS, ScalingCoefficients
from effsearch.space.cost import count_cost
from effsearch.space.outcome import Fidelity, ProxyResult, TrainingFailed
from effsearch.space.scaling import BuildRules
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec
from effsearch.space.text import to_json

from ..conftest import Effsearch, refuses
from .conftest import train_by

BASE = ModelSpec(
    stem=StemSpec(out_channels=16, stride=1),
    stages=(
        StageSpec(out_channels=24, stride=1, blocks=(BlockSpec(),) * 2),
        StageSpec(out_channels=40, stride=2, blocks=(BlockSpec(),) * 3),
    ),
    head=HeadSpec(out_channels=0),
    resolution=32,
    num_classes=10,
)
TINY = "--grid-step 0.1 --images 64 --epochs 1 --proxy-resolution 16 --workers 1 --seeds 3 --phi 1"


@pytest.fixture
def by_formula(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Score by depth in place of training; the list grows by a line for each training."""
    trained: list[str] = []

    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        num_blocks = sum(stage.num_blocks for stage in spec.stages)
        trained.append(f"{num_blocks} blocks for {fidelity.num_epochs}")
        value = 0.3 + num_blocks / 100 + seed % 7 / 10_000
        return ProxyResult(val_accuracy=value, val_loss=1.0, train_seconds=1.0, num_images_seen=64)

    train_by(monkeypatch, evaluate)
    return trained


def scale(effsearch: Effsearch, *words: str) -> Any:
    Path("base.json").write_text(to_json(BASE))
    return effsearch("scale", "--base", "base.json", "--run", "run", *TINY.split(), *words)


def test_a_search_answers_with_a_set_and_has_it_all_in_json(
    effsearch: Effsearch, by_formula: list[str]
) -> None:
    ended = scale(effsearch, "--trials", "40", "--json")
    report = ended.json
    winner = report["candidates"][0]
    assert report["coefficients"] == {name: winner[name] for name in ("alpha", "beta", "gamma")}
    assert winner["is_in_set"]
    assert report["coefficients"] in report["set"]
    assert (
        report["trainings"] == len(by_formula) == sum(len(row["accuracies"]) for row in report["candidates"])
    )
    assert report["points"] == report["points_reached"] + len(report["left_out"])
    assert report["reachable_networks"] == report["trials"] == len(report["candidates"])
    for row in report["candidates"]:
        assert abs(row["trained_multiply_adds"] / report["target_multiply_adds"] - 1) <= 0.02
        assert row["low"] <= row["expected"] <= row["high"]
    for row in report["left_out"]:
        assert abs(row["off"]) > 0.02
    for name, (low, high) in report["interval"].items():
        assert low <= winner[name] <= high
    assert BIAS in report["words"]
    assert report["check"] is None
    assert "points of the surface are" in ended.err
    assert "left out, as their rays miss that cost" in ended.err


def test_the_run_directory_holds_the_search(effsearch: Effsearch, by_formula: list[str]) -> None:
    report = scale(effsearch, "--trials", "4", "--json").json
    run = Path("run")
    kinds = [json.loads(line)["kind"] for line in (run / LEDGER_FILE).read_text().splitlines()]
    assert kinds == ["coefficient"] * len(by_formula)
    assert "coefficient" in (run / TRIALS_FILE).read_text()
    stored = json.loads((run / "report.json").read_text())
    assert stored["coefficients"] == report["coefficients"]
    trials = trials_of(run)
    assert len(trials) == 4
    assert trials[0].params.keys() == {"alpha", "beta", "gamma"}


def trials_of(run: Path) -> list[optuna.trial.FrozenTrial]:
    backend = optuna.storages.journal.JournalFileBackend(str(run / "study.journal"))
    storage = optuna.storages.JournalStorage(backend)
    return optuna.load_study(study_name="coefficients", storage=storage).trials


def test_the_same_command_goes_on_and_rebuilds_the_study(effsearch: Effsearch, by_formula: list[str]) -> None:
    scale(effsearch, "--trials", "3", "--json")
    num_before = len(by_formula)
    Path("run", "study.journal").unlink()
    more = scale(effsearch, "--trials", "6", "--json").json
    assert len(trials_of(Path("run"))) == more["trials"] == 6
    assert more["trainings"] == len(by_formula) > num_before
    again = scale(effsearch, "--trials", "6", "--json").json
    assert again == more
    assert len(by_formula) == more["trainings"]


def test_minutes_that_are_spent_buy_nothing_more(effsearch: Effsearch, by_formula: list[str]) -> None:
    scale(effsearch, "--trials", "3")
    num_before = len(by_formula)
    ended = scale(effsearch, "--trials", "6", "--minutes", "0.0000001")
    assert "nothing new is trained; to go on, give more --minutes" in ended.err
    assert len(by_formula) == num_before


def test_settings_that_change_candidates_are_refused_on_a_resume(
    effsearch: Effsearch, by_formula: list[str]
) -> None:
    scale(effsearch, "--trials", "3")
    refuses(scale(effsearch, "--trials", "3", "--tolerance", "0.2"), 2, "tolerance")


def test_a_check_says_whether_the_order_holds(effsearch: Effsearch, by_formula: list[str]) -> None:
    scale(effsearch, "--trials", "6", "--json")
    report = scale(effsearch, "--trials", "6", "--check", "--json").json
    assert by_formula[-6:] == [line for line in by_formula if line.endswith(" for 4")]
    assert report["check"]["factor"] == 4
    assert len(report["check"]["networks"]) == 3
    assert any("at 4 times the training" in line for line in report["words"])


def test_a_narrow_proxy_is_scaled_in_fine_steps(effsearch: Effsearch, by_formula: list[str]) -> None:
    report = scale(effsearch, "--trials", "2", "--proxy-width", "0.5", "--json").json
    assert report["search_divisor"] == 1
    assert all(row["trained_multiply_adds"] < 2_000_000 for row in report["candidates"])


def test_failures_that_share_a_reason_stop_the_search(
    effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        raise TrainingFailed("out of memory")

    train_by(monkeypatch, evaluate)
    ended = scale(effsearch, "--trials", "40", "--grid-step", "0.05")
    refuses(ended, 1, "10 trainings in a row failed, all with: out of memory")


@pytest.mark.parametrize(("divisor", "expected"), [(8, 4), (2, 2)])
def test_a_search_is_as_fine_as_it_can_be_and_never_coarser_than_the_family(
    divisor: int, expected: int
) -> None:
    build = BuildRules(
        divisor=divisor, resolution_multiple=32, max_resolution=480, has_fixed_ends=True, has_floor=False
    )
    assert search_rules(build, 4) == BuildRules(divisor=expected, has_fixed_ends=True, has_floor=False)


# What is said of results


def make_result(
    scores: Sequence[Sequence[float]], checked: Sequence[Checked] = ()
) -> tuple[CandidateList, CoefficientResult]:
    triples = [
        PAPER_COEFFICIENTS,
        *(
            ScalingCoefficients(alpha=a, beta=1.0, gamma=round((2 / a) ** 0.5, 2))
            for a in (1.3, 1.5, 1.7, 2.0)
        ),
    ]
    candidates = tuple(
        Candidate(
            coefficients=triple,
            triples=(triple,),
            exponent=1.0,
            spec=BASE,
            network=str(index),
            cost=count_cost(BASE),
            fidelity=Fidelity(num_images=1, num_epochs=1, resolution=32 + index),
            multiply_adds=1_000_000,
            place=place_of(triple),
        )
        for index, triple in enumerate(triples[: len(scores)])
    )
    listed = CandidateList(
        candidates=candidates, left_out=(), num_points=5, num_networks=5, target=1_000_000.0
    )
    result = CoefficientResult(
        candidates=candidates,
        accuracies=tuple(map(tuple, scores)),
        verdict=judge(listed.places, scores),
        checked=tuple(checked),
        num_trials=len(scores),
        num_trainings=sum(map(len, scores)),
        num_failed=0,
    )
    return listed, result


def words_of(*arguments: Any, listed: CandidateList | None = None, has_check: bool = False) -> str:
    made, result = make_result(*arguments)
    report = coefficient_report(listed or made, result, method="grid", divisor=4, has_check=has_check)
    return "\n".join(report["words"])


CLEAR = [[0.5] * 4, [0.4] * 4, [0.3] * 4, [0.2] * 4, [0.1] * 4]
CLOSE = [[0.50, 0.52], [0.51], [0.50], [0.49], []]


def test_a_clear_winner_stands_alone() -> None:
    assert "it is the best of the 5 networks with a probability of 95 %" in words_of(CLEAR)


def test_what_cannot_be_told_apart_is_counted_untrained_ones_too() -> None:
    words = words_of(CLOSE)
    assert "cannot be told apart from it, 1 of them never trained" in words


@pytest.mark.parametrize(
    ("means", "said"),
    [
        ((0.6, 0.5, 0.4), "the order of the best 3 holds at 4 times the training"),
        ((0.5, 0.6, 0.4), "does not hold at 4 times the training"),
        ((0.5, 0.6, 0.4), "the winner falls behind by 10.0 points"),
        ((0.6, 0.4, 0.5), "does not hold at 4 times the training, the winner stays first"),
        ((), "the check of the best at 4 times the training is not whole: no time was left"),
        ((0.6, 0.5), "is not whole: no time was left, so far: 1.2,1.1,1.15 60.0%"),
    ],
)
def test_the_check_is_said_in_words(means: tuple[float, ...], said: str) -> None:
    checked = [Checked(candidate=index, accuracies=(mean, mean)) for index, mean in enumerate(means)]
    assert said in words_of(CLEAR, checked, has_check=True)


def test_a_papers_triple_out_of_reach_is_named() -> None:
    listed, _ = make_result(CLEAR)
    listed = dataclasses.replace(listed, left_out=(LeftOut(coefficients=PAPER_COEFFICIENTS, off=0.053),))
    assert (
        "the paper's 1.2,1.1,1.15 is not among them: its ray comes no nearer to the cost than +5.3%"
        in words_of(CLEAR, listed=listed)
    )


def test_too_few_sizes_to_measure_gamma_are_said() -> None:
    assert "gamma is hardly measured" in words_of(CLEAR[:3])
    assert "gamma is hardly measured" not in words_of(CLEAR)


def test_the_terminal_shows_the_set_and_the_bias(capsys: pytest.CaptureFixture[str]) -> None:
    listed, result = make_result(CLOSE)
    report = coefficient_report(listed, result, method="grid", divisor=4, has_check=False)
    print_coefficients({"run": "runs/one", **report})
    out = capsys.readouterr().out
    assert "1.2, 1.1, 1.15 (paper) *" in out
    assert "cannot be told apart" in out
    assert "5 points of the surface are 5 networks" in out
    assert BIAS in out
