"""Which proposer does a search's sampler stand for?"""

from collections.abc import Mapping, Sequence

from effsearch.search.problem import Problem, SearchSettings
from effsearch.search.proposers.model_proposer import ModelProposer
from effsearch.search.proposers.proposer import Proposer
from effsearch.search.proposers.sampler_proposer import SamplerProposer
from effsearch.search.valuation import Valuation
from effsearch.space.outcome import Evaluation
from effsearch.space.search_space import Point
from effsearch.space.supernet_work import ScreenScore

NUM_SUGGESTED = 5  # of an earlier run's networks that a sampler of Optuna's starts with


def make_proposer(
    problem: Problem,
    settings: SearchSettings,
    *,
    screened: Mapping[Point, ScreenScore],
    earlier: Sequence[Evaluation],
    seed: int,
) -> Proposer:
    """Give what proposes networks.

    Args:
        problem: What is searched.
        settings: Names the sampler.
        screened: Networks scored without a training; only our own model looks at them.
        earlier: Trainings of another run of the same space, for a warm start.
        seed: Of all draws.
    """
    if settings.sampler == "thompson":
        return ModelProposer(problem, settings, screened=screened, earlier=earlier, seed=seed)
    proposer = SamplerProposer(problem, settings, seed=seed)
    best_last = sorted(earlier, key=Valuation(problem, settings, earlier).score)
    best = {evaluation.job.network: evaluation.job for evaluation in best_last}
    for job in list(best.values())[: -NUM_SUGGESTED - 1 : -1]:
        proposer.suggest(job)
    return proposer
