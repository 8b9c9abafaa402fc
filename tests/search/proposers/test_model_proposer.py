import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from effsearch.search.problem import Problem, SearchSettings
from effsearch.search.proposers.model_proposer import HONEST_EVERY, ModelProposer
from effsearch.search.proposers.proposer import Proposal
from effsearch.space.budget import Budget
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.outcome import Evaluation, Job, ProxyResult
from effsearch.space.screening import UPPER_SHARE, sample_points
from effsearch.space.search_space import Point, SearchSpace
from effsearch.space.supernet_work import ScreenScore

SETTINGS = SearchSettings(num_trials=100, minutes=None, num_startup=4)

JobOf = Callable[[Proposal], Job]
MakeProblem = Callable[..., Problem]


def make(
    problem: Problem,
    *,
    screened: Mapping[Point, ScreenScore] | None = None,
    earlier: Sequence[Evaluation] = (),
    seed: int = 0,
    **changes: Any,
) -> ModelProposer:
    settings = dataclasses.replace(SETTINGS, **changes)
    return ModelProposer(problem, settings, screened=screened or {}, earlier=earlier, seed=seed)


def screen_score(loss: float, naswot: float = 0.0) -> ScreenScore:
    return ScreenScore(naswot=naswot, val_loss=loss, val_accuracy=1 / (1 + loss), core_seconds=0.1)


def job_at(job_of: JobOf, space: SearchSpace, *point: int) -> Job:
    spec = space.spec_at(point, resolution=32, num_classes=10)
    return job_of(Proposal(spec, network_hash(spec), count_cost(spec), space.labels_at(point)))


def ended(job: Job, accuracy: float) -> Evaluation:
    result = ProxyResult(val_accuracy=accuracy, val_loss=1.0, train_seconds=0.0, num_images_seen=1)
    return Evaluation(job=job, result=result)


def ask(proposer: ModelProposer, budget_index: int = 0) -> Proposal:
    proposal = proposer.propose(budget_index)
    assert proposal is not None
    return proposal


def width_of(proposal: Proposal | None) -> Any:
    return None if proposal is None else proposal.labels["stage1.channels"]


def test_every_proposal_is_new_and_inside_the_budget_it_is_asked_for(
    macro: SearchSpace, make_problem: MakeProblem, job_of: JobOf
) -> None:
    problem = make_problem(macro, "40M,60M-FLOPs")
    proposer = make(problem)
    proposals = []
    for index in range(12):
        proposal = ask(proposer, index % 2)
        assert problem.budgets[index % 2].allows(proposal.cost)
        assert proposal.cost == count_cost(proposal.spec)
        assert proposal.network == network_hash(proposal.spec)
        point = macro.point_of(proposal.labels)
        assert macro.spec_at(point, resolution=32, num_classes=10) == proposal.spec
        proposer.observe(job_of(proposal), index % 3 / 3, rung=0)
        proposals.append(proposal)
    assert len({proposal.network for proposal in proposals}) == 12
    assert all(one.cost.multiply_adds >= UPPER_SHARE * 40e6 for one in proposals[:4])  # the start-up


def test_a_narrow_budget_is_not_narrowed_by_the_wide_ones_further_bounds(
    widths: SearchSpace, make_problem: MakeProblem, job_of: JobOf
) -> None:
    """The widest network is just inside the bound on parameters, which all budgets have in common."""
    costs = [job_at(job_of, widths, index).cost for index in range(6)]
    budgets = tuple(
        Budget(multiply_adds=costs[index].multiply_adds, parameters=costs[4].parameters) for index in (3, 5)
    )
    problem = dataclasses.replace(make_problem(widths), budgets=budgets)
    narrow = make(problem)
    assert {width_of(narrow.propose(0)) for _ in range(4)} == {8, 16, 24, 32}
    assert narrow.propose(0) is None
    assert width_of(narrow.propose(1)) == 40
    assert narrow.propose(1) is None


def test_networks_marked_or_observed_are_never_proposed(
    widths: SearchSpace, make_problem: MakeProblem, job_of: JobOf
) -> None:
    proposer = make(make_problem(widths, "1G-FLOPs"))
    proposer.mark_seen(job_at(job_of, widths, 0).network)
    proposer.observe(job_at(job_of, widths, 1), 0.5, rung=0)
    proposer.observe(job_at(job_of, widths, 2), None, rung=0)
    assert {width_of(proposer.propose(0)) for _ in range(3)} == {32, 40, 48}  # none is told of
    assert proposer.propose(0) is None


