"""Which way of growing a network pays at equal cost?

Every arm is trained with the same seeds: a replicate has one seed for all arms, so that arms are compared in pairs.
The replicates go in turn, all arms with the first seed before any with the second, so that whatever time there was is
spread evenly; what failed in an earlier call comes after them, once more. Pure, like the searches: a test hands in a
formula.
"""

import dataclasses
import math
import statistics
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.special import stdtrit

from effsearch.search.failures import FailureStreak
from effsearch.search.placement.executor import Executor, drive
from effsearch.search.placement.time_limit import TimeLimit, check_minutes
from effsearch.space.arms import (
    ARM_NAMES,
    BASE_NAME,
    DEFAULT_ARMS,
    DEFAULT_TOLERANCE,
    SINGLE_ARMS,
    Arm,
    ArmName,
    check_match,
)
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.errors import RunError, UsageError
from effsearch.space.outcome import Evaluation, Fidelity, Job, derive_seed
from effsearch.space.proxy import fidelity_for

StopReason = Literal["seeds", "minutes"]
_Key = tuple[str, Fidelity, int]  # network, fidelity and seed: all that a score hangs on

CONFIDENCE = 0.95
SHARED = "ablation"  # stands where other commands have the network: the seed is the same for all


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationSettings:
    """What is compared, and how often."""

    arms: tuple[ArmName, ...] = DEFAULT_ARMS
    factors: tuple[float, ...] = (4.0,)  # on the base's cost, ascending
    num_seeds: int = 5
    longer: int = 1  # epochs for each of the proxy's
    minutes: float | None = None  # over all resumes; None: no bound
    seed: int = 0
    tolerance: float = DEFAULT_TOLERANCE  # share of the wanted cost that a built one may differ by

    def __post_init__(self) -> None:
        if not self.arms:
            raise UsageError(f"--arms names nothing to compare: choose from {', '.join(ARM_NAMES)}")
        if not self.factors or any(
            later <= earlier for earlier, later in zip(self.factors, self.factors[1:], strict=False)
        ):
            raise UsageError("--factor must ascend without repeats, such as 2,4,8")
        for factor in self.factors:
            check_match(factor, self.tolerance)
        if self.num_seeds < 1:
            raise UsageError(f"--seeds must be at least 1, got {self.num_seeds}")
        if not 1 <= self.longer <= 1000:
            raise UsageError(f"--longer must be from 1 to 1000, got {self.longer}")
        check_minutes(self.minutes)

    @property
    def relative_cost(self) -> float:
        """Cost of all trainings, in trainings of the base."""
        return self.num_seeds * (1 + len(self.arms) * sum(self.factors))


@dataclass(frozen=True, slots=True, kw_only=True)
class MeanInterval:
    """A mean with the interval that holds the true one in 95 of 100 cases; none for a single value."""

    mean: float
    low: float | None
    high: float | None
    num_values: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """By how much an arm is ahead of the best single dimension at its factor, over the seeds that both have."""

    against: str  # the arm's name
    interval: MeanInterval


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmResult:
    """What an arm came to."""

    arm: Arm
    fidelity: Fidelity  # of its trainings
    accuracies: Mapping[int, float]  # by replicate; failures left out
    num_failed: int
    mean: MeanInterval | None  # None where nothing came to a score
    difference: Difference | None  # None for the base, for the best single dimension and where there is none


@dataclass(frozen=True, slots=True, kw_only=True)
class AblationResult:
    """What a comparison came to; the base first, then by factor in the order of the arms."""

    arms: tuple[ArmResult, ...]
    num_ended: int  # trainings, failures included
    num_failed: int  # of them; those that arms share count once
    num_planned: int
    stopped_by: StopReason


def mean_interval(values: Sequence[float]) -> MeanInterval:
    """Give the mean of some values and Student's 95 per cent interval of it."""
    mean = statistics.fmean(values)
    if len(values) < 2:
        return MeanInterval(mean=mean, low=None, high=None, num_values=len(values))
    quantile = float(stdtrit(len(values) - 1, 0.5 + CONFIDENCE / 2))
    reach = quantile * statistics.stdev(values) / math.sqrt(len(values))
    return MeanInterval(mean=mean, low=mean - reach, high=mean + reach, num_values=len(values))


