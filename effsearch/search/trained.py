"""What has been trained so far, on which rung, and what is each network believed to be worth?"""

from effsearch.search.problem import Problem, SearchSettings
from effsearch.search.proposers.proposer import Proposer
from effsearch.search.ranking import Ranked, rank_networks
from effsearch.search.step_time import rung_of
from effsearch.search.valuation import Valuation
from effsearch.space.outcome import Evaluation, Job


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
        self._valuation = Valuation(problem, settings)
        self._proposer = proposer

    def remember(self, evaluation: Evaluation) -> None:
        """Keep an ended training and show it to the proposer."""
        self.evaluations.append(evaluation)
        self._valuation.note(evaluation)
        job, rung = evaluation.job, self.rung_of(evaluation.job)
        if self.is_first(job):
            self.first_jobs[job.network] = job
        has_score = evaluation.result is not None
        self.on_rung[rung][job.network] = has_score or self.on_rung[rung].get(job.network, False)
        self._proposer.observe(
            job,
            self.score(evaluation) if has_score else None,
            rung=rung,
            val_accuracy=evaluation.result.val_accuracy if evaluation.result else None,
        )

    def is_first(self, job: Job) -> bool:
        """Tell whether a training is the first that a network is given."""
        return self.rung_of(job) == 0 and job.replicate == 0

    def rung_of(self, job: Job) -> int:
        """Give the rung that a training belongs to."""
        rung = rung_of(job, self._problem)
        assert rung is not None, f"{job.name} was trained at none of the rungs"
        return rung

    def score(self, evaluation: Evaluation) -> float:
        """Give the objective of a training that came to a result."""
        return self._valuation.score(evaluation)

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
