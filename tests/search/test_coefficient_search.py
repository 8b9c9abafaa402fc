import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from effsearch.search import coefficient_search
from effsearch.search.coefficient_search import (
    CandidateList,
    CoefficientResult,
    CoefficientSettings,
    list_candidates,
    search_coefficients,
)
from effsearch.search.placement.executor import Evaluator, SerialExecutor
from effsearch.space.canonical import network_hash
from effsearch.space.coefficients import PAPER_COEFFICIENTS, on_surface
from effsearch.space.cost import count_cost
from effsearch.space.errors import RunError, SpecError, UsageError
from effsearch.space.outcome import Evaluation, Fidelity, ProxyResult, TrainingFailed
from effsearch.space.presets import load_preset
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec

B0 = load_preset("efficientnet-b0")
SETTINGS = CoefficientSettings(num_trials=8, num_finalists=2, num_seeds=2)


@pytest.fixture(scope="module")
def listed() -> CandidateList:
    return list_candidates(B0, SETTINGS)


@pytest.fixture
def fidelity() -> Fidelity:
    return Fidelity(num_images=100, num_epochs=1, resolution=224)


def score(accuracy: float) -> ProxyResult:
    return ProxyResult(val_accuracy=accuracy, val_loss=1.0, train_seconds=0.0, num_images_seen=100)


