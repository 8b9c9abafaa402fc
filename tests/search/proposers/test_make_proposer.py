import dataclasses
from collections.abc import Callable
from typing import Any, get_args

import pytest

from effsearch.search.problem import Problem, SamplerName, SearchSettings
from effsearch.search.proposers.make_proposer import NUM_SUGGESTED, make_proposer
from effsearch.search.proposers.model_proposer import ModelProposer
from effsearch.search.proposers.proposer import Proposal
from effsearch.search.proposers.sampler_proposer import SamplerProposer
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.outcome import Evaluation, Job, ProxyResult
from effsearch.space.search_space import SearchSpace
from effsearch.space.supernet_work import ScreenScore

SETTINGS = SearchSettings(num_trials=10, minutes=None)
SCREENED = {(0,): ScreenScore(naswot=1.0, val_loss=None, val_accuracy=None, core_seconds=0.1)}

MakeProblem = Callable[..., Problem]
JobOf = Callable[[Proposal], Job]


@pytest.fixture
def problem(widths: SearchSpace, make_problem: MakeProblem) -> Problem:
    return make_problem(widths, "1G-FLOPs")


@pytest.mark.parametrize("sampler", get_args(SamplerName))
def test_every_sampler_that_can_be_named_proposes(problem: Problem, job_of: JobOf, sampler: Any) -> None:
    settings = dataclasses.replace(SETTINGS, sampler=sampler, num_startup=1)
    proposer = make_proposer(problem, settings, screened={}, earlier=(), seed=0)
    assert isinstance(proposer, ModelProposer if sampler == "thompson" else SamplerProposer)
    found = []
    for accuracy in (0.5, 0.6, 0.7):
        proposal = proposer.propose(0)
        assert proposal is not None
        proposer.observe(job_of(proposal), accuracy, rung=0)
        found.append(proposal.network)
    assert len(set(found)) == 3


def test_only_the_model_looks_at_a_screening(problem: Problem) -> None:
    def has_prior(sampler: SamplerName) -> bool:
        settings = dataclasses.replace(SETTINGS, sampler=sampler)
        return make_proposer(problem, settings, screened=SCREENED, earlier=(), seed=0).has_prior

    assert has_prior("thompson")
    assert not has_prior("tpe")


def test_a_sampler_starts_with_the_best_of_an_earlier_run(problem: Problem, job_of: JobOf) -> None:
    earlier = []
    for index in range(6):
        spec = problem.space.spec_at((index,), resolution=32, num_classes=10)
        labels = problem.space.labels_at((index,))
        job = job_of(Proposal(spec, network_hash(spec), count_cost(spec), labels))
        accuracy = (0.5, 0.9, 0.1, 0.8, 0.7, 0.6)[index]
        result = ProxyResult(val_accuracy=accuracy, val_loss=1.0, train_seconds=0.0, num_images_seen=1)
        earlier.append(Evaluation(job=job, result=result))
    settings = dataclasses.replace(SETTINGS, sampler="random")
    proposer = make_proposer(problem, settings, screened={}, earlier=earlier, seed=0)
    proposals = [proposer.propose(0) for _ in range(NUM_SUGGESTED)]
    assert [one.labels["stage1.channels"] for one in proposals if one] == [16, 32, 40, 48, 8]
