import dataclasses
from collections.abc import Callable

import pytest

from effsearch.search.ranking import Ranked, RewardExponents, rank_networks, reward
from effsearch.space.errors import UsageError
from effsearch.space.outcome import Evaluation, Job, ProxyResult

MakeJob = Callable[..., Job]


def ended(job: Job, network: str, accuracy: float | None) -> Evaluation:
    job = dataclasses.replace(job, network=network)
    if accuracy is None:
        return Evaluation(job=job, result=None, failure="out of memory")
    result = ProxyResult(val_accuracy=accuracy, val_loss=1.0, train_seconds=0.0, num_images_seen=1)
    return Evaluation(job=job, result=result)


def rank(
    evaluations: list[Evaluation], beliefs: dict[str, float], rungs: dict[str, int] | None = None
) -> list[Ranked]:
    def accuracy_of(evaluation: Evaluation) -> float:
        assert evaluation.result is not None
        return evaluation.result.val_accuracy

    return rank_networks(
        evaluations,
        score=accuracy_of,
        belief=beliefs.__getitem__,
        rung=lambda network: (rungs or {}).get(network, 0),
    )


def test_more_seeds_come_first_and_then_the_better_belief(make_job: MakeJob) -> None:
    evaluations = [
        ended(make_job("once", seed=1), "a", 0.9),
        ended(make_job("lucky", seed=2), "b", 0.8),
        ended(make_job("good", seed=3), "c", 0.5),
        ended(make_job("lucky", seed=4), "b", 0.6),
        ended(make_job("good", seed=5), "c", 0.6),
        ended(make_job("failed", seed=6), "d", None),
        ended(make_job("good", seed=7), "c", None),
    ]
    ranked = rank(evaluations, {"a": 0.9, "b": 0.4, "c": 0.5})
    assert [one.name for one in ranked] == ["good", "lucky", "once"]
    assert (ranked[0].seeds, ranked[0].accuracies) == ((3, 5), (0.5, 0.6))
    assert ranked[0].mean_accuracy == ranked[0].mean_score == pytest.approx(0.55)
    assert [one.belief for one in ranked] == [0.5, 0.4, 0.9]


def test_a_higher_rung_comes_before_more_seeds(make_job: MakeJob) -> None:
    evaluations = [
        ended(make_job("short", seed=1), "a", 0.9),
        ended(make_job("short", seed=2), "a", 0.9),
        ended(make_job("long", seed=3), "b", 0.5),
    ]
    ranked = rank(evaluations, {"a": 0.9, "b": 0.5}, {"a": 0, "b": 1})
    assert [(one.name, one.rung) for one in ranked] == [("long", 1), ("short", 0)]


def test_nothing_trained_is_nothing_ranked(make_job: MakeJob) -> None:
    assert rank([], {}) == []
    assert rank([ended(make_job(), "a", None)], {}) == []


MNASNET = RewardExponents(multiply_adds=-0.07)
V2 = RewardExponents(multiply_adds=0.0, step_time=-0.07, parameters=-0.05)


def reward_of(
    exponents: RewardExponents,
    *,
    multiply_adds: int = 400,
    parameters: int = 5_000_000,
    step_time: float = 1.0,
    target: int | None = 400,
) -> float:
    return reward(
        0.75,
        multiply_adds=multiply_adds,
        parameters=parameters,
        step_time=step_time,
        target=target,
        exponents=exponents,
    )


def test_the_reward_is_mnasnets() -> None:
    assert reward_of(MNASNET) == 0.75
    assert reward_of(MNASNET, multiply_adds=800) == pytest.approx(0.75 * 2**-0.07)
    with pytest.raises(
        UsageError, match="the reward needs a budget in FLOPs, such as --budget 400M-FLOPs, or"
    ):
        reward_of(MNASNET, multiply_adds=800, target=None)


def test_the_reward_of_efficientnetv2_weighs_step_time_and_parameters() -> None:
    assert reward_of(V2, step_time=2.0, target=None) == pytest.approx(0.75 * 2**-0.07 * 5**-0.05)
    assert reward_of(V2, parameters=1_000_000, multiply_adds=800) == 0.75
