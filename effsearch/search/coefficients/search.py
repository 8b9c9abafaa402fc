"""Which alpha, beta and gamma suit this base on these data?

Candidates at equal built cost are trained once each, and the better ones again with fresh seeds (`race`). The answer
is what all scores together say (`verdict`); the best three may be trained four times longer in the end (`check`).
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from effsearch.search.coefficients.candidates import Candidate, CandidateList
from effsearch.search.coefficients.check import NUM_CHECK_SEEDS, Checked
from effsearch.search.coefficients.jobs import CHECK_FACTOR, candidate_job, longer, longer_job
from effsearch.search.coefficients.race import Race, count_owed
from effsearch.search.coefficients.settings import NUM_FINALISTS, CoefficientSettings
from effsearch.search.coefficients.verdict import Verdict, judge
from effsearch.search.failures import FailureStreak
from effsearch.search.placement.executor import Executor, drive
from effsearch.search.placement.time_limit import TimeLimit
from effsearch.space.errors import RunError
from effsearch.space.outcome import Evaluation, Job

MOST_FOR_CHECK = 0.3  # share of the time set aside for longer trainings, at the most


@dataclass(frozen=True, slots=True, kw_only=True)
class CoefficientResult:
    """What the search found."""

    candidates: tuple[Candidate, ...]  # but for those that failed
    accuracies: tuple[
        tuple[float, ...], ...
    ]  # of each candidate, one for each seed; none where it was not trained
    verdict: Verdict  # of the candidates, in their order
    checked: tuple[Checked, ...]  # the best as far as they were trained longer, in the verdict's order
    num_trials: int  # networks trained
    num_trainings: int  # of them, at the search's fidelity
    num_failed: int  # networks that came to no score

    @property
    def best(self) -> Candidate:
        """The winner."""
        return self.candidates[self.verdict.winner]


def search_coefficients(
    listed: CandidateList,
    settings: CoefficientSettings,
    *,
    executor: Executor,
    clock: Callable[[], float],
    record: Callable[[Evaluation], None],
    history: Sequence[Evaluation] = (),
    expected_seconds: float = 0.0,
    notify: Callable[[Evaluation, int], None] = lambda evaluation, num_done: None,
) -> CoefficientResult:
    """Train candidates at equal built cost, and say which is best and which may be.

    Args:
        listed: As `list_candidates` gives it.
        settings: How many, how long; minutes are those left from now on.
        executor: Where networks are trained.
        clock: Seconds, monotonic.
        record: Is handed every ended training before anything else happens with it.
        history: Trainings recorded by earlier calls on the same run.
        expected_seconds: Guess at one training's time until the first has ended.
        notify: Is told of every ended training and how many there are.

    Raises:
        RunError: No training came to a score, or ten in a row failed.
    """
    time = TimeLimit(settings.minutes, clock=clock, expected_seconds=expected_seconds)
    search = _Search(listed, settings, executor, time, record, notify)
    for evaluation in history:
        search.remember(evaluation)
    drive(executor, propose=search.next_job, take=search.take)
    if settings.has_check:
        owed = iter(search.owed_checks())
        drive(executor, propose=lambda: search.next_check(owed), take=search.take)
    return search.result()


class _Search:
    def __init__(
        self,
        listed: CandidateList,
        settings: CoefficientSettings,
        executor: Executor,
        time: TimeLimit,
        record: Callable[[Evaluation], None],
        notify: Callable[[Evaluation, int], None],
    ) -> None:
        self.candidates = listed.candidates
        self.places = listed.places
        self.settings = settings
        self.executor = executor
        self.time = time
        self.record = record
        self.notify = notify
        self.race = Race(listed.places, num_seeds=settings.num_seeds, num_finalists=NUM_FINALISTS)
        self.index_of = {(one.network, one.fidelity): index for index, one in enumerate(self.candidates)}
        self.longer: dict[int, dict[int, Evaluation]] = {}  # by candidate and replicate
        self.evaluations: list[Evaluation] = []
        self.failure_streak = FailureStreak(_words_of_failures)
        self.is_first_round = True

    def remember(self, evaluation: Evaluation) -> None:
        self.evaluations.append(evaluation)
        job, result = evaluation.job, evaluation.result
        if job.kind == "final":
            for index, candidate in enumerate(self.candidates):
                if (job.network, job.fidelity) == (candidate.network, longer(candidate.fidelity)):
                    self.longer.setdefault(index, {})[job.replicate] = evaluation
            return
        index = self.index_of.get((job.network, job.fidelity), -1)
        if index >= 0:
            self.time.learn([evaluation])
            self.race.tell(index, job.replicate, None if result is None else result.val_accuracy)

    def take(self, evaluation: Evaluation) -> None:
        self.record(evaluation)
        self.remember(evaluation)
        self.notify(evaluation, len(self.evaluations))
        self.failure_streak.take(evaluation)

    # The race

    def next_job(self) -> Job | None:
        index, replicate = (self.next_first() if self.is_first_round else None), 0
        if index is None:
            self.is_first_round = False
            if self.time.is_up(reserved_seconds=self.seconds_to_check()):
                return None
            again = self.race.next_again()
            if again is None:
                return None
            index, replicate = again
        self.race.start(index, replicate)
        return candidate_job(self.candidates[index], replicate=replicate, run_seed=self.settings.seed)

    def next_first(self) -> int | None:
        num_started = self.race.num_started
        if self.settings.num_trials is not None and num_started >= self.settings.num_trials:
            return None
        owed = count_owed(num_started + 1, num_seeds=self.settings.num_seeds, num_finalists=NUM_FINALISTS)
        reserved = self.time.seconds_to_confirm(owed, num_slots=self.executor.num_slots)
        if num_started and self.time.is_up(reserved_seconds=reserved + self.seconds_to_check()):
            return None
        return self.race.next_first()

    # The check

    def seconds_to_check(self) -> float:
        if not self.settings.has_check or self.settings.minutes is None:
            return 0.0
        num_rounds = -(-NUM_FINALISTS * NUM_CHECK_SEEDS // self.executor.num_slots)
        seconds = num_rounds * CHECK_FACTOR * self.time.mean_seconds
        return min(MOST_FOR_CHECK * self.settings.minutes * 60, seconds)

    def owed_checks(self) -> list[Job]:
        """Give the longer trainings that the best still need, one of each before a second of any."""
        alive, verdict = self.verdict()
        best = [alive[place] for place in verdict.order[:NUM_FINALISTS] if self.race.scores[alive[place]]]
        return [
            longer_job(self.candidates[index], replicate=replicate, run_seed=self.settings.seed)
            for replicate in range(NUM_CHECK_SEEDS)
            for index in best
            if replicate not in self.longer.get(index, {})
        ]

    def next_check(self, owed: Iterator[Job]) -> Job | None:
        beyond_one = (CHECK_FACTOR - 1) * self.time.mean_seconds
        return None if self.time.is_up(reserved_seconds=beyond_one) else next(owed, None)

    # The result

    def verdict(self) -> tuple[list[int], Verdict]:
        """Give the candidates that did not fail, and what is believed of them."""
        alive, scores = self.race.alive, self.race.scores
        if not any(scores):
            failures = [one.failure for one in self.evaluations if one.failure] or ["nothing was trained"]
            raise RunError(f"no coefficients came to a score; the last training failed with: {failures[-1]}")
        return alive, judge(self.places[alive], [scores[index] for index in alive], seed=self.settings.seed)

    def result(self) -> CoefficientResult:
        alive, verdict = self.verdict()
        scores = self.race.scores
        return CoefficientResult(
            candidates=tuple(self.candidates[index] for index in alive),
            accuracies=tuple(tuple(scores[index]) for index in alive),
            verdict=verdict,
            checked=tuple(self.checked(alive, verdict)),
            num_trials=self.race.num_started,
            num_trainings=self.race.num_trained,
            num_failed=len(self.candidates) - len(alive),
        )

    def checked(self, alive: Sequence[int], verdict: Verdict) -> Iterator[Checked]:
        for place in verdict.order[:NUM_FINALISTS]:
            ended = self.longer.get(alive[place], {})
            accuracies = [one.result.val_accuracy for _, one in sorted(ended.items()) if one.result]
            if accuracies:
                yield Checked(candidate=place, accuracies=tuple(accuracies))


def _words_of_failures(failures: Sequence[str]) -> str:
    """Say what many failures in a row have in common."""
    (reason, number), *others = Counter(failures).most_common()
    start = f"{len(failures)} trainings in a row failed"
    if not others:
        return f"{start}, all with: {reason}"
    if number > 1:
        return f"{start}, {number} of them with: {reason}; the last: {failures[-1]}"
    return f"{start}, each in its own way; the last: {failures[-1]}"
