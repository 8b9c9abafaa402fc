"""Which network inside the budget scores best?

Anchors are trained first, then proposals until the asked number or time is reached. The best are trained again
with fresh seeds, and the winner has the best mean. Everything arrives as values and callables: a test hands in a
formula and runs a whole search in a second.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from effsearch.search.executor import Executor, drive
from effsearch.search.proposer import Proposal, Proposer
from effsearch.search.ranking import Ranked, rank_networks, reward
from effsearch.search.time_limit import TimeLimit
from effsearch.space.anchors import Anchor
from effsearch.space.budget import Budget
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.errors import RunError, UsageError
from effsearch.space.outcome import Evaluation, Fidelity, Job, derive_seed
from effsearch.space.proxy import fidelity_for
from effsearch.space.search_space import SearchSpace

StopReason = Literal["trials", "minutes", "exhausted"]

MAX_FAILURES_IN_A_ROW = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchSettings:
    """How a search goes about it."""

    num_trials: int | None  # networks trained to an end, failures included, over all resumes; None: no bound
    minutes: float | None  # of this call, the confirmation included; None: no bound
    seed: int = 0
    objective: Literal["accuracy", "reward"] = "accuracy"
    reward_exponent: float = -0.07  # w of accuracy * (multiply_adds / budget)^w; MnasNet's (arXiv:1807.11626)
    num_finalists: int = 5  # networks trained again
    num_seeds: int = 3  # trainings of each finalist and anchor, the first included
    num_startup: int = 10  # random networks before the sampler proposes

    def __post_init__(self) -> None:
        if self.num_trials is None and self.minutes is None:
            raise UsageError("a search needs an end: give --trials or --minutes")
        if self.num_trials is not None and self.num_trials < 1:
            raise UsageError(f"--trials must be at least 1, got {self.num_trials}")
        if self.minutes is not None and not 0 < self.minutes < 1e6:
            raise UsageError(f"--minutes must be above 0, got {self.minutes:g}")
        if self.num_finalists < 1 or self.num_seeds < 1:
            raise UsageError("--finalists and --seeds must be at least 1")
        if not -10 <= self.reward_exponent <= 10:
            raise UsageError(f"--reward-exponent must be from -10 to 10, got {self.reward_exponent:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is searched: a space, a budget at a target, a fidelity, and the networks known beforehand."""

    space: SearchSpace
    budget: Budget
    resolution: int  # pixels at which the budget is counted
    num_classes: int
    fidelity: Fidelity
    anchors: tuple[Anchor, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a search is, for whoever watches."""

    phase: Literal["trials", "confirm"]
    num_done: int
    num_failed: int
    num_refused: int
    best: Evaluation | None
    last: Evaluation | None
    seconds: float  # since the start of this call


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineResult:
    """What a search found."""

    best: Ranked
    anchors: tuple[Ranked, ...]
    finalists: tuple[Ranked, ...]  # best first
    num_trials: int
    num_failed: int
    stopped_by: StopReason


def search_baseline(
    problem: Problem,
    settings: SearchSettings,
    *,
    executor: Executor,
    clock: Callable[[], float],
    record: Callable[[Evaluation], None],
    history: Sequence[Evaluation] = (),
    expected_seconds: float = 0.0,
    notify: Callable[[Progress], None] = lambda progress: None,
) -> BaselineResult:
    """Search a space inside a budget.

    Args:
        problem: What is searched.
        settings: How.
        executor: Where networks are trained.
        clock: Seconds, monotonic.
        record: Is handed every ended training before anything else happens with it.
        history: Trainings recorded by earlier calls on the same run, oldest first.
        expected_seconds: Guess at one training's time until the first has ended.
        notify: Is told of every ended training.

    Raises:
        BudgetError: Nothing in the space fits.
        RunError: Every training failed, or many in a row.
    """
    search = _Search(problem, settings, executor, clock, record, history, expected_seconds, notify)
    search.run_trials()
    search.run_confirmation()
    return search.result()


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


class _Search:
    def __init__(
        self,
        problem: Problem,
        settings: SearchSettings,
        executor: Executor,
        clock: Callable[[], float],
        record: Callable[[Evaluation], None],
        history: Sequence[Evaluation],
        expected_seconds: float,
        notify: Callable[[Progress], None],
    ) -> None:
        self.problem = problem
        self.settings = settings
        self.executor = executor
        self.record = record
        self.notify = notify
        self.evaluations = list(history)
        self.time = TimeLimit(settings.minutes, clock=clock, expected_seconds=expected_seconds)
        self.time.learn(history)
        self.stopped_by: StopReason = "trials"
        self.open_proposals: dict[str, Proposal] = {}
        self.num_handed_out = sum(evaluation.job.replicate == 0 for evaluation in history)
        self.num_failures_in_a_row = 0
        self.proposer = Proposer(
            problem.space,
            problem.budget,
            resolution=problem.resolution,
            num_classes=problem.num_classes,
            seed=settings.seed + len(history),
            num_startup=settings.num_startup,
        )
        for evaluation in history:
            self.show_to_sampler(evaluation)
        known = {evaluation.job.network for evaluation in history}
        self.anchor_jobs: list[Job] = []
        for job in map(self.anchor_job, problem.anchors):
            if job.network not in known:
                known.add(job.network)
                self.anchor_jobs.append(job)
                self.proposer.mark_seen(job.network)

    # Trials

    def run_trials(self) -> None:
        drive(self.executor, propose=self.next_trial, take=self.take)

    def next_trial(self) -> Job | None:
        if self.stopped_by == "exhausted":  # other workers may still be training
            return None
        if self.settings.num_trials is not None and self.num_handed_out >= self.settings.num_trials:
            self.stopped_by = "trials"
            return None
        if self.time.is_up(reserved_seconds=self.seconds_to_confirm()) and self.num_handed_out:
            self.stopped_by = "minutes"
            return None
        if self.anchor_jobs:
            self.num_handed_out += 1
            return self.anchor_jobs.pop(0)
        proposal = self.proposer.propose()
        if proposal is None:
            self.stopped_by = "exhausted"
            return None
        self.open_proposals[proposal.network] = proposal
        self.num_handed_out += 1
        return Job(
            kind="trial",
            name=f"trial {self.num_handed_out}",
            spec=proposal.spec,
            network=proposal.network,
            cost=proposal.cost,
            fidelity=self.problem.fidelity,
            seed=derive_seed(self.settings.seed, proposal.network, 0),
            choices=proposal.labels,
        )

    def anchor_job(self, anchor: Anchor) -> Job:
        network = network_hash(anchor.spec)
        is_at_target = anchor.spec.resolution == self.problem.resolution
        point = self.problem.space.find_point(anchor.spec) if is_at_target else None
        return Job(
            kind="anchor",
            name=anchor.name,
            spec=anchor.spec,
            network=network,
            cost=count_cost(anchor.spec),
            fidelity=fidelity_for(
                anchor.spec, self.problem.fidelity, target_resolution=self.problem.resolution
            ),
            seed=derive_seed(self.settings.seed, network, 0),
            choices={} if point is None else self.problem.space.labels_at(point),
            phi=anchor.phi,
        )

    def take(self, evaluation: Evaluation) -> None:
        self.record(evaluation)
        self.evaluations.append(evaluation)
        self.time.learn([evaluation])
        self.show_to_sampler(evaluation)
        self.num_failures_in_a_row = self.num_failures_in_a_row + 1 if evaluation.failure else 0
        self.tell_watcher("trials", evaluation)
        if self.num_failures_in_a_row >= MAX_FAILURES_IN_A_ROW:
            raise RunError(
                f"{MAX_FAILURES_IN_A_ROW} trainings in a row failed; the last: {evaluation.failure}"
            )

    def show_to_sampler(self, evaluation: Evaluation) -> None:
        job = evaluation.job
        if job.replicate or job.kind == "confirm":
            return
        value = None if evaluation.result is None else self.score(evaluation)
        proposal = self.open_proposals.pop(job.network, None)
        if proposal is not None:
            self.proposer.tell(proposal, value=value)
        elif job.choices:
            self.proposer.tell_past(job.choices, value=value, network=job.network)
        else:
            self.proposer.mark_seen(job.network)

    def score(self, evaluation: Evaluation) -> float:
        return score_of(evaluation, self.problem, self.settings)

    # Confirmation

    def seconds_to_confirm(self) -> float:
        num_networks = self.settings.num_finalists + len(self.problem.anchors)
        return self.time.seconds_to_confirm(
            num_networks * (self.settings.num_seeds - 1), num_slots=self.executor.num_slots
        )

    def run_confirmation(self) -> None:
        if not any(evaluation.result for evaluation in self.evaluations):
            failures = [evaluation.failure for evaluation in self.evaluations]
            raise RunError(f"no training came to a score; the last failed with: {failures[-1]}")
        jobs = self.confirmation_jobs()

        def propose() -> Job | None:
            return None if self.time.is_up() else next(jobs, None)

        def take(evaluation: Evaluation) -> None:
            self.record(evaluation)
            self.evaluations.append(evaluation)
            self.time.learn([evaluation])
            self.tell_watcher("confirm", evaluation)

        drive(self.executor, propose=propose, take=take)

    def confirmation_jobs(self) -> Iterator[Job]:
        """Yield the fresh-seed trainings that are still owed, one round of all networks after another."""
        firsts = {
            evaluation.job.network: evaluation
            for evaluation in self.evaluations
            if evaluation.result and evaluation.job.replicate == 0
        }
        by_score = sorted(firsts.values(), key=self.score, reverse=True)
        chosen = by_score[: self.settings.num_finalists]
        chosen += [
            evaluation
            for evaluation in by_score[self.settings.num_finalists :]
            if evaluation.job.kind == "anchor"
        ]
        done = {(evaluation.job.network, evaluation.job.replicate) for evaluation in self.evaluations}
        for replicate, first in itertools.product(range(1, self.settings.num_seeds), chosen):
            job = first.job
            if (job.network, replicate) not in done:
                yield Job(
                    kind="confirm",
                    name=job.name,
                    spec=job.spec,
                    network=job.network,
                    cost=job.cost,
                    fidelity=job.fidelity,
                    seed=derive_seed(self.settings.seed, job.network, replicate),
                    replicate=replicate,
                    choices=job.choices,
                    phi=job.phi,
                )

    # Result

    def result(self) -> BaselineResult:
        ranked = rank_networks(self.evaluations, score=self.score)
        most_seeds = len(ranked[0].seeds)
        anchor_networks = [network_hash(anchor.spec) for anchor in self.problem.anchors]
        firsts = [evaluation for evaluation in self.evaluations if evaluation.job.replicate == 0]
        return BaselineResult(
            best=ranked[0],
            anchors=tuple(one for one in ranked if one.network in anchor_networks),
            finalists=tuple(one for one in ranked if len(one.seeds) == most_seeds)[
                : self.settings.num_finalists
            ],
            num_trials=len(firsts),
            num_failed=sum(evaluation.result is None for evaluation in firsts),
            stopped_by=self.stopped_by,
        )

    def tell_watcher(self, phase: Literal["trials", "confirm"], evaluation: Evaluation) -> None:
        scored = [one for one in self.evaluations if one.result]
        self.notify(
            Progress(
                phase=phase,
                num_done=sum(one.job.replicate == 0 for one in self.evaluations)
                if phase == "trials"
                else sum(one.job.kind == "confirm" for one in self.evaluations),
                num_failed=sum(one.result is None for one in self.evaluations),
                num_refused=self.proposer.num_refused,
                best=max(scored, key=self.score, default=None),
                last=evaluation,
                seconds=self.time.elapsed,
            )
        )
