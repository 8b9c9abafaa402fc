import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from effsearch.search.ablation import (
    AblationResult,
    AblationSettings,
    ArmResult,
    arm_job,
    compare_arms,
    mean_interval,
)
from effsearch.search.placement.executor import Evaluator, SerialExecutor
from effsearch.space.arms import Arm, ArmName, base_arm, make_arm
from effsearch.space.cost import count_cost
from effsearch.space.errors import RunError, UsageError
from effsearch.space.outcome import Evaluation, Fidelity, Job, ProxyResult, TrainingFailed
from effsearch.space.presets import load_preset
from effsearch.space.spec import ModelSpec

from .conftest import FakeExecutor, score

FIDELITY = Fidelity(num_images=100, num_epochs=2, resolution=16, num_removed_strides=2)
Compare = Callable[..., AblationResult]


def count(spec: ModelSpec) -> int:
    return count_cost(spec).multiply_adds


@pytest.fixture(scope="module")
def arms() -> tuple[Arm, ...]:
    """The base, and three ways of growing it, at its own size."""
    base = load_preset("mobilenet-v2")
    names: tuple[ArmName, ...] = ("depth", "width", "resolution")
    return base_arm(base, count), *(make_arm(base, name, factor=2, count=count) for name in names)


def name_of(spec: ModelSpec, fidelity: Fidelity) -> str:
    if fidelity.resolution > FIDELITY.resolution:
        return "resolution"
    if spec.stem.out_channels > 32:
        return "width"
    return "depth" if sum(stage.num_blocks for stage in spec.stages) > 20 else "base"


WORTH = {"base": 0.5, "depth": 0.6, "width": 0.7, "resolution": 0.65}


