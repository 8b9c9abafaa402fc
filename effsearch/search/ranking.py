"""Which network is the best, when some were trained more often than others?"""

import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from effsearch.space.cost import Cost
from effsearch.space.errors import UsageError
from effsearch.space.outcome import Evaluation
from effsearch.space.spec import ModelSpec

PARAMETERS_UNIT = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RewardExponents:
    """How much a reward weighs what a network costs; below 0 the cheaper is the better."""

    multiply_adds: float
    step_time: float = 0.0
    parameters: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranked:
    """A network with all its trainings."""

    name: str
    spec: ModelSpec
    network: str
    cost: Cost
    seeds: tuple[int, ...]
    accuracies: tuple[float, ...]  # one for each seed
    mean_score: float  # of the objective
    belief: float  # what the score is expected to be, all that is known counted
    rung: int  # of these trainings, from 0

    @property
    def mean_accuracy(self) -> float:
        """Mean validation accuracy over the seeds."""
        return statistics.fmean(self.accuracies)


def rank_networks(
    evaluations: Iterable[Evaluation],
    *,
    score: Callable[[Evaluation], float],
    belief: Callable[[str], float],
    rung: Callable[[str], int],
    has_model: Callable[[str], bool] = lambda network: False,
) -> list[Ranked]:
    """Give every scored network: those on the highest rung first, then by belief.

    A model's belief has weighed how often a network was trained; where it is only the network's own mean, those
    with the most seeds come first.

    Args:
        evaluations: Ended trainings, of each network those at its highest rung; failures are passed over.
        score: The objective of one training that came to a result.
        belief: The expected score of a network.
        rung: The rung of a network's trainings.
        has_model: Whether the belief in a network is a model's.
    """
    groups: dict[str, list[Evaluation]] = {}
    for evaluation in evaluations:
        if evaluation.result:
            groups.setdefault(evaluation.job.network, []).append(evaluation)
    ranked = [
        Ranked(
            name=group[0].job.name,
            spec=group[0].job.spec,
            network=network,
            cost=group[0].job.cost,
            seeds=tuple(evaluation.job.seed for evaluation in group),
            accuracies=tuple(evaluation.result.val_accuracy for evaluation in group if evaluation.result),
            mean_score=statistics.fmean(score(evaluation) for evaluation in group),
            belief=belief(network),
            rung=rung(network),
        )
        for network, group in groups.items()
    ]
    most = max((len(one.seeds) for one in ranked), default=0)

    def order(one: Ranked) -> tuple[float, ...]:
        num_seeds = most if has_model(one.network) else len(one.seeds)
        return (-one.rung, -num_seeds, -one.belief, -len(one.seeds))

    return sorted(ranked, key=order)


def reward(
    accuracy: float,
    *,
    multiply_adds: int,
    parameters: int,
    step_time: float,
    target: int | None,
    exponents: RewardExponents,
) -> float:
    """Give accuracy * (multiply_adds / target)^w * step_time^v * (parameters in millions)^p.

    Args:
        accuracy: In [0, 1].
        multiply_adds: Of the network at the target resolution.
        parameters: Of the network; their unit changes no ranking.
        step_time: Of the network's training, over that of another of the run; see `search.step_time`.
        target: The budget's bound on the multiply-adds.
        exponents: w, v and p; what has 0 is not weighed.

    Raises:
        UsageError: Multiply-adds are weighed and there is no target, because the budget does not bound them.

    Source:
        MnasNet's reward has w alone, -.07 (arXiv:1807.11626, equation 2); EfficientNetV2's has v = -.07 and p = -.05
        in its place (arXiv:2104.00298, section 3.2).
    """
    product = accuracy * step_time**exponents.step_time
    product *= (parameters / PARAMETERS_UNIT) ** exponents.parameters
    if exponents.multiply_adds == 0:
        return float(product)
    if target is None:
        raise UsageError(
            "the reward needs a budget in FLOPs, such as --budget 400M-FLOPs, or --reward-exponent 0"
        )
    return float(product * (multiply_adds / target) ** exponents.multiply_adds)
