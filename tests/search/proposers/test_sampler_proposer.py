import dataclasses
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import optuna
import pytest

from effsearch.search.problem import Problem, SearchSettings
from effsearch.search.proposers.proposer import Proposal
from effsearch.search.proposers.sampler_proposer import SamplerProposer, second_value
from effsearch.space.canonical import network_hash
from effsearch.space.cost import Cost, count_cost
from effsearch.space.errors import BudgetError
from effsearch.space.outcome import Job
from effsearch.space.screening import UPPER_SHARE
from effsearch.space.search_space import SearchSpace
from effsearch.space.space_text import space_from_yaml

SETTINGS = SearchSettings(num_trials=100, minutes=None, sampler="tpe", num_startup=5)

JobOf = Callable[[Proposal], Job]
MakeProblem = Callable[..., Problem]
Run = Callable[[SamplerProposer, int], list[Proposal]]


def make(problem: Problem, *, seed: int = 0, **changes: Any) -> SamplerProposer:
    return SamplerProposer(problem, dataclasses.replace(SETTINGS, **changes), seed=seed)


@pytest.fixture
def run(job_of: JobOf) -> Run:
    """Asks for proposals and tells a score of each."""

    def ask_and_tell(proposer: SamplerProposer, num_proposals: int) -> list[Proposal]:
        proposals = []
        for index in range(num_proposals):
            proposal = proposer.propose(0)
            assert proposal is not None
            proposer.observe(job_of(proposal), index % 3 / 3, rung=0)
            proposals.append(proposal)
        return proposals

    return ask_and_tell


def job_at(job_of: JobOf, space: SearchSpace, *point: int) -> Job:
    spec = space.spec_at(point, resolution=32, num_classes=10)
    return job_of(Proposal(spec, network_hash(spec), count_cost(spec), space.labels_at(point)))


@pytest.mark.parametrize("sampler", ["tpe", "random", "nsga2", "evolution"])
def test_every_proposal_is_new_and_inside_the_budget(
    macro: SearchSpace, make_problem: MakeProblem, run: Run, sampler: str
) -> None:
    problem = make_problem(macro)
    proposals = run(make(problem, sampler=sampler), 25)
    assert len({proposal.network for proposal in proposals}) == 25
    for proposal in proposals:
        assert proposal.cost == count_cost(proposal.spec)
        assert problem.budget.allows(proposal.cost)
        assert proposal.network == network_hash(proposal.spec)
        point = macro.point_of(proposal.labels)
        assert macro.spec_at(point, resolution=32, num_classes=10) == proposal.spec


def test_start_up_draws_use_most_of_the_budget(
    macro: SearchSpace, make_problem: MakeProblem, run: Run
) -> None:
    proposals = run(make(make_problem(macro), num_startup=12), 12)
    assert all(one.cost.multiply_adds >= UPPER_SHARE * 60e6 for one in proposals)


def test_each_proposal_is_inside_the_budget_it_is_asked_for(
    macro: SearchSpace, make_problem: MakeProblem, job_of: JobOf
) -> None:
    problem = make_problem(macro, "40M,60M-FLOPs")
    proposer = make(problem, num_startup=4)
    for index in range(12):
        proposal = proposer.propose(index % 2)
        assert proposal is not None
        assert problem.budgets[index % 2].allows(proposal.cost)
        proposer.observe(job_of(proposal), 0.5, rung=0)


def test_one_seed_proposes_the_same_and_another_does_not(
    macro: SearchSpace, make_problem: MakeProblem, run: Run
) -> None:
    problem = make_problem(macro)
    one, same, other = ([p.network for p in run(make(problem, seed=seed), 8)] for seed in (3, 3, 4))
    assert one == same
    assert set(one) != set(other)


def test_networks_marked_or_observed_are_never_proposed(
    widths: SearchSpace, make_problem: MakeProblem, job_of: JobOf, run: Run
) -> None:
    proposer = make(make_problem(widths, "1G-FLOPs"))
    proposer.mark_seen(job_at(job_of, widths, 0).network)
    proposer.observe(job_at(job_of, widths, 1), 0.5, rung=0)
    proposer.observe(job_at(job_of, widths, 2), None, rung=0)
    found = {proposal.labels["stage1.channels"] for proposal in run(proposer, 3)}
    assert found == {32, 40, 48}
    assert proposer.propose(0) is None


def test_the_sampler_hears_only_of_first_trainings_at_the_first_rung(
    macro: SearchSpace, make_problem: MakeProblem, job_of: JobOf, run: Run
) -> None:
    """Fresh seeds and longer trainings of a network change nothing in what is proposed next."""

    def proposed(*, is_told_more: bool) -> list[str]:
        proposer = make(make_problem(macro), num_startup=2)
        first = job_of(run(proposer, 2)[0])
        if is_told_more:
            proposer.observe(dataclasses.replace(first, replicate=1, seed=1), 0.99, rung=0)
            proposer.observe(dataclasses.replace(first, kind="rung"), 0.99, rung=1)
        return [one.network for one in run(proposer, 4)]

    assert proposed(is_told_more=True) == proposed(is_told_more=False)


def test_a_network_outside_the_space_is_kept_from_the_sampler(
    macro: SearchSpace, make_problem: MakeProblem, make_job: Callable[..., Job], run: Run
) -> None:
    def proposed(*, is_told_more: bool) -> list[str]:
        proposer = make(make_problem(macro), num_startup=2)
        if is_told_more:
            proposer.observe(make_job(), 0.99, rung=0)  # a job without choices
        return [one.network for one in run(proposer, 5)]

    assert proposed(is_told_more=True) == proposed(is_told_more=False)