def noisy(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
    """A seed helps or hurts all arms alike."""
    return score(WORTH[name_of(spec, fidelity)] + 0.05 * (seed % 97) / 97)


@pytest.fixture
def compare(arms: tuple[Arm, ...]) -> Compare:
    def call(
        settings: AblationSettings,
        *,
        evaluate: Evaluator = noisy,
        of: Sequence[Arm] = arms,
        trained: list[Evaluation] | None = None,
        **more: Any,
    ) -> AblationResult:
        values: dict[str, Any] = {"executor": SerialExecutor(evaluate), "clock": lambda: 0.0, **more}
        return compare_arms(
            of,
            settings,
            fidelity=FIDELITY,
            target_resolution=224,
            record=(trained if trained is not None else []).append,
            **values,
        )

    return call


def by_name(result: AblationResult) -> dict[str, ArmResult]:
    return {one.arm.name: one for one in result.arms}


def test_student_interval_of_known_values() -> None:
    """2.7764 is Student's 97.5 per cent quantile at four degrees of freedom."""
    interval = mean_interval([0.1, 0.2, 0.3, 0.4, 0.5])
    reach = 2.776445 * statistics.stdev([0.1, 0.2, 0.3, 0.4, 0.5]) / math.sqrt(5)
    assert (interval.mean, interval.low, interval.high) == pytest.approx((0.3, 0.3 - reach, 0.3 + reach))
    assert dataclasses.asdict(mean_interval([0.4])) == {
        "mean": 0.4,
        "low": None,
        "high": None,
        "num_values": 1,
    }


def test_the_interval_holds_the_true_mean_in_nineteen_of_twenty_cases() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        interval = mean_interval(rng.normal(0.5, 0.02, size=3).tolist())
        assert interval.low is not None
        assert interval.high is not None
        held += interval.low < 0.5 < interval.high
    assert 0.935 < held / 2000 < 0.965


def test_every_arm_is_trained_with_every_seed_and_replicates_go_in_turn(compare: Compare) -> None:
    trained: list[Evaluation] = []
    result = compare(AblationSettings(num_seeds=3), trained=trained)
    assert [one.job.name for one in trained] == ["base", "depth x2", "width x2", "resolution x2"] * 3
    assert [one.job.replicate for one in trained] == [0] * 4 + [1] * 4 + [2] * 4
    assert {one.job.kind for one in trained} == {"ablation"}
    assert (result.num_ended, result.num_planned, result.stopped_by) == (12, 12, "seeds")


def test_seeds_are_shared_by_all_arms_and_differ_between_replicates_and_runs(
    arms: tuple[Arm, ...],
) -> None:
    def seed(arm: Arm, replicate: int, run_seed: int) -> int:
        settings = AblationSettings(seed=run_seed)
        return arm_job(arm, replicate, settings, fidelity=FIDELITY, target_resolution=224).seed

    for replicate in range(3):
        assert len({seed(arm, replicate, 0) for arm in arms}) == 1
    assert len({seed(arms[0], replicate, run) for replicate in range(3) for run in range(3)}) == 9


def test_pixels_of_a_training_are_in_proportion_and_strides_are_the_bases(
    arms: tuple[Arm, ...], compare: Compare
) -> None:
    trained: list[Evaluation] = []
    compare(AblationSettings(num_seeds=1), trained=trained)
    sizes = {one.job.name: one.job.fidelity.resolution for one in trained}
    assert sizes["base"] == sizes["depth x2"] == sizes["width x2"] == 16
    assert sizes["resolution x2"] == round(16 * arms[-1].spec.resolution / 224)
    assert {one.job.fidelity.num_removed_strides for one in trained} == {2}


def test_differences_are_paired_so_that_what_a_seed_does_to_all_cancels(compare: Compare) -> None:
    found = by_name(compare(AblationSettings(num_seeds=5)))
    mean = found["width"].mean
    assert mean is not None
    assert mean.low is not None
    assert mean.mean - mean.low > 0.005
    for name in ("depth", "resolution"):
        difference = found[name].difference
        assert difference is not None
        assert difference.against == "width"
        assert difference.interval.mean == pytest.approx(WORTH[name] - WORTH["width"])
        assert difference.interval.low == pytest.approx(difference.interval.high)
        assert difference.interval.num_values == 5
    assert found["width"].difference is None
    assert found["base"].difference is None


def test_without_a_single_dimension_there_is_nothing_to_compare_with(
    arms: tuple[Arm, ...], compare: Compare
) -> None:
    compound = dataclasses.replace(arms[1], name="compound")
    result = compare(AblationSettings(num_seeds=2), of=[arms[0], compound])
    assert [one.difference for one in result.arms] == [None, None]


def test_each_factor_has_a_best_single_dimension_of_its_own(arms: tuple[Arm, ...], compare: Compare) -> None:
    other = [dataclasses.replace(arms[1], factor=3.0), dataclasses.replace(arms[0], name="dwr", factor=3.0)]
    result = compare(AblationSettings(num_seeds=2), of=[*arms, *other])
    against = {one.arm.title: one.difference and one.difference.against for one in result.arms}
    assert against["depth x2"] == "width"
    assert against["dwr x3"] == "depth"


def test_what_was_trained_is_not_trained_again_and_more_seeds_add_to_it(compare: Compare) -> None:
    trained: list[Evaluation] = []
    first = compare(AblationSettings(num_seeds=2), trained=trained)
    again: list[Evaluation] = []
    assert compare(AblationSettings(num_seeds=2), history=trained, trained=again) == first
    assert again == []
    more = compare(AblationSettings(num_seeds=3), history=trained, trained=again)
    assert len(again) == 4
    assert more == compare(AblationSettings(num_seeds=3))


def test_trainings_of_other_seeds_and_fidelities_are_not_taken_for_these(compare: Compare) -> None:
    trained: list[Evaluation] = []
    compare(AblationSettings(num_seeds=1, seed=1), trained=trained)
    again: list[Evaluation] = []
    compare(AblationSettings(num_seeds=1), history=trained, trained=again)
    assert len(again) == 4


def test_arms_that_come_to_one_network_share_its_trainings(arms: tuple[Arm, ...], compare: Compare) -> None:
    trained: list[Evaluation] = []
    twin = dataclasses.replace(arms[2], name="compound")
    found = by_name(compare(AblationSettings(num_seeds=2), of=[*arms, twin], trained=trained))
    assert len(trained) == 8
    assert found["compound"].accuracies == found["width"].accuracies
    difference = found["compound"].difference
    assert difference is not None
    assert (difference.interval.mean, difference.interval.low) == (0, 0)


def failing(*names: str) -> Evaluator:
    """Scores all networks but some."""

    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        if name_of(spec, fidelity) in names:
            raise TrainingFailed("out of memory")
        return noisy(spec, fidelity, seed)

    return evaluate


def test_failures_are_left_out_and_counted(compare: Compare) -> None:
    result = compare(AblationSettings(num_seeds=2), evaluate=failing("depth"))
    depth = by_name(result)["depth"]
    assert (depth.accuracies, depth.num_failed, depth.mean, depth.difference) == ({}, 2, None, None)
    assert (result.num_ended, result.num_failed, result.stopped_by) == (8, 2, "seeds")


def test_what_failed_is_trained_once_more_in_each_call_after_what_was_never_tried(compare: Compare) -> None:
    trained: list[Evaluation] = []
    compare(AblationSettings(num_seeds=1), evaluate=failing("base", "depth"), trained=trained)
    again: list[Evaluation] = []
    still = compare(AblationSettings(num_seeds=2), evaluate=failing("depth"), history=trained, trained=again)
    assert [(one.job.name, one.job.replicate) for one in again] == [
        ("base", 1),
        ("depth x2", 1),
        ("width x2", 1),
        ("resolution x2", 1),
        ("base", 0),
        ("depth x2", 0),
    ]
    assert (still.num_ended, still.num_failed, still.num_planned) == (8, 2, 8)
    last: list[Evaluation] = []
    mended = compare(AblationSettings(num_seeds=2), history=[*trained, *again], trained=last)
    assert [one.job.name for one in last] == ["depth x2"] * 2
    assert mended == compare(AblationSettings(num_seeds=2))


def slow(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Trainings that took a minute each."""
    return [dataclasses.replace(one, seconds=60) for one in evaluations]


def test_failures_that_there_is_no_time_to_train_again_stay_failures(compare: Compare) -> None:
    trained: list[Evaluation] = []
    compare(AblationSettings(num_seeds=1), evaluate=failing("depth"), trained=trained)
    executor, again = FakeExecutor(noisy, seconds=60), list[Evaluation]()
    result = compare(
        AblationSettings(num_seeds=1, minutes=1e-6),
        executor=executor,
        clock=executor.clock,
        history=slow(trained),
        trained=again,
    )
    assert again == []
    assert (result.num_ended, result.num_failed, result.stopped_by) == (4, 1, "minutes")
    assert by_name(result)["depth"].num_failed == 1


def test_nothing_new_is_trained_where_all_has_failed_and_the_time_is_up(compare: Compare) -> None:
    trained: list[Evaluation] = []
    with pytest.raises(RunError, match="no training came to a score"):
        compare(AblationSettings(num_seeds=1), evaluate=failing(*WORTH), trained=trained)
    with pytest.raises(
        RunError, match="no training came to a score; the last one failed with: out of memory"
    ):
        compare(
            AblationSettings(num_seeds=1, minutes=1e-6),
            history=trained,
            trained=trained,
            expected_seconds=60,
        )
    assert len(trained) == 4


def test_ten_failures_in_a_row_end_it(compare: Compare) -> None:
    trained: list[Evaluation] = []
    with pytest.raises(RunError, match=r"^10 trainings in a row failed.*out of memory"):
        compare(AblationSettings(num_seeds=5), evaluate=failing(*WORTH), trained=trained)
    assert len(trained) == 10
    again: list[Evaluation] = []
    mended = compare(AblationSettings(num_seeds=5), history=trained, trained=again)
    assert len(again) == 20
    assert mended == compare(AblationSettings(num_seeds=5))


def test_old_failures_that_fail_again_leave_the_comparison_of_the_others(compare: Compare) -> None:
    """Two arms that never fit into memory fail 12 times in all, never ten in a row but when they come again."""
    dead = failing("depth", "resolution")
    trained: list[Evaluation] = []
    first = compare(AblationSettings(num_seeds=6), evaluate=dead, trained=trained)
    again: list[Evaluation] = []
    assert compare(AblationSettings(num_seeds=6), evaluate=dead, history=trained, trained=again) == first
    assert len(again) == 10
    assert (first.num_ended, first.num_failed, first.stopped_by) == (24, 12, "seeds")


def test_failures_of_a_network_that_arms_share_count_once(arms: tuple[Arm, ...], compare: Compare) -> None:
    twin = dataclasses.replace(arms[2], name="compound")
    result = compare(AblationSettings(num_seeds=2), of=[*arms, twin], evaluate=failing("width"))
    assert (result.num_ended, result.num_failed) == (8, 2)
    assert [one.num_failed for one in result.arms] == [0, 0, 2, 0, 2]


def test_the_best_single_dimension_is_picked_over_the_seeds_that_all_of_them_have(
    arms: tuple[Arm, ...], compare: Compare
) -> None:
    """The second seed is a poor one; only depth has come to it, and must not lose by that."""
    seeds: list[int] = []

    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        seeds.extend([seed] * (seed not in seeds))
        worth = {"base": 0.5, "depth": 0.7, "width": 0.6, "resolution": 0.65}
        return score(worth[name_of(spec, fidelity)] - 0.2 * seeds.index(seed))

    trained: list[Evaluation] = []
    compare(AblationSettings(num_seeds=2), evaluate=evaluate, trained=trained)
    stopped = [one for one in trained if one.job.replicate == 0 or one.job.name in ("base", "depth x2")]
    found = compare(AblationSettings(num_seeds=2, minutes=1e-6), history=slow(stopped))
    assert [len(one.accuracies) for one in found.arms] == [2, 2, 1, 1]
    for name in ("width", "resolution"):
        difference = by_name(found)[name].difference
        assert difference is not None
        assert difference.against == "depth"
    assert by_name(found)["depth"].difference is None


def test_single_dimensions_without_a_common_seed_are_compared_by_all_there_are(compare: Compare) -> None:
    trained: list[Evaluation] = []
    compare(AblationSettings(num_seeds=2), trained=trained)
    stopped = [
        one for one in trained if one.job.name == "base" or (one.job.name == "depth x2") == one.job.replicate
    ]
    found = by_name(compare(AblationSettings(num_seeds=2, minutes=1e-6), history=slow(stopped)))
    assert list(found["depth"].accuracies) == [1]
    assert list(found["width"].accuracies) == list(found["resolution"].accuracies) == [0]
    difference = found["resolution"].difference
    assert difference is not None
    assert difference.against == "width"


def test_pairs_are_those_seeds_that_both_arms_have(compare: Compare) -> None:
    calls = []

    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        calls.append(name_of(spec, fidelity))
        if calls[-1] == "depth" and calls.count("depth") == 1:
            raise TrainingFailed("the loss is nan")
        return noisy(spec, fidelity, seed)

    difference = by_name(compare(AblationSettings(num_seeds=3), evaluate=evaluate))["depth"].difference
    assert difference is not None
    assert difference.interval.num_values == 2
    assert difference.interval.mean == pytest.approx(-0.1)


def test_time_that_is_up_ends_it_after_whole_rounds_first(compare: Compare) -> None:
    executor = TimedByCost(noisy, seconds=60)
    result = compare(
        AblationSettings(num_seeds=5, minutes=11),
        executor=executor,
        clock=executor.clock,
        expected_seconds=60,
    )
    assert [len(one.accuracies) for one in result.arms] == [2, 2, 1, 1]
    assert (result.num_ended, result.num_planned, result.stopped_by) == (6, 20, "minutes")


class TimedByCost(FakeExecutor):
    """The base takes a minute, whatever costs twice as much two."""

    def submit(self, job: Job) -> None:
        self.seconds = 60 if job.name == "base" else 120
        super().submit(job)


@pytest.mark.parametrize(
    ("minutes", "num_trained"),
    [
        (2.5, [1, 0, 0, 0]),  # a second base would fit, an arm does not
        (8.2, [2, 1, 1, 1]),  # an arm would not, the base does
    ],
)
def test_the_next_training_must_fit_by_its_own_cost(
    compare: Compare, minutes: float, num_trained: list[int]
) -> None:
    executor = TimedByCost(noisy, seconds=60)
    result = compare(
        AblationSettings(num_seeds=5, minutes=minutes),
        executor=executor,
        clock=executor.clock,
        expected_seconds=60,
    )
    assert [len(one.accuracies) for one in result.arms] == num_trained
    assert result.stopped_by == "minutes"


def test_what_earlier_calls_took_is_learned_by_cost_too(compare: Compare) -> None:
    first, executor, trained = (
        TimedByCost(noisy, seconds=60),
        TimedByCost(noisy, seconds=60),
        list[Evaluation](),
    )
    compare(AblationSettings(num_seeds=1), executor=first, clock=first.clock, trained=trained)
    more = compare(
        AblationSettings(num_seeds=2, minutes=1.2),
        executor=executor,
        clock=executor.clock,
        history=trained,
    )
    assert [len(one.accuracies) for one in more.arms] == [2, 1, 1, 1]


def test_a_first_training_is_begun_however_short_the_time(compare: Compare) -> None:
    executor = FakeExecutor(noisy, seconds=60)
    result = compare(
        AblationSettings(minutes=0.1), executor=executor, clock=executor.clock, expected_seconds=60
    )
    assert result.num_ended == 1


def test_a_comparison_without_any_score_says_why(compare: Compare) -> None:
    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        raise TrainingFailed("out of memory")

    with pytest.raises(
        RunError, match="no training came to a score; the last one failed with: out of memory"
    ):
        compare(AblationSettings(num_seeds=1), evaluate=evaluate)


def test_all_trainings_cost_so_many_of_the_base() -> None:
    settings = AblationSettings(arms=("depth", "compound"), factors=(2.0, 4.0), num_seeds=3)
    assert settings.relative_cost == 3 * (1 + 2 * 6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arms": ()}, "--arms names nothing to compare: choose from depth, width"),
        ({"factors": ()}, "--factor must ascend without repeats"),
        ({"factors": (4.0, 2.0)}, "--factor must ascend without repeats"),
        ({"factors": (2.0, 2.0)}, "--factor must ascend without repeats"),
        ({"factors": (float("nan"),)}, "--factor must be from 1.05 to 32, got nan"),
        ({"tolerance": 0.6}, "--tolerance must be above 0 and at most 0.5, got 0.6"),
        ({"num_seeds": 0}, "--seeds must be at least 1, got 0"),
        ({"longer": 0}, "--longer must be from 1 to 1000, got 0"),
        ({"minutes": 0.0}, "--minutes must be above 0, got 0"),
    ],
)
def test_settings_that_cannot_be_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        AblationSettings(**changes)
