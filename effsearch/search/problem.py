"""What is searched, how, and how far is it?"""

from dataclasses import dataclass
from typing import Literal

from effsearch.search.placement.time_limit import check_minutes
from effsearch.search.ranking import RewardExponents
from effsearch.space.anchors import Anchor
from effsearch.space.budget import Budget
from effsearch.space.cost import Cost, count_cost
from effsearch.space.errors import UsageError
from effsearch.space.outcome import Evaluation, Fidelity
from effsearch.space.screening import Costs, IntArray, screen
from effsearch.space.search_space import SearchSpace
from effsearch.space.spec import ModelSpec

SamplerName = Literal["thompson", "tpe", "random", "nsga2", "gp", "evolution"]
Objective = Literal["accuracy", "reward"]
SecondObjective = Literal["multiply_adds", "parameters", "activations", "latency"]
StopReason = Literal["trials", "minutes", "exhausted"]
Phase = Literal["trials", "confirm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """How a search goes about it."""

    num_trials: int | None  # networks trained to an end, failures included, over all resumes; None: no bound
    minutes: float | None  # screening and confirmation included, over all resumes; None: no bound
    seed: int = 0
    sampler: SamplerName = "thompson"
    objective: Objective = "accuracy"
    reward_exponent: float = -0.07  # of multiply_adds / budget; MnasNet's (arXiv:1807.11626)
    step_time_exponent: float = 0.0  # of the training step; EfficientNetV2's is -.07 (arXiv:2104.00298)
    parameters_exponent: float = 0.0  # EfficientNetV2's is -.05
    second_objective: SecondObjective | None = (
        None  # to be kept low; None: the best inside each budget is sought
    )
    num_finalists: int = 5  # networks trained again, for each budget
    num_seeds: int = 3  # trainings of each finalist and anchor at the top rung
    num_startup: int | None = (
        None  # networks before a model or a population proposes; None: the sampler's own number
    )
    reduction: int = 3  # one network of so many is promoted to the next rung

    @property
    def front_measure(self) -> str | None:
        """The cost along which a front is sought, of `space.screening.Costs`; a latency is told by multiply-adds."""
        return "multiply_adds" if self.second_objective == "latency" else self.second_objective

    def __post_init__(self) -> None:
        if self.num_trials is None and self.minutes is None:
            raise UsageError("a search needs an end: give --trials or --minutes")
        if self.num_trials is not None and self.num_trials < 1:
            raise UsageError(f"--trials must be at least 1, got {self.num_trials}")
        if self.num_trials is not None and self.num_trials > 10**9:
            raise UsageError(f"--trials must be at most 1,000,000,000, got {self.num_trials}")
        check_minutes(self.minutes)
        if self.num_finalists < 1 or self.num_seeds < 1:
            raise UsageError("--finalists and --seeds must be at least 1")
        if self.reduction < 2:
            raise UsageError(f"--reduction must be at least 2, got {self.reduction}")
        if self.sampler == "evolution" and self.second_objective is not None:
            raise UsageError(
                "--sampler evolution knows one objective: leave out --multi-objective or take nsga2"
            )
        for option, exponent in (
            ("--reward-exponent", self.reward_exponent),
            ("--step-time-exponent", self.step_time_exponent),
            ("--params-exponent", self.parameters_exponent),
        ):
            if not -10 <= exponent <= 10:
                raise UsageError(f"{option} must be from -10 to 10, got {exponent:g}")
        if self.objective != "reward" and (self.step_time_exponent or self.parameters_exponent):
            raise UsageError(
                "--step-time-exponent and --params-exponent weigh the reward: give --objective reward"
            )

    @property
    def reward_exponents(self) -> RewardExponents:
        """What the reward weighs, and how much."""
        return RewardExponents(
            multiply_adds=self.reward_exponent,
            step_time=self.step_time_exponent,
            parameters=self.parameters_exponent,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is searched: a space, budgets at a target, the rungs, and the networks known beforehand."""

    space: SearchSpace
    budgets: tuple[Budget, ...]  # ascending; one winner is sought for each
    resolution: int  # pixels at which the budgets are counted
    num_classes: int
    rungs: tuple[Fidelity, ...]  # cheap to dear, at least one
    anchors: tuple[Anchor, ...] = ()

    @property
    def budget(self) -> Budget:
        """The widest budget."""
        return self.budgets[-1]

    def front_measure(self, settings: SearchSettings) -> str | None:
        """Give the cost along which a front is sought; a latency's is its prediction, where a table gives one."""
        if settings.second_objective == "latency" and self.budget.latency_table is not None:
            return "latency_nanoseconds"
        return settings.front_measure

    def count(self, spec: ModelSpec) -> Cost:
        """Give what a network costs, by all that the budgets count."""
        return count_cost(spec, self.budget.latency_table)

    def costs(self, points: IntArray) -> Costs:
        """Give what the networks of (num_points, num_dimensions) choice indices cost."""
        return screen(
            self.space,
            points,
            resolution=self.resolution,
            num_classes=self.num_classes,
            table=self.budget.latency_table,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a search is, for whoever watches."""

    phase: Phase
    num_done: int
    num_failed: int
    num_refused: int
    best: Evaluation | None  # the best single training
    last: Evaluation | None
    seconds: float  # since the start of this call