def test_the_model_uses_what_it_is_told(macro: SearchSpace, make_problem: MakeProblem, job_of: JobOf) -> None:
    """Told how many of eight blocks have a kernel of three, it soon proposes many of them."""
    proposer = make(make_problem(macro, "90M-FLOPs"), num_startup=6)
    shares = []
    for _ in range(20):
        proposal = ask(proposer)
        blocks = [block for stage in proposal.spec.stages for block in stage.blocks]
        shares.append(sum(block.kind == "mbconv" and block.kernel_size == 3 for block in blocks) / 8)
        proposer.observe(job_of(proposal), shares[-1], rung=0)
    assert sum(shares[-8:]) / 8 > sum(shares[:6]) / 6 + 0.3


def test_belief_is_the_models_mean_and_moves_with_more_trainings(
    widths: SearchSpace, make_problem: MakeProblem, job_of: JobOf
) -> None:
    proposer = make(make_problem(widths, "1G-FLOPs"))
    jobs = [job_at(job_of, widths, index) for index in range(6)]
    for index, job in enumerate(jobs):
        proposer.observe(job, 0.5 + index / 100, rung=0)
    beliefs = [proposer.belief(job) or 0.0 for job in jobs]
    assert np.corrcoef(beliefs, range(6))[0, 1] > 0.9
    for replicate in (1, 2, 3, 4):
        proposer.observe(dataclasses.replace(jobs[0], replicate=replicate), 0.6, rung=0)
    assert (proposer.belief(jobs[0]) or 0.0) > beliefs[0] + 0.01


def test_a_network_outside_the_space_has_no_belief_and_tells_the_model_nothing(
    widths: SearchSpace, make_problem: MakeProblem, job_of: JobOf, make_job: Callable[..., Job]
) -> None:
    proposer = make(make_problem(widths, "1G-FLOPs"))
    for index in range(3):
        proposer.observe(job_at(job_of, widths, index), index / 10, rung=0)
    before = proposer.belief(job_at(job_of, widths, 4))
    proposer.observe(make_job(), 0.99, rung=0)
    assert proposer.belief(make_job()) is None
    assert proposer.belief(job_at(job_of, widths, 4)) == before


def test_belief_is_of_the_top_rung(widths: SearchSpace, make_problem: MakeProblem, job_of: JobOf) -> None:
    """Every network gains .3 from the longer training, and one that had only the short one will too."""
    proposer = make(make_problem(widths, "1G-FLOPs"))
    jobs = [job_at(job_of, widths, index) for index in range(6)]
    for index, job in enumerate(jobs):
        proposer.observe(job, 0.3 + index / 50, rung=0)
    for index in (2, 3, 4):
        proposer.observe(jobs[index], 0.6 + index / 50, rung=1)
    assert proposer.belief(jobs[5]) == pytest.approx(0.7, abs=0.05)
    assert proposer.belief(jobs[0]) == pytest.approx(0.6, abs=0.05)


# After a screening


@pytest.fixture(scope="module")
def screened(widths: SearchSpace) -> dict[Point, ScreenScore]:
    """Five of six widths; the middle one is liked best, the widest was not scored."""
    losses = (1.5, 1.2, 1.0, 1.1, 1.4)
    return {(index,): screen_score(loss) for index, loss in enumerate(losses)}


def test_what_the_screening_likes_best_comes_first(
    widths: SearchSpace, make_problem: MakeProblem, screened: dict[Point, ScreenScore]
) -> None:
    proposer = make(make_problem(widths, "1G-FLOPs"), screened=screened)
    assert proposer.has_prior
    assert [width_of(proposer.propose(0)) for _ in range(HONEST_EVERY - 1)] == [24, 32, 16]


def test_one_proposal_in_four_is_any_of_the_screened_networks(
    macro: SearchSpace, make_problem: MakeProblem
) -> None:
    """Favourites alone could never show that a screening misleads."""
    points = [tuple(point) for point in sample_points(macro, 60, rng=np.random.default_rng(0)).tolist()]
    scores = {point: screen_score(1.0 + sum(point) / 10) for point in points}
    proposer = make(make_problem(macro, "1G-FLOPs"), screened=scores)
    sums = [sum(macro.point_of(ask(proposer).labels)) for _ in range(5 * HONEST_EVERY)]
    favourites = [sums[index] for index in range(len(sums)) if (index + 1) % HONEST_EVERY]
    others = sums[HONEST_EVERY - 1 :: HONEST_EVERY]
    assert max(favourites[:-1]) <= sorted(map(sum, points))[len(sums)]
    assert np.mean(others) > np.mean(favourites) + 1


def test_when_all_that_was_screened_is_trained_the_rest_of_the_space_follows(
    widths: SearchSpace, make_problem: MakeProblem, job_of: JobOf, screened: dict[Point, ScreenScore]
) -> None:
    proposer = make(make_problem(widths, "1G-FLOPs"), screened=screened)
    for _ in range(5):
        proposer.observe(job_of(ask(proposer)), 0.5, rung=0)
    assert width_of(proposer.propose(0)) == 48
    assert proposer.propose(0) is None


