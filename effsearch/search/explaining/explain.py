"""What did a search learn: which choices mattered, where does its budget bind, and what should its space allow?

Choices are judged by a model of choices alone, so that what the number of blocks or the cost explains is counted with
the choices that make it. The price of the budget comes from the model that proposes networks, which knows both.
Every interval holds 90 per cent of the posterior.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_solve

from effsearch.search.explaining.advice import Advice, ChoiceEffect, DimensionReport, give_advice
from effsearch.search.explaining.budget_price import BudgetUse, price_budget
from effsearch.search.features import FEATURES, network_features
from effsearch.search.model.kernel import FloatArray, IntArray
from effsearch.search.model.surrogate import Interval, Surrogate, fit_surrogate
from effsearch.search.problem import Problem
from effsearch.space.errors import UsageError
from effsearch.space.search_space import Label

LEAST_NETWORKS = 8
LEVEL = 0.9  # of every interval
HALF_WIDTH = 1.6449  # of such an interval, in deviations
NUM_DRAWS = 4_000
NUM_PAIRS = 5  # that are named


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A separate training of a network of the space that came to a score."""

    choices: Mapping[str, Label]
    score: float  # the more the better
    rung: int  # 0 for the cheapest


@dataclass(frozen=True, slots=True, kw_only=True)
class PairShare:
    """Two dimensions whose choices do more, or less, together than each alone."""

    one: str
    other: str
    share: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureEffect:
    """What one standard deviation more of a number that is known without training adds to the score."""

    name: str
    effect: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a search learned; effects and gains are in the score's units."""

    num_networks: int
    num_trainings: int
    num_rungs: int  # on which there are trainings
    noise: float  # deviation of one training at the top one of them
    dimensions: tuple[DimensionReport, ...]  # as the space has them
    pairs: tuple[PairShare, ...]  # the strongest first
    features: tuple[FeatureEffect, ...]
    budgets: tuple[BudgetUse, ...]
    advice: tuple[Advice, ...]

    @property
    def num_sure(self) -> int:
        """Dimensions of which it is sure that their best choice beats their worst."""
        return sum(dimension.is_sure for dimension in self.dimensions)


def explain_search(problem: Problem, trainings: Sequence[Training], *, seed: int = 0) -> Explanation:
    """Give what the separate trainings of a search say about its space and its budgets.

    Args:
        problem: What was searched.
        trainings: Of networks of the space, several of one network included.
        seed: Of all draws.

    Raises:
        UsageError: Fewer than `LEAST_NETWORKS` networks of the space have a score.
    """
    points = np.asarray([problem.space.point_of(one.choices) for one in trainings], dtype=np.int64)
    points = points.reshape(len(trainings), len(problem.space.dimensions))
    values = np.asarray([one.score for one in trainings], dtype=np.float64)
    rungs = np.asarray([one.rung for one in trainings], dtype=np.int64)
    trained = np.unique(points, axis=0)
    if len(trained) < LEAST_NETWORKS:
        raise UsageError(
            f"{len(trained)} network(s) of the space have a score, and {LEAST_NETWORKS} are the least that says "
            "anything about it; give more --trials or --minutes"
        )
    rng = np.random.default_rng(seed)
    by_choice = _fitted(problem, points, values, rungs, features=None)
    whole = _fitted(problem, points, values, rungs, features=network_features(problem, points))
    dimensions, pairs = _judge_choices(problem, by_choice, rng)
    budgets = tuple(price_budget(whole, problem, budget, trained, rng=rng) for budget in problem.budgets)
    return Explanation(
        num_networks=len(trained),
        num_trainings=len(values),
        num_rungs=len(np.unique(rungs)),
        noise=float(whole.noise[-1]),
        dimensions=dimensions,
        pairs=pairs,
        features=_judge_features(whole),
        budgets=budgets,
        advice=tuple(
            advice
            for advice in give_advice(dimensions, [use.liked for use in budgets])
            if advice.kind != "budget" or budgets[advice.budget_index].binding is not None
        ),
    )


def draw_main_effects(model: Surrogate, *, rng: np.random.Generator, num_draws: int) -> FloatArray:
    """Draw from the posterior what each choice adds to the score, those of one dimension jointly.

    Returns:
        (num_draws, num_columns), columns as in the model's kernel.
    """
    kernel, sizes, seen = model.kernel, model.sizes, model.seen
    prior = sizes.orders[0] * kernel.base * sizes.relevance[kernel.owner]
    observed = prior @ (seen.one_hot * sizes.scale[seen.rungs][:, None]).T
    covariance = prior - observed @ cho_solve((model.factor, True), observed.T, check_finite=False)
    variances, directions = np.linalg.eigh((covariance + covariance.T) / 2)
    root = directions * np.sqrt(np.maximum(variances, 0.0))  # singular: effects of a dimension sum to 0
    draws = observed @ model.weights + rng.standard_normal((num_draws, len(prior))) @ root.T
    return np.asarray(draws * model.scaling.scale)


def _fitted(
    problem: Problem,
    points: IntArray,
    values: FloatArray,
    rungs: IntArray,
    *,
    features: FloatArray | None,
) -> Surrogate:
    return fit_surrogate(
        points,
        values,
        num_choices=[len(dimension.labels) for dimension in problem.space.dimensions],
        positions=problem.space.positions(),
        rungs=rungs,
        features=features,
    )


def _judge_choices(
    problem: Problem, model: Surrogate, rng: np.random.Generator
) -> tuple[tuple[DimensionReport, ...], tuple[PairShare, ...]]:
    importance = model.importance(rng=rng, level=LEVEL)
    space = problem.space
    by_dimension = np.split(
        draw_main_effects(model, rng=rng, num_draws=NUM_DRAWS), model.kernel.starts[1:], axis=1
    )
    dimensions = []
    for index, dimension in enumerate(space.dimensions):
        draws = by_dimension[index]  # (num_draws, num_choices)
        low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
        mean = draws.mean(axis=0)
        wins = np.bincount(draws.argmax(axis=1), minlength=draws.shape[1]) / NUM_DRAWS
        best_beats = (draws[:, mean.argmax()][:, None] > draws).mean(axis=0)
        effects = tuple(
            ChoiceEffect(
                label=label,
                effect=Interval(mean=float(mean[choice]), low=float(low[choice]), high=float(high[choice])),
                best_probability=float(wins[choice]),
                worse_probability=float(best_beats[choice]),
            )
            for choice, label in enumerate(dimension.labels)
        )
        dimensions.append(
            DimensionReport(
                name=dimension.name,
                main=importance.main[index],
                total=importance.total[index],
                effects=effects,
            )
        )
    strongest = sorted(importance.pairs.items(), key=lambda item: item[1].mean, reverse=True)[:NUM_PAIRS]
    pairs = tuple(
        PairShare(one=space.dimensions[one].name, other=space.dimensions[other].name, share=share)
        for (one, other), share in strongest
    )
    return tuple(dimensions), pairs


def _judge_features(model: Surrogate) -> tuple[FeatureEffect, ...]:
    found = zip(FEATURES, *model.feature_weights(), strict=True)
    return tuple(
        FeatureEffect(
            name=name,
            effect=Interval(
                mean=float(mean),
                low=float(mean - HALF_WIDTH * deviation),
                high=float(mean + HALF_WIDTH * deviation),
            ),
        )
        for name, mean, deviation in found
    )