def prefer_depth(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
    return score(sum(stage.num_blocks for stage in spec.stages) / 100 + seed % 7 / 100_000)


def run(
    listed: CandidateList,
    fidelity: Fidelity,
    settings: CoefficientSettings = SETTINGS,
    evaluate: Evaluator = prefer_depth,
    *,
    history: Sequence[Evaluation] = (),
) -> tuple[CoefficientResult, list[Evaluation]]:
    record: list[Evaluation] = []
    result = search_coefficients(
        B0,
        listed.candidates,
        settings,
        fidelity=fidelity,
        executor=SerialExecutor(evaluate),
        clock=lambda: 0.0,
        record=record.append,
        history=history,
    )
    return result, record


def test_the_grid_on_b0_comes_to_41_networks_at_equal_built_cost(listed: CandidateList) -> None:
    """Of the 108 points 83 arrive within 2 per cent; rays walked in steps of .02 instead of .005 lose 7 of them."""
    assert (listed.num_points, listed.num_reachable, listed.cost_tolerance) == (108, 83, 0.02)
    assert len(listed.candidates) == 41
    assert sum(candidate.num_triples for candidate in listed.candidates) == 83
    target = 2 * count_cost(B0).multiply_adds
    for candidate in listed.candidates:
        assert abs(candidate.member.cost.multiply_adds / target - 1) <= 0.02
        assert on_surface(candidate.coefficients)
    networks = {(network_hash(one.member.spec), one.member.spec.resolution) for one in listed.candidates}
    assert len(networks) == 41


def test_the_papers_triple_comes_first_and_the_rest_by_the_seed(listed: CandidateList) -> None:
    assert listed.candidates[0].coefficients == PAPER_COEFFICIENTS
    settings = dataclasses.replace(SETTINGS, grid_step=0.25, tolerance=0.2)
    one, other = (list_candidates(B0, dataclasses.replace(settings, seed=seed)) for seed in (0, 1))
    assert one.candidates[0].coefficients == other.candidates[0].coefficients == PAPER_COEFFICIENTS
    assert one.candidates != other.candidates
    assert {found.coefficients for found in one.candidates} == {
        found.coefficients for found in other.candidates
    }


def test_random_points_are_drawn_by_the_seed_and_the_papers_is_among_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(coefficient_search, "NUM_RANDOM_DRAWS", 8)
    settings = CoefficientSettings(method="random", num_trials=5, seed=4)
    one, same = list_candidates(B0, settings), list_candidates(B0, settings)
    assert one == same
    assert one.num_points == 9
    assert one.candidates[0].coefficients == PAPER_COEFFICIENTS


def test_a_surface_without_the_papers_triple_leaves_it_out() -> None:
    settings = CoefficientSettings(grid_step=0.25, tolerance=0.05, num_trials=5)
    listed = list_candidates(B0, settings)
    assert PAPER_COEFFICIENTS not in {candidate.coefficients for candidate in listed.candidates}


def test_a_base_too_small_to_be_doubled_is_refused() -> None:
    """Its only block cannot be repeated, its widths jump from 8 to 16, and its map stays one pixel wide."""
    tiny = ModelSpec(
        stem=StemSpec(out_channels=8),
        stages=(StageSpec(out_channels=16, stride=1, blocks=(BlockSpec(kind="identity"),)),),
        head=HeadSpec(out_channels=0),
        resolution=1,
        num_classes=2,
    )
    with pytest.raises(SpecError, match="no coefficients lead to a network within 10 per cent of twice"):
        list_candidates(tiny, SETTINGS)


def test_candidates_are_trained_in_order_and_the_best_again(
    listed: CandidateList, fidelity: Fidelity
) -> None:
    result, record = run(listed, fidelity)
    names = [evaluation.job.name for evaluation in record]
    assert names[0] == "1.2,1.1,1.15"
    assert names[:8] == [
        f"{one.coefficients.alpha:g},{one.coefficients.beta:g},{one.coefficients.gamma:g}"
        for one in listed.candidates[:8]
    ]
    assert [evaluation.job.replicate for evaluation in record] == [0] * 8 + [1] * 2
    assert len({evaluation.job.seed for evaluation in record}) == 10
    assert (result.num_trials, result.num_failed) == (8, 0)
    depths = [sum(stage.num_blocks for stage in one.member.spec.stages) for one in listed.candidates[:8]]
    best = result.best.candidate.member.spec
    assert sum(stage.num_blocks for stage in best.stages) == max(depths)
    assert len(result.best.accuracies) == 2
    assert [len(one.accuracies) for one in result.ranked] == [2, 2] + [1] * 6


def test_a_candidates_proxy_grows_with_its_gamma(listed: CandidateList, fidelity: Fidelity) -> None:
    _, record = run(listed, dataclasses.replace(fidelity, resolution=112))
    for job in (evaluation.job for evaluation in record):
        assert job.fidelity.resolution == pytest.approx(job.spec.resolution / 2, abs=0.5)
        assert job.coefficients is not None
        assert job.cost == count_cost(job.spec)


def test_networks_that_the_proxy_cannot_tell_apart_are_trained_once(
    listed: CandidateList, fidelity: Fidelity
) -> None:
    """At 32 px many resolutions near 250 come to one; equal scores must not pass for fresh seeds."""
    settings = dataclasses.replace(SETTINGS, num_trials=None, num_seeds=1)
    result, record = run(listed, dataclasses.replace(fidelity, resolution=8), settings)
    keys = [(one.job.network, one.job.fidelity) for one in record]
    assert len(set(keys)) == len(keys) < 41
    assert {len(one.accuracies) for one in result.ranked} == {1}
    assert record[0].job.name == "1.2,1.1,1.15"


def test_trials_are_counted_over_all_resumes(listed: CandidateList, fidelity: Fidelity) -> None:
    _, before = run(listed, fidelity, dataclasses.replace(SETTINGS, num_trials=3, num_seeds=1))
    result, after = run(listed, fidelity, history=before)
    assert [one.job.replicate for one in after] == [0] * 5 + [1] * 2
    keys = {(one.job.network, one.job.fidelity, one.job.replicate) for one in before + after}
    assert len(keys) == len(before + after) == 10
    whole, _ = run(listed, fidelity)
    assert result == whole
    again, nothing = run(listed, fidelity, history=before + after)
    assert (again, nothing) == (whole, [])


def test_failures_are_recorded_and_counted(listed: CandidateList, fidelity: Fidelity) -> None:
    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        if spec.resolution > 240:
            raise TrainingFailed("out of memory")
        return prefer_depth(spec, fidelity, seed)

    result, record = run(listed, fidelity, evaluate=evaluate)
    failed = [one for one in record if one.result is None and one.job.replicate == 0]
    assert 0 < result.num_failed == len(failed) < result.num_trials == 8
    assert len(result.ranked) == 8 - result.num_failed


def test_a_search_in_which_everything_failed_says_so(listed: CandidateList, fidelity: Fidelity) -> None:
    def fail(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        raise TrainingFailed("out of memory")

    with pytest.raises(
        RunError, match="no coefficients came to a score; the last training failed with: out of"
    ):
        run(listed, fidelity, evaluate=fail)


def test_minutes_bound_the_search_and_its_confirmation(
    listed: CandidateList, fidelity: Fidelity, fake_executor: Any
) -> None:
    """Ten minutes at 30 s, one finalist twice more set aside (66 s): trials start up to 504 s, the rest follows."""
    executor = fake_executor(prefer_depth, seconds=30.0)
    record: list[Evaluation] = []
    told: list[int] = []
    result = search_coefficients(
        B0,
        listed.candidates,
        CoefficientSettings(minutes=10, num_finalists=1, num_seeds=3),
        fidelity=fidelity,
        executor=executor,
        clock=executor.clock,
        record=record.append,
        notify=lambda evaluation, num_done: told.append(num_done),
    )
    assert (result.num_trials, len(record)) == (17, 19)
    assert executor.now == 570.0
    assert told == list(range(1, 20))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_trials": 0}, "--trials must be at least 1, got 0"),
        ({"minutes": -1.0}, "--minutes must be above 0, got -1"),
        ({"tolerance": 0.0}, "--tolerance must be from 0.001 to 1 in a search, got 0"),
        ({"tolerance": float("nan")}, "--tolerance must be from 0.001 to 1 in a search, got nan"),
    ],
)
def test_settings_that_make_no_search_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(SETTINGS, **changes)