def test_the_rest_of_the_space_follows_even_if_no_training_has_come_to_a_score(
    widths: SearchSpace, make_problem: MakeProblem, screened: dict[Point, ScreenScore]
) -> None:
    proposer = make(make_problem(widths, "1G-FLOPs"), screened=screened)
    found = [width_of(proposer.propose(0)) for _ in range(7)]
    assert set(found[:5]) == {8, 16, 24, 32, 40}
    assert found[5:] == [48, None]


@pytest.fixture(scope="module")
def misled(macro: SearchSpace) -> dict[Point, float]:
    """What eighty networks come to; the screenings below like those that are bad."""
    points = [tuple(point) for point in sample_points(macro, 80, rng=np.random.default_rng(0)).tolist()]
    return {point: 0.4 + sum(point) / 40 for point in points}


def beliefs_after(
    proposer: ModelProposer, truth: dict[Point, float], job_of: JobOf, space: SearchSpace
) -> tuple[float, float]:
    """Tells of forty trainings; gives the agreement with the truth over forty others before and after."""
    points = list(truth)
    jobs = [job_at(job_of, space, *point) for point in points]

    def agreement() -> float:
        beliefs = [proposer.belief(job) or 0.0 for job in jobs[40:]]
        return float(np.corrcoef(beliefs, [truth[point] for point in points[40:]])[0, 1])

    before = agreement()
    for job, point in zip(jobs[:40], points[:40], strict=True):
        proposer.observe(job, truth[point], rung=0)
    return before, agreement()


def test_belief_follows_the_screening_until_trainings_contradict_it(
    macro: SearchSpace, make_problem: MakeProblem, job_of: JobOf, misled: dict[Point, float]
) -> None:
    """The supernet's weights give .2 to .3, so that trainings of .4 to .8 have learned enough to be believed."""
    screened = {
        point: ScreenScore(naswot=0.0, val_loss=value, val_accuracy=0.4 - value / 4, core_seconds=0.1)
        for point, value in misled.items()
    }
    proposer = make(make_problem(macro, "1G-FLOPs"), screened=screened)
    before, after = beliefs_after(proposer, misled, job_of, macro)
    assert before < -0.8
    assert after > 0.8


def test_trainings_that_learned_less_than_was_inherited_change_no_order_but_the_level(
    macro: SearchSpace, make_problem: MakeProblem, job_of: JobOf, misled: dict[Point, float]
) -> None:
    """A network outside the space is compared by its own mean, so belief must be on the level of the scores."""
    screened = {
        point: ScreenScore(naswot=0.0, val_loss=value, val_accuracy=0.95 - value / 10, core_seconds=0.1)
        for point, value in misled.items()
    }
    proposer = make(make_problem(macro, "1G-FLOPs"), screened=screened)
    before, after = beliefs_after(proposer, misled, job_of, macro)
    assert before < -0.8
    assert after < -0.8
    beliefs = [proposer.belief(job_at(job_of, macro, *point)) or 0.0 for point in list(misled)[40:50]]
    assert np.mean(beliefs) == pytest.approx(np.mean(list(misled.values())), abs=0.1)


# Two objectives


def test_two_objectives_spread_the_proposals_over_cheap_and_dear_networks(
    macro: SearchSpace, make_problem: MakeProblem, job_of: JobOf
) -> None:
    proposer = make(make_problem(macro), num_startup=2, second_objective="multiply_adds")
    costs = []
    for _ in range(10):
        proposal = ask(proposer)
        costs.append(proposal.cost.multiply_adds)
        proposer.observe(job_of(proposal), proposal.cost.multiply_adds / 60e6, rung=0)  # dear is good
    assert max(costs) <= 60e6
    assert min(costs) < 0.6 * 60e6
    assert max(costs) > 0.85 * 60e6


# Warm start


def test_an_earlier_run_is_believed_and_its_networks_may_be_trained_again(
    widths: SearchSpace, make_problem: MakeProblem, job_of: JobOf
) -> None:
    jobs = [job_at(job_of, widths, index) for index in range(6)]
    earlier = [ended(job, 0.5 - abs(index - 2) / 20) for index, job in enumerate(jobs)]
    proposer = make(make_problem(widths, "1G-FLOPs"), earlier=earlier)
    first = ask(proposer)
    assert width_of(first) in (16, 24, 32)
    beliefs = [proposer.belief(job) or 0.0 for job in jobs]
    assert int(np.argmax(beliefs)) == 2
    proposer.observe(job_of(first), 0.9, rung=0)  # this run trains longer, and all are better
    assert (proposer.belief(jobs[4]) or 0.0) > 0.6
