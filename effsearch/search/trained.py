"""What has been trained so far, on which rung, and what is each network believed to be worth?"""

from effsearch.search.problem import Problem, SearchSettings
from effsearch.search.proposers.proposer import Proposer
from effsearch.search.ranking import Ranked, rank_networks, reward
from effsearch.space.outcome import Evaluation, Job
from effsearch.space.proxy import fidelity_for


def score_of(evaluation: Evaluation, problem: Problem, settings: SearchSettings) -> float:
    """Give the objective of a training that came to a result."""
    assert evaluation.result is not None
    accuracy = evaluation.result.val_accuracy
    if settings.objective == "accuracy":
        return accuracy
    return reward(
        accuracy,
        multiply_adds=evaluation.job.cost.multiply_adds,
        target=problem.budget.multiply_adds,
        exponent=settings.reward_exponent,
    )


class Trained:
    """The ended trainings of a search, as its proposer and its ladder see them.

    Args:
        problem: What is searched.
        settings: How.
        proposer: Is shown every training that is remembered.
    """

    def __init__(self, problem: Problem, settings: SearchSettings, proposer: Proposer) -> None:
        self.evaluations: list[Evaluation] = []
        self.first_jobs: dict[str, Job] = {}  # by network: its training at the first rung, ended or not
        self.on_rung: list[dict[str, bool]] = [{} for _ in problem.rungs]  # network -> has ended with a score
        self._problem = problem
        self._settings = settings
        self._proposer = proposer

    def remember(self, evaluation: Evaluation) -> None:
        """Keep an ended training and show it to the proposer."""
        self.evaluations.append(evaluation)
        job, rung = evaluation.job, self.rung_of(evaluation.job)
        if rung == 0 and job.replicate == 0:
            self.first_jobs[job.network] = job
        has_score = evaluation.result is not None
        self.on_rung[rung][job.network] = has_score or self.on_rung[rung].get(job.network, False)
        self._proposer.observe(job, self.score(evaluation) if has_score else None, rung=rung)

    def rung_of(self, job: Job) -> int:
        """Give the rung that a training belongs to."""
        own = [
            fidelity_for(job.spec, rung, target_resolution=self._problem.resolution)
            for rung in self._problem.rungs
        ]
        return own.index(job.fidelity)

    def score(self, evaluation: Evaluation) -> float:
        """Give the objective of a training that came to a result."""
        return score_of(evaluation, self._problem, self._settings)

    def belief(self, network: str) -> float:
        """Give what a network is expected to score: the model's word, else its own mean at its highest rung."""
        believed = self._proposer.belief(self.first_jobs[network])
        if believed is not None:
            return believed
        own: dict[int, list[float]] = {}
        for evaluation in self.evaluations:
            if evaluation.job.network == network and evaluation.result is not None:
                own.setdefault(self.rung_of(evaluation.job), []).append(self.score(evaluation))
        highest = own[max(own)]
        return sum(highest) / len(highest)

    def by_belief(self) -> list[str]:
        """Give every network that has a score at the first rung, best first."""
        scored = [network for network, has_score in self.on_rung[0].items() if has_score]
        return sorted(scored, key=self.belief, reverse=True)

    def ranked(self) -> list[Ranked]:
        """Give every scored network with its trainings at its highest rung; see `rank_networks`."""
        highest: dict[str, int] = {}
        scored = [one for one in self.evaluations if one.result is not None]
        for evaluation in scored:
            network, rung = evaluation.job.network, self.rung_of(evaluation.job)
            highest[network] = max(highest.get(network, 0), rung)
        return rank_networks(
            [one for one in scored if self.rung_of(one.job) == highest[one.job.network]],
            score=self.score,
            belief=self.belief,
            rung=lambda network: highest[network],
            has_model=lambda network: self._proposer.belief(self.first_jobs[network]) is not None,
        )
