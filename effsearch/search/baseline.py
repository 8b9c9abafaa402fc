"""Which network inside the budget scores best?

Anchors are trained early, and proposals until the asked number or time is reached; the better ones climb a ladder of
longer trainings. The best are trained again with fresh seeds, and the winner is the one that is believed to be
best after all of that. Everything arrives as values and callables: a test hands in a formula and runs a whole search
in a second.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from effsearch.search.failures import FailureStreak
from effsearch.search.finalists import choose_finalists, keep_confirmed, owed_trainings
from effsearch.search.ladder import next_promotion
from effsearch.search.placement.executor import Executor, drive
from effsearch.search.placement.time_limit import TimeLimit
from effsearch.search.problem import Phase, Problem, Progress, SearchSettings, StopReason
from effsearch.search.proposers.proposer import Proposer
from effsearch.search.ranking import Ranked
from effsearch.search.replay import Diverged, ReplayingExecutor
from effsearch.search.trained import Trained
from effsearch.space.anchors import Anchor
from effsearch.space.canonical import network_hash
from effsearch.space.errors import RunError
from effsearch.space.outcome import Evaluation, EvaluationKind, Job, derive_seed
from effsearch.space.proxy import fidelity_for
from effsearch.space.spec import ModelSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineResult:
    """What a search found."""

    winners: tuple[Ranked, ...]  # one for each budget
    anchors: tuple[Ranked, ...]
    finalists: tuple[Ranked, ...]  # trained again; best first
    ranked: tuple[Ranked, ...]  # every scored network, best first
    num_trials: int
    num_failed: int
    num_promoted: int
    num_owed: int  # trainings of finalists and anchors with fresh seeds that there was no time for
    stopped_by: StopReason

    @property
    def best(self) -> Ranked:
        """The winner of the widest budget."""
        return self.winners[-1]


def search_baseline(
    problem: Problem,
    settings: SearchSettings,
    *,
    executor: Executor,
    proposer: Proposer,
    clock: Callable[[], float],
    record: Callable[[Evaluation], None],
    history: Sequence[Evaluation] = (),
    expected_seconds: float = 0.0,
    notify: Callable[[Progress], None] = lambda progress: None,
    keeps: Callable[[ModelSpec], bool] = lambda spec: True,
) -> BaselineResult:
    """Search a space inside its budgets.

    Args:
        problem: What is searched.
        settings: How.
        executor: Where networks are trained.
        proposer: What to try next; it is shown the history here.
        clock: Seconds, monotonic.
        record: Is handed every ended training before anything else happens with it.
        history: Trainings recorded by earlier calls on the same run, oldest first.
        expected_seconds: Guess at the time of one training at the first rung until one has ended.
        notify: Is told of every ended training.
        keeps: Tells whether a network keeps to what the budgets could only predict; no other is confirmed, and
            none wins while one that keeps has a score.

    Raises:
        BudgetError: Nothing in the space fits.
        RunError: Every training failed, or many in a row.
    """
    time = TimeLimit(
        settings.minutes, clock=clock, expected_seconds=expected_seconds, fidelity=problem.rungs[0]
    )
    search = _Search(problem, settings, executor, proposer, time, record, notify, keeps)
    return search.run(history)


def anchor_job(anchor: Anchor, problem: Problem, seed: int) -> Job:
    """Give the first training of a network known beforehand."""
    network = network_hash(anchor.spec)
    is_at_target = anchor.spec.resolution == problem.resolution
    point = problem.space.find_point(anchor.spec) if is_at_target else None
    return Job(
        kind="anchor",
        name=anchor.name,
        spec=anchor.spec,
        network=network,
        cost=problem.count(anchor.spec),
        fidelity=fidelity_for(anchor.spec, problem.rungs[0], target_resolution=problem.resolution),
        seed=derive_seed(seed, network, 0),
        choices={} if point is None else problem.space.labels_at(point),
        phi=anchor.phi,
    )


def go_on_with_baseline(
    problem: Problem,
    settings: SearchSettings,
    *,
    executor: Executor,
    make_proposer: Callable[[int], Proposer],
    clock: Callable[[], float],
    record: Callable[[Evaluation], None],
    history: Sequence[Evaluation] = (),
    expected_seconds: float = 0.0,
    notify: Callable[[Progress], None] = lambda progress: None,
    keeps: Callable[[ModelSpec], bool] = lambda spec: True,
) -> BaselineResult:
    """Search a space inside its budgets, as if the search had never stopped where that can be had (see `replay`).

    Args:
        problem: What is searched.
        settings: How.
        executor: Where networks are trained.
        make_proposer: Gives what to try next, given the number of trainings whose order it does not know.
        clock: Seconds, monotonic.
        record: Is handed every ended training before anything else happens with it.
        history: Trainings recorded by earlier calls on the same run, oldest first.
        expected_seconds: Guess at the time of one training at the first rung until one has ended.
        notify: Is told of every ended training.
        keeps: See `search_baseline`.

    Raises:
        BudgetError: Nothing in the space fits.
        RunError: Every training failed, or many in a row.
    """
    if history and executor.num_slots == 1 and settings.minutes is None:
        replaying = ReplayingExecutor(executor, history)
        time = TimeLimit(None, clock=clock, expected_seconds=expected_seconds, fidelity=problem.rungs[0])
        search = _Search(problem, settings, replaying, make_proposer(0), time, record, notify, keeps)
        search.num_replayed = len(history)
        with contextlib.suppress(Diverged):
            result = search.run()
            if not replaying.num_left:
                return result
    return search_baseline(
        problem,
        settings,
        executor=executor,
        proposer=make_proposer(len(history)),
        clock=clock,
        record=record,
        history=history,
        expected_seconds=expected_seconds,
        notify=notify,
        keeps=keeps,
    )


class _Search:
    def __init__(
        self,
        problem: Problem,
        settings: SearchSettings,
        executor: Executor,
        proposer: Proposer,
        time: TimeLimit,
        record: Callable[[Evaluation], None],
        notify: Callable[[Progress], None],
        keeps: Callable[[ModelSpec], bool],
    ) -> None:
        self.problem = problem
        self.settings = settings
        self.executor = executor
        self.proposer = proposer
        self.time = time
        self.record = record
        self.notify = notify
        self.keeps = keeps
        self.trained = Trained(problem, settings, proposer)
        self.stopped_by: StopReason = "trials"
        self.num_handed_out = 0
        self.failure_streak = FailureStreak()
        self.anchor_jobs: list[Job] = []
        self.lost_jobs: dict[str, Job] = {}  # by network
        self.is_confirming = False  # nothing is promoted any more, unless there are trials after all
        self.finalists: list[str] = []
        self.num_owed = 0
        self.num_replayed = 0  # trainings to come that were recorded by an earlier call

    def run(self, history: Sequence[Evaluation] = ()) -> BaselineResult:
        self.take_history(history)
        self.run_trials()
        self.run_confirmation()
        return self.result()

    # History

    def take_history(self, history: Sequence[Evaluation]) -> None:
        self.time.learn(history)
        self.owe_lost_trainings(history)
        for evaluation in history:
            self.is_confirming = evaluation.job.kind == "confirm"
            if not self.is_confirming:
                self.finalists = []
            elif not self.finalists:
                self.finalists = self.choose_finalists()
            self.trained.remember(evaluation)
        self.num_handed_out = len(self.trained.first_jobs)
        for anchor in self.problem.anchors:
            job = anchor_job(anchor, self.problem, self.settings.seed)
            if job.network not in self.trained.first_jobs:
                self.trained.first_jobs[job.network] = job
                self.anchor_jobs.append(job)
                self.proposer.mark_seen(job.network)

    def owe_lost_trainings(self, history: Sequence[Evaluation]) -> None:
        """Hand out again what the record has lost of networks that it knows by later trainings alone."""
        anchors = {network_hash(anchor.spec) for anchor in self.problem.anchors}
        for job in (evaluation.job for evaluation in history):
            if self.trained.is_first(job):
                self.trained.first_jobs[job.network] = job
                self.lost_jobs.pop(job.network, None)
            elif job.network not in self.trained.first_jobs:
                kind: EvaluationKind = "anchor" if job.network in anchors else "trial"
                self.trained.first_jobs[job.network] = job
                lost = self.longer_job(job.network, 0, kind=kind)
                self.trained.first_jobs[job.network] = self.lost_jobs[job.network] = lost

    # Trials

    def run_trials(self) -> None:
        drive(self.executor, propose=self.next_job, take=self.take_trial)

    def next_job(self) -> Job | None:
        reserved = self.seconds_to_confirm()
        promotion = next_promotion(
            self.trained.on_rung, score=self.trained.belief, reduction=self.settings.reduction
        )
        if promotion is not None and not self.is_confirming:
            job = self.longer_job(*promotion)
            if not self.time.is_up(reserved_seconds=reserved, fidelity=job.fidelity):
                self.trained.on_rung[promotion[1]][job.network] = False
                return job
        if self.lost_jobs and not self.time.is_up(reserved_seconds=reserved):
            lost = self.lost_jobs.pop(next(iter(self.lost_jobs)))
            self.trained.on_rung[0].setdefault(lost.network, False)
            return lost
        if self.stopped_by == "exhausted":  # other workers may still be training
            return None
        if self.settings.num_trials is not None and self.num_handed_out >= self.settings.num_trials:
            self.stopped_by = "trials"
            return None
        if self.time.is_up(reserved_seconds=reserved) and self.num_handed_out:
            self.stopped_by = "minutes"
            return None
        # What a screening likes best is worth more than the known networks; without one, those are the best guess.
        is_anchors_turn = not self.proposer.has_prior or self.num_handed_out >= self.settings.num_finalists
        new = None if self.anchor_jobs and is_anchors_turn else self.new_job()
        if new is None and self.anchor_jobs:
            new = self.anchor_jobs.pop(0)
        if new is None:
            self.stopped_by = "exhausted"
            return None
        self.num_handed_out += 1
        self.is_confirming, self.finalists = False, []
        self.trained.on_rung[0][new.network] = False
        return new

    def new_job(self) -> Job | None:
        num_budgets = len(self.problem.budgets)
        turns = [(self.num_handed_out + step) % num_budgets for step in range(num_budgets)]
        # A narrow budget may have nothing left where a wider one has.
        proposals = (self.proposer.propose(turn) for turn in turns)
        proposal = next((one for one in proposals if one is not None), None)
        if proposal is None:
            return None
        job = Job(
            kind="trial",
            name=f"trial {self.next_number()}",
            spec=proposal.spec,
            network=proposal.network,
            cost=proposal.cost,
            fidelity=self.problem.rungs[0],
            seed=derive_seed(self.settings.seed, proposal.network, 0),
            choices=proposal.labels,
        )
        self.trained.first_jobs[job.network] = job
        return job

    def next_number(self) -> int:
        """Give a number that no trial has: an interrupted call leaves gaps, and a name is a file."""
        names = [job.name.split() for job in self.trained.first_jobs.values() if job.kind == "trial"]
        return max([self.num_handed_out, *(int(words[-1]) for words in names)]) + 1

    def longer_job(
        self, network: str, rung: int, *, kind: EvaluationKind = "rung", replicate: int = 0
    ) -> Job:
        first = self.trained.first_jobs[network]
        return dataclasses.replace(
            first,
            kind=kind,
            fidelity=fidelity_for(
                first.spec, self.problem.rungs[rung], target_resolution=self.problem.resolution
            ),
            seed=derive_seed(self.settings.seed, network, replicate),
            replicate=replicate,
            batch_share=1.0,  # the first training's memory is no word on this one's
        )

    def take_trial(self, evaluation: Evaluation) -> None:
        is_new = not self.num_replayed
        self.take(evaluation, "trials")
        if is_new:  # what made earlier calls fail may be mended by now
            self.failure_streak.take(evaluation)

    def take(self, evaluation: Evaluation, phase: Phase) -> None:
        is_new = not self.num_replayed
        if is_new:
            self.record(evaluation)
        else:
            self.num_replayed -= 1
        self.time.learn([evaluation])
        self.trained.remember(evaluation)
        if is_new:
            self.tell_watcher(phase, evaluation)

    # Confirmation

    def seconds_to_confirm(self) -> float:
        num_networks = self.settings.num_finalists * len(self.problem.budgets) + len(self.problem.anchors)
        num_trainings = num_networks * (self.settings.num_seeds - (len(self.problem.rungs) == 1))
        return self.time.seconds_to_confirm(
            num_trainings, num_slots=self.executor.num_slots, fidelity=self.problem.rungs[-1]
        )

    def run_confirmation(self) -> None:
        if not any(evaluation.result for evaluation in self.trained.evaluations):
            failures = [evaluation.failure for evaluation in self.trained.evaluations]
            raise RunError(
                f"no training came to a score; the last failed with: {failures[-1]}; failures count as trials: once "
                "that is mended, give more --trials to go on"
            )
        finalists = keep_confirmed(self.trained, self.finalists or self.choose_finalists())
        owed = owed_trainings(self.trained, finalists, self.settings.num_seeds)
        top = len(self.problem.rungs) - 1
        jobs = (
            self.longer_job(network, top, kind="confirm", replicate=replicate) for network, replicate in owed
        )

        def propose() -> Job | None:
            return None if self.time.is_up(fidelity=self.problem.rungs[-1]) else next(jobs, None)

        drive(self.executor, propose=propose, take=lambda evaluation: self.take(evaluation, "confirm"))
        self.num_owed = sum(1 for _ in jobs)

    def choose_finalists(self) -> list[str]:
        self.proposer.settle()
        num_finalists = self.settings.num_finalists
        return choose_finalists(self.trained, self.problem.budgets, num_finalists, keeps=self.keeps)

    # Result

    def result(self) -> BaselineResult:
        self.proposer.settle()
        ranked = self.trained.ranked()
        evaluations = self.trained.evaluations
        anchor_networks = [network_hash(anchor.spec) for anchor in self.problem.anchors]
        finalists = [one for one in ranked if one.rung == ranked[0].rung]
        inside = [[one for one in ranked if budget.allows(one.cost)] for budget in self.problem.budgets]
        winners = [
            next((one for one in those if self.keeps(one.spec)), those[0]) for those in inside if those
        ]
        return BaselineResult(
            winners=tuple(winners),
            anchors=tuple(one for one in ranked if one.network in anchor_networks),
            finalists=tuple(finalists)[: self.settings.num_finalists * len(self.problem.budgets)],
            ranked=tuple(ranked),
            num_trials=len({one.job.network for one in evaluations}),
            num_failed=sum(one.result is None for one in evaluations if one.job.replicate == 0),
            num_promoted=len({one.job.network for one in evaluations if one.job.kind == "rung"}),
            num_owed=self.num_owed,
            stopped_by=self.stopped_by,
        )

    def tell_watcher(self, phase: Phase, evaluation: Evaluation) -> None:
        scored = [one for one in self.trained.evaluations if one.result]
        self.notify(
            Progress(
                phase=phase,
                num_done=len({one.job.network for one in self.trained.evaluations})
                if phase == "trials"
                else sum(one.job.kind == "confirm" for one in self.trained.evaluations),
                num_failed=sum(one.result is None for one in self.trained.evaluations),
                num_refused=self.proposer.num_refused,
                best=max(scored, key=self.trained.score, default=None),
                last=evaluation,
                seconds=self.time.elapsed,
            )
        )
