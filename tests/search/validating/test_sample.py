import dataclasses
from typing import Any

import pytest

from effsearch.search.validating.sample import ScoredNetwork, choose_sample, scored_networks, spread_order
from effsearch.space.outcome import Evaluation, Fidelity, Job, ProxyResult

from ..conftest import MakeJob


def ended(job: Job, network: str, accuracy: float | None, **changes: Any) -> Evaluation:
    job = dataclasses.replace(job, network=network, **({"choices": {"width": 8}} | changes))
    if accuracy is None:
        return Evaluation(job=job, result=None, failure="out of memory")
    result = ProxyResult(val_accuracy=accuracy, val_loss=1.0, train_seconds=0.0, num_images_seen=1)
    return Evaluation(job=job, result=result)


@pytest.fixture
def ranked(make_job: MakeJob) -> list[ScoredNetwork]:
    """Forty networks, best first."""
    return [
        ScoredNetwork(job=dataclasses.replace(make_job(), network=f"net{place}"), scores=(1 - place / 40,))
        for place in range(40)
    ]


def places(sample: list[ScoredNetwork]) -> list[int]:
    return [int(one.job.network.removeprefix("net")) for one in sample]


def test_a_score_is_the_mean_over_the_seeds_at_the_proxys_fidelity(
    make_job: MakeJob, fidelity: Fidelity
) -> None:
    dearer = dataclasses.replace(fidelity, num_epochs=4)
    history = [
        ended(make_job(), "a", 0.5),
        ended(make_job(seed=1), "a", 0.7, kind="confirm", replicate=1),
        ended(make_job(seed=2), "a", None, kind="confirm", replicate=2),
        ended(make_job(), "a", 0.9, kind="rung", fidelity=dearer),
        ended(make_job(), "b", 0.65, kind="anchor"),
        ended(make_job(), "failed", None),
        ended(make_job(), "no point of the space", 0.9, kind="anchor", choices={}),
        ended(make_job(), "only longer", 0.9, kind="validate", fidelity=dearer),
        ended(make_job(), "only screened", 0.9, kind="screen"),
    ]
    scored = scored_networks(history, fidelity)
    assert [(one.job.network, one.scores) for one in scored] == [("b", (0.65,)), ("a", (0.5, 0.7))]
    assert scored[1].score == pytest.approx(0.6)


def test_each_part_of_the_ranking_gives_one_and_the_best_is_in(ranked: list[ScoredNetwork]) -> None:
    for seed in range(20):
        found = sorted(places(choose_sample(ranked, 8, seed=seed)))
        assert found[0] == 0
        assert [place // 5 for place in found] == list(range(8))
    drawn = {place for seed in range(60) for place in places(choose_sample(ranked, 8, seed=seed))}
    assert drawn == {0, *range(5, 40)}  # everyone may come, but beside the best only the best


def test_one_seed_gives_one_sample(ranked: list[ScoredNetwork]) -> None:
    assert choose_sample(ranked, 8, seed=1) == choose_sample(ranked, 8, seed=1)
    assert choose_sample(ranked, 8, seed=1) != choose_sample(ranked, 8, seed=2)


def test_a_larger_sample_keeps_all_that_were_trained(ranked: list[ScoredNetwork]) -> None:
    first = {one.job.network for one in choose_sample(ranked, 8, seed=1)}
    larger = {one.job.network for one in choose_sample(ranked, 16, seed=1, known=first)}
    assert first < larger


def test_a_small_run_is_taken_whole(ranked: list[ScoredNetwork]) -> None:
    assert sorted(places(choose_sample(ranked[:5], 12, seed=0))) == [0, 1, 2, 3, 4]


def test_the_order_halves_the_gaps_again_and_again() -> None:
    assert spread_order(8) == [0, 4, 2, 6, 1, 5, 3, 7]
    assert spread_order(12) == [0, 8, 4, 2, 10, 6, 1, 9, 5, 3, 11, 7]
    assert spread_order(1) == [0]


@pytest.mark.parametrize("length", range(2, 50))
def test_every_beginning_of_the_order_is_spread(length: int) -> None:
    order = spread_order(length)
    assert sorted(order) == list(range(length))
    for num_first in range(6, length):
        first = sorted(order[:num_first])
        gaps = [after - before for before, after in zip(first, [*first[1:], length], strict=True)]
        assert max(gaps) <= 4 * length / num_first
