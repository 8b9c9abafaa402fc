"""What is a training worth to a search?"""

from collections.abc import Iterable

from effsearch.search.fidelity import cost_of, relative_cost
from effsearch.search.problem import Problem, SearchSettings
from effsearch.search.ranking import reward
from effsearch.search.step_time import StepTimes, rung_fidelity
from effsearch.space.cost import Cost
from effsearch.space.outcome import Evaluation


class Valuation:
    """What each training is worth: its accuracy, or a reward that weighs what the network costs.

    Where the reward weighs step times, these are measured: the same command gives other scores in another run, while
    a run that goes on comes to those it had, because it reads the times from its ledger.

    Args:
        problem: What is searched.
        settings: Names the objective.
        trainings: Ended ones that are known already, in the ledger's order.
    """

    def __init__(
        self, problem: Problem, settings: SearchSettings, trainings: Iterable[Evaluation] = ()
    ) -> None:
        self._problem = problem
        self._settings = settings
        self._step_times = StepTimes()
        for evaluation in trainings:
            self.note(evaluation)

    def note(self, evaluation: Evaluation) -> None:
        """Take an ended training, before any score of it is asked for; to be called in the ledger's order."""
        if evaluation.result is not None:
            fidelity = rung_fidelity(evaluation, self._problem)
            self._step_times.note(_seconds_of_all_stages(evaluation), fidelity)

    def score(self, evaluation: Evaluation) -> float:
        """Give the objective of a noted training that came to a result."""
        assert evaluation.result is not None
        accuracy = evaluation.result.val_accuracy
        if self._settings.objective == "accuracy":
            return accuracy
        exponents, step_time = self._settings.reward_exponents, 1.0
        if exponents.step_time:
            fidelity = rung_fidelity(evaluation, self._problem)
            step_time = self._step_times.share(_seconds_of_all_stages(evaluation), fidelity)
        return reward(
            accuracy,
            multiply_adds=evaluation.job.cost.multiply_adds,
            parameters=evaluation.job.cost.parameters,
            step_time=step_time,
            target=self._problem.budget.multiply_adds,
            exponents=exponents,
        )


def _seconds_of_all_stages(evaluation: Evaluation) -> float:
    """Give a training's time; of one that found a checkpoint, as in a warm start, about what it were without."""
    assert evaluation.result is not None
    return evaluation.result.train_seconds * relative_cost(evaluation.job.fidelity) / cost_of(evaluation)


def second_value(cost: Cost, settings: SearchSettings) -> int:
    """Give what a search with two objectives keeps low: latency as a table predicts it, else multiply-adds."""
    name = settings.second_objective
    if name == "latency" and cost.latency_nanoseconds is not None:
        return cost.latency_nanoseconds
    return int(getattr(cost, "multiply_adds" if name in (None, "latency") else name))
