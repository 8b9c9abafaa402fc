import dataclasses
from collections.abc import Callable

import pytest

from effsearch.search.ranking import rank_networks, reward
from effsearch.space.errors import UsageError
from effsearch.space.outcome import Evaluation, Job, ProxyResult

MakeJob = Callable[..., Job]


def ended(job: Job, network: str, accuracy: float | None) -> Evaluation:
    job = dataclasses.replace(job, network=network)
    if accuracy is None:
        return Evaluation(job=job, result=None, failure="out of memory")
    result = ProxyResult(val_accuracy=accuracy, val_loss=1.0, train_seconds=0.0, num_images_seen=1)
    return Evaluation(job=job, result=result)


def accuracy_of(evaluation: Evaluation) -> float:
    assert evaluation.result is not None
    return evaluation.result.val_accuracy


def test_more_seeds_come_first_and_then_the_better_mean(make_job: MakeJob) -> None:
    evaluations = [
        ended(make_job("once", seed=1), "a", 0.9),
        ended(make_job("poor", seed=2), "b", 0.8),
        ended(make_job("good", seed=3), "c", 0.5),
        ended(make_job("poor", seed=4), "b", 0.1),
        ended(make_job("good", seed=5), "c", 0.6),
        ended(make_job("failed", seed=6), "d", None),
        ended(make_job("good", seed=7), "c", None),
    ]
    ranked = rank_networks(evaluations, score=accuracy_of)
    assert [one.name for one in ranked] == ["good", "poor", "once"]
    assert (ranked[0].seeds, ranked[0].accuracies) == ((3, 5), (0.5, 0.6))
    assert ranked[0].mean_accuracy == ranked[0].mean_score == pytest.approx(0.55)
    assert rank_networks([], score=accuracy_of) == []


def test_the_reward_is_mnasnets() -> None:
    assert reward(0.75, multiply_adds=400, target=400, exponent=-0.07) == 0.75
    assert reward(0.75, multiply_adds=800, target=400, exponent=-0.07) == pytest.approx(0.75 * 2**-0.07)
    with pytest.raises(UsageError, match="the reward needs a budget in FLOPs, such as --budget 400M-FLOPs"):
        reward(0.75, multiply_adds=800, target=None, exponent=-0.07)