def compare_arms(
    arms: Sequence[Arm],
    settings: AblationSettings,
    *,
    fidelity: Fidelity,
    target_resolution: int,
    executor: Executor,
    clock: Callable[[], float],
    record: Callable[[Evaluation], None],
    history: Sequence[Evaluation] = (),
    expected_seconds: float = 0.0,
    notify: Callable[[Evaluation, int, int], None] = lambda evaluation, num_ended, num_planned: None,
) -> AblationResult:
    """Train every arm with every seed that has no score yet, and compare.

    Arms that come to one network at one size share their trainings. What failed in earlier calls is trained once
    more, after what was never tried; where ten of those fail again in a row, the rest of them stay as they are.

    Args:
        arms: What is compared, the base among them.
        settings: How; its minutes are what is left.
        fidelity: Of the base's trainings; the others' pixels are in proportion.
        target_resolution: Pixels of the base.
        executor: Where networks are trained.
        clock: Seconds, monotonic.
        record: Is handed every ended training before anything else happens with it.
        history: Ended trainings of earlier calls, oldest first; those with a score are not done again.
        expected_seconds: Guess at the time of one training of the base; others take longer by their cost.
        notify: Is told of every ended training, how many have ended, and how many there will be.

    Raises:
        RunError: No training came to a score, or ten in a row failed.
    """
    jobs: dict[_Key, Job] = {}
    costs: dict[_Key, float] = {}  # over the base's
    for replicate in range(settings.num_seeds):
        for arm in arms:
            job = arm_job(arm, replicate, settings, fidelity=fidelity, target_resolution=target_resolution)
            jobs.setdefault(_key(job), job)
            costs.setdefault(_key(job), arm.relative_cost)
    before = {_key(one.job): one for one in history if _key(one.job) in jobs}
    failed_before = {key: one for key, one in before.items() if one.result is None}
    ended = {key: one for key, one in before.items() if one.result is not None}
    waiting = deque(key for key in jobs if key not in before)
    waiting.extend(key for key in jobs if key in failed_before)
    num_handed_out = 0
    time = TimeLimit(settings.minutes, clock=clock, expected_seconds=expected_seconds)
    streak = FailureStreak()

    def learn(evaluation: Evaluation) -> None:
        seconds = evaluation.seconds / costs[_key(evaluation.job)]  # so that the mean is the base's
        time.learn([dataclasses.replace(evaluation, seconds=seconds)])

    def propose() -> Job | None:
        nonlocal num_handed_out
        if not waiting:
            return None
        beyond_base = (costs[waiting[0]] - 1) * time.mean_seconds
        if time.is_up(reserved_seconds=beyond_base) and (before or num_handed_out):
            return None
        num_handed_out += 1
        return jobs[waiting.popleft()]

    def take(evaluation: Evaluation) -> None:
        key = _key(evaluation.job)
        record(evaluation)
        ended[key] = evaluation
        learn(evaluation)
        notify(evaluation, len(ended), len(jobs))
        try:
            streak.take(evaluation)
        except RunError:
            if key not in failed_before or not any(one.result for one in ended.values()):
                raise
            waiting.clear()  # what is left has failed before; the scores there are can still be compared

    for evaluation in ended.values():
        learn(evaluation)
    drive(executor, propose=propose, take=take)
    everything = {**failed_before, **ended}.values()
    failures = [one.failure for one in everything if one.result is None]
    if len(failures) == len(everything):
        raise RunError(f"no training came to a score; the last one failed with: {failures[-1]}")
    scored = [
        _score_arm(arm, everything, fidelity_for(arm.spec, fidelity, target_resolution=target_resolution))
        for arm in arms
    ]
    return AblationResult(
        arms=tuple(_with_difference(one, scored) for one in scored),
        num_ended=len(everything),
        num_failed=len(failures),
        num_planned=len(jobs),
        stopped_by="minutes" if waiting else "seeds",
    )


def arm_job(
    arm: Arm, replicate: int, settings: AblationSettings, *, fidelity: Fidelity, target_resolution: int
) -> Job:
    """Give one training of an arm; its seed is that of all arms."""
    return Job(
        kind="ablation",
        name=arm.title,
        spec=arm.spec,
        network=network_hash(arm.spec),
        cost=count_cost(arm.spec),
        fidelity=fidelity_for(arm.spec, fidelity, target_resolution=target_resolution),
        seed=derive_seed(settings.seed, SHARED, replicate),
        replicate=replicate,
    )


def _key(job: Job) -> _Key:
    return job.network, job.fidelity, job.seed


def _score_arm(arm: Arm, ended: Iterable[Evaluation], fidelity: Fidelity) -> ArmResult:
    network = network_hash(arm.spec)
    own = [one for one in ended if (one.job.network, one.job.fidelity) == (network, fidelity)]
    accuracies = {one.job.replicate: one.result.val_accuracy for one in own if one.result is not None}
    return ArmResult(
        arm=arm,
        fidelity=fidelity,
        accuracies=dict(sorted(accuracies.items())),
        num_failed=len(own) - len(accuracies),
        mean=mean_interval(list(accuracies.values())) if accuracies else None,
        difference=None,
    )


def _with_difference(one: ArmResult, scored: Sequence[ArmResult]) -> ArmResult:
    """Give a result with its paired difference against the best single dimension at its factor."""
    best = _best_single(scored, one.arm.factor)
    if best is None or best is one or one.arm.name == BASE_NAME:
        return one
    pairs = [
        one.accuracies[place] - best.accuracies[place] for place in one.accuracies if place in best.accuracies
    ]
    if not pairs:
        return one
    return dataclasses.replace(
        one, difference=Difference(against=best.arm.name, interval=mean_interval(pairs))
    )


def _best_single(scored: Iterable[ArmResult], factor: float) -> ArmResult | None:
    """Give the best single dimension over the replicates that all of them have, over each one's own where none is."""
    singles = [
        one for one in scored if one.arm.name in SINGLE_ARMS and one.arm.factor == factor and one.accuracies
    ]
    shared = {place for one in singles for place in one.accuracies}
    shared = {place for place in shared if all(place in one.accuracies for one in singles)}
    return max(
        singles,
        key=lambda one: statistics.fmean(one.accuracies[place] for place in shared or one.accuracies),
        default=None,
    )
