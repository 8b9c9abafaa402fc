"""Which way of growing a network pays at equal cost?

Every arm is trained with the same seeds: a replicate has one seed for all arms, so that arms are compared in pairs.
The replicates go in turn, all arms with the first seed before any with the second, so that whatever time there was is
spread evenly. Pure, like the searches: a test hands in a formula.
"""

import dataclasses
import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from scipy.special import stdtrit

from effsearch.search.placement.executor import Executor, drive
from effsearch.search.placement.time_limit import TimeLimit
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
        if self.minutes is not None and not 0 < self.minutes < 1e6:
            raise UsageError(f"--minutes must be above 0, got {self.minutes:g}")

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
    """Train every arm with every seed that is not yet trained, and compare.

    Arms that come to one network at one size share their trainings.

    Args:
        arms: What is compared, the base among them.
        settings: How; its minutes are what is left.
        fidelity: Of the base's trainings; the others' pixels are in proportion.
        target_resolution: Pixels of the base.
        executor: Where networks are trained.
        clock: Seconds, monotonic.
        record: Is handed every ended training before anything else happens with it.
        history: Ended trainings of earlier calls, which are not done again.
        expected_seconds: Guess at the mean time of one training.
        notify: Is told of every ended training, how many have ended, and how many there will be.

    Raises:
        RunError: No training came to a score.
    """
    jobs = [
        arm_job(arm, replicate, settings, fidelity=fidelity, target_resolution=target_resolution)
        for replicate in range(settings.num_seeds)
        for arm in arms
    ]
    jobs = list({_key(job): job for job in reversed(jobs)}.values())[::-1]  # the first of equals stays
    planned = {_key(job) for job in jobs}
    ended = {_key(one.job): one for one in history if _key(one.job) in planned}
    waiting = iter([job for job in jobs if _key(job) not in ended])
    time = TimeLimit(settings.minutes, clock=clock, expected_seconds=expected_seconds)
    time.learn(ended.values())
    num_handed_out = 0

    def propose() -> Job | None:
        nonlocal num_handed_out
        if time.is_up() and (ended or num_handed_out):
            return None
        job = next(waiting, None)
        num_handed_out += job is not None
        return job

    def take(evaluation: Evaluation) -> None:
        record(evaluation)
        ended[_key(evaluation.job)] = evaluation
        time.learn([evaluation])
        notify(evaluation, len(ended), len(jobs))

    drive(executor, propose=propose, take=take)
    if not any(one.result for one in ended.values()):
        failures = [one.failure for one in ended.values()]
        raise RunError(f"no training came to a score; the last one failed with: {failures[-1]}")
    scored = [
        _score_arm(arm, ended.values(), fidelity_for(arm.spec, fidelity, target_resolution=target_resolution))
        for arm in arms
    ]
    return AblationResult(
        arms=tuple(_with_difference(one, scored) for one in scored),
        num_ended=len(ended),
        num_planned=len(jobs),
        stopped_by="seeds" if len(ended) == len(jobs) else "minutes",
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


def _key(job: Job) -> tuple[str, Fidelity, int]:
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
    singles = [
        (other.mean.mean, other)
        for other in scored
        if other.arm.name in SINGLE_ARMS and other.arm.factor == one.arm.factor and other.mean is not None
    ]
    if not singles or one.arm.name == BASE_NAME:
        return one
    _, best = max(singles, key=lambda pair: pair[0])
    pairs = [
        one.accuracies[place] - best.accuracies[place] for place in one.accuracies if place in best.accuracies
    ]
    if best is one or not pairs:
        return one
    return dataclasses.replace(
        one, difference=Difference(against=best.arm.name, interval=mean_interval(pairs))
    )