def test_suggestions_are_proposed_first_and_only_where_they_fit(
    widths: SearchSpace, make_problem: MakeProblem, job_of: JobOf
) -> None:
    jobs = [job_at(job_of, widths, index) for index in (5, 1, 2)]
    problem = dataclasses.replace(
        make_problem(widths),
        budgets=make_problem(widths, f"{jobs[2].cost.multiply_adds}-FLOPs").budgets,
    )
    proposer = make(problem)
    for job in jobs:
        proposer.suggest(job)
    found = [proposer.propose(0) for _ in range(4)]
    assert [None if one is None else one.labels["stage1.channels"] for one in found] == [16, 24, 8, None]


def test_an_exhausted_space_has_no_proposal_while_trainings_are_running(
    widths: SearchSpace, make_problem: MakeProblem
) -> None:
    proposer = make(make_problem(widths, "1G-FLOPs"))
    proposals = [proposer.propose(0) for _ in range(7)]  # none is told of
    assert [proposal is None for proposal in proposals] == [False] * 6 + [True]


def test_two_encodings_of_one_network_are_proposed_once(make_problem: MakeProblem, run: Run) -> None:
    space = space_from_yaml(
        "schema_version: 1\nname: s\nstages:\n"
        "  - {channels: [8, 16], repeats: 1, kind: [mbconv, depthwise_separable], expand_ratio: 1}\n"
    )
    proposer = make(make_problem(space, "1G-FLOPs"))
    assert len(run(proposer, 2)) == 2
    assert proposer.propose(0) is None


def test_a_space_of_one_network_is_exhausted_after_it(make_problem: MakeProblem, run: Run) -> None:
    space = space_from_yaml("schema_version: 1\nname: one\nstages: [{channels: 8, repeats: 2}]\n")
    proposer = make(make_problem(space, "1G-FLOPs"))
    assert run(proposer, 1)[0].labels == {}
    assert proposer.propose(0) is None


def test_refused_proposals_are_counted(macro: SearchSpace, make_problem: MakeProblem, run: Run) -> None:
    proposer = make(make_problem(macro, "40M-FLOPs"))
    proposals = run(proposer, 15)
    assert proposer.num_refused > 0
    assert max(proposal.cost.multiply_adds for proposal in proposals) <= 40_000_000


def test_a_budget_that_nothing_fits_is_refused(macro: SearchSpace, make_problem: MakeProblem) -> None:
    with pytest.raises(BudgetError, match="no candidate of nas-bench-macro fits: the cheapest needs"):
        make(make_problem(macro, "1M-FLOPs")).propose(0)


def test_a_sampler_has_no_opinion_on_a_network(
    widths: SearchSpace, make_problem: MakeProblem, job_of: JobOf, run: Run
) -> None:
    proposer = make(make_problem(widths, "1G-FLOPs"))
    (proposal,) = run(proposer, 1)
    assert proposer.belief(job_of(proposal)) is None
    assert not proposer.has_prior


def test_the_sampler_uses_what_it_is_told(
    macro: SearchSpace, make_problem: MakeProblem, job_of: JobOf
) -> None:
    """Told that small kernels in the last stage are good, it proposes them far more often than the start-up did."""
    proposer = make(make_problem(macro, "90M-FLOPs"), num_startup=12)
    shares = []
    for _ in range(36):
        proposal = proposer.propose(0)
        assert proposal is not None
        kernels = [block.kernel_size for block in proposal.spec.stages[2].blocks if block.kind == "mbconv"]
        shares.append(kernels.count(3) / 3)
        proposer.observe(job_of(proposal), shares[-1], rung=0)
    thirds = [sum(shares[start:end]) / 12 for start, end in pairwise((0, 12, 24, 36))]
    assert thirds[0] < 0.5
    assert thirds[2] > thirds[0] + 0.3


def test_with_two_objectives_the_sampler_is_told_the_score_and_the_cost(
    widths: SearchSpace, make_problem: MakeProblem, job_of: JobOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Any] = []
    tell = optuna.Study.tell

    def spy(self: optuna.Study, trial: Any, values: Any = None, **more: Any) -> Any:
        told.append(values)
        return tell(self, trial, values, **more)

    monkeypatch.setattr(optuna.Study, "tell", spy)
    proposer = make(make_problem(widths, "1G-FLOPs"), second_objective="parameters")
    first, second = proposer.propose(0), proposer.propose(0)
    assert first is not None
    assert second is not None
    proposer.observe(job_of(first), 0.25, rung=0)
    proposer.observe(job_of(second), None, rung=0)
    proposer.observe(job_at(job_of, widths, 0), 0.5, rung=0)  # of an earlier call: has no open trial
    assert told == [(0.25, first.cost.parameters), None]


@pytest.mark.parametrize(
    ("name", "value"),
    [(None, 1), ("multiply_adds", 1), ("latency", 1), ("parameters", 2), ("activations", 3)],
)
def test_latency_is_guessed_from_the_multiply_adds_until_it_is_measured(name: Any, value: int) -> None:
    cost = Cost(multiply_adds=1, parameters=2, activations=3)
    assert second_value(cost, dataclasses.replace(SETTINGS, second_objective=name)) == value
