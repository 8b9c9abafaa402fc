"""How far can a run's proxy be trusted?

A spread sample of the networks that the proxy has scored is trained longer, and the two rankings are compared. Pure,
like the search: a test hands in a formula and validates a proxy in under a second.
"""

import dataclasses
import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from effsearch.search.fidelity import cost_of, relative_cost
from effsearch.search.placement.executor import Executor, drive
from effsearch.search.placement.time_limit import TimeLimit, check_minutes
from effsearch.search.validating.correlation import (
    Correlation,
    FloatArray,
    correlate_kendall,
    correlate_spearman,
)
from effsearch.search.validating.sample import ScoredNetwork, choose_sample
from effsearch.space.errors import RunError, UsageError
from effsearch.space.outcome import Evaluation, Fidelity, Job, derive_seed

StopReason = Literal["networks", "minutes", "sure"]
Verdict = Literal["above", "below"]

LEAST_NETWORKS = 4  # fewer say nothing about a ranking
LEAST_TO_STOP = 6
LOOK_GROWTH = 4 / 3  # networks at one look for each at the look before
NUM_TOP = 3
REPLICATE = 10_000  # beyond what any search numbers its trainings with, so the seeds are fresh


@dataclass(frozen=True, slots=True, kw_only=True)
class ValidationSettings:
    """How a proxy is validated."""

    factor: int = 4  # epochs of the longer training for each of the proxy's
    num_networks: int = 12
    minutes: float | None = None  # of this call; None: no bound
    stop_at: float | None = None  # end early once tau is surely above or surely below it
    seed: int = 0

    def __post_init__(self) -> None:
        if self.factor < 2:
            raise UsageError(f"--factor must be at least 2, got {self.factor}")
        if self.num_networks < LEAST_NETWORKS:
            raise UsageError(f"--networks must be at least {LEAST_NETWORKS}, got {self.num_networks}")
        check_minutes(self.minutes)
        if self.stop_at is not None and not -1 < self.stop_at < 1:
            raise UsageError(f"--stop-at is a correlation, between -1 and 1, got {self.stop_at:g}")
        if self.stop_at is not None and self.num_networks <= LEAST_TO_STOP:
            raise UsageError(
                f"--stop-at may end it from {LEAST_TO_STOP} networks on: give more --networks than that"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What the proxy and the longer training say about one network."""

    network: ScoredNetwork
    longer_accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """What a sample says about a proxy."""

    pairs: tuple[Pair, ...]  # best of the proxy first
    fidelity: Fidelity  # of the longer training
    kendall: Correlation
    spearman: Correlation
    regret: float  # accuracy lost by taking the proxy's first choice; noise in the best makes it look larger
    top_regret: float  # mean of it over the proxy's top three
    num_planned: int
    num_failed: int
    stopped_by: StopReason
    verdict: Verdict | None = None  # where it stopped because it was sure
    confidence: float | None = None  # of the interval that the verdict was read off


def validate_proxy(
    scored: Sequence[ScoredNetwork],
    history: Sequence[Evaluation],
    settings: ValidationSettings,
    *,
    fidelity: Fidelity,
    executor: Executor,
    clock: Callable[[], float],
    record: Callable[[Evaluation], None],
    notify: Callable[[int, int], None] = lambda num_done, num_planned: None,
) -> Validation:
    """Train a spread sample of a run's networks longer, and compare the two rankings.

    Args:
        scored: What is judged, best first: the networks with the scores of the run's trainings, or of its screening.
        history: All trainings of the run; longer trainings among them are not done again.
        settings: How.
        fidelity: Of the run's proxy; the longer training has `settings.factor` times its epochs.
        executor: Where networks are trained.
        clock: Seconds, monotonic.
        record: Is handed every ended training before anything else happens with it.
        notify: Is told how many of the sample have ended, at the start and after each training.

    Raises:
        UsageError: Too few networks have a score.
        RunError: Too few of the longer trainings came to one.
    """
    validator = _Validator(
        scored, history, settings, fidelity, executor=executor, clock=clock, record=record, notify=notify
    )
    validator.run()
    return validator.result()


def require_enough(scored: Sequence[ScoredNetwork]) -> None:
    """Refuse to judge a ranking of too few networks.

    Raises:
        UsageError: They are too few for a certificate.
    """
    if len(scored) < LEAST_NETWORKS:
        raise UsageError(
            f"{len(scored)} network(s) of the space have a score with the run's proxy and a certificate needs "
            f"{LEAST_NETWORKS}: let effsearch baseline go on with the run"
        )


def look_sizes(num_networks: int) -> frozenset[int]:
    """Give the numbers of networks at which a validation asks whether it is sure: 6, 8, 11, 15, 20 and so on."""
    sizes, size = [], LEAST_TO_STOP
    while size < num_networks:
        sizes.append(size)
        size = math.ceil(size * LOOK_GROWTH)
    return frozenset(sizes)


def read_verdict(pairs: Sequence[Pair], stop_at: float, *, confidence: float, seed: int) -> Verdict | None:
    """Tell whether Kendall's tau is surely above or surely below a value, or None."""
    kendall = correlate_kendall(*_scores(pairs), confidence=confidence, seed=seed)
    if kendall.low > stop_at:
        return "above"
    return "below" if kendall.high < stop_at else None


class _Validator:
    def __init__(
        self,
        scored: Sequence[ScoredNetwork],
        history: Sequence[Evaluation],
        settings: ValidationSettings,
        fidelity: Fidelity,
        *,
        executor: Executor,
        clock: Callable[[], float],
        record: Callable[[Evaluation], None],
        notify: Callable[[int, int], None],
    ) -> None:
        require_enough(scored)
        self.settings = settings
        self.executor = executor
        self.record = record
        self.notify = notify
        self.fidelity = dataclasses.replace(fidelity, num_epochs=fidelity.num_epochs * settings.factor)
        known = self.known_trainings(history)
        self.sample = choose_sample(scored, settings.num_networks, seed=settings.seed, known=known)
        self.ended = {
            one.job.network: known[one.job.network] for one in self.sample if one.job.network in known
        }
        self.jobs = [self.longer_job(one) for one in self.sample if one.job.network not in known]
        seconds = [one.seconds / cost_of(one) for one in history if one.result]
        expected = relative_cost(self.fidelity) * statistics.fmean(seconds) if seconds else 0.0
        self.time = TimeLimit(settings.minutes, clock=clock, expected_seconds=expected)
        self.time.learn(self.ended.values())
        self.num_handed_out = 0
        self.looks = look_sizes(len(self.sample))
        # Bonferroni: whatever is wrongly sure in one of the looks adds up to 5 per cent at the most.
        self.confidence = 1 - 0.05 / max(1, len(self.looks))
        self.stopped_by: StopReason = "networks"
        self.verdict: Verdict | None = None

    def known_trainings(self, history: Sequence[Evaluation]) -> dict[str, Evaluation]:
        """Give the longer trainings of earlier calls, failures included, by network."""
        return {
            one.job.network: one
            for one in history
            if one.job.kind == "validate"
            and one.job.fidelity == self.fidelity
            and one.job.seed == self.seed_of(one.job.network)
        }

    def seed_of(self, network: str) -> int:
        return derive_seed(self.settings.seed, network, REPLICATE)

    def longer_job(self, one: ScoredNetwork) -> Job:
        return dataclasses.replace(
            one.job,
            kind="validate",
            fidelity=self.fidelity,
            seed=self.seed_of(one.job.network),
            replicate=REPLICATE,
            batch_share=1.0,  # whatever the first training had to do with
        )

    def run(self) -> None:
        self.look()
        drive(self.executor, propose=self.next_job, take=self.take)

    def next_job(self) -> Job | None:
        if not self.jobs or self.verdict is not None:
            return None
        if self.time.is_up() and self.num_handed_out:
            self.stopped_by = "minutes"
            return None
        self.num_handed_out += 1
        return self.jobs.pop(0)

    def take(self, evaluation: Evaluation) -> None:
        self.record(evaluation)
        self.ended[evaluation.job.network] = evaluation
        self.time.learn([evaluation])
        self.look()

    def look(self) -> None:
        self.notify(len(self.ended), len(self.sample))
        pairs, stop_at = self.pairs(), self.settings.stop_at
        if stop_at is not None and self.verdict is None and len(pairs) in self.looks:
            self.verdict = read_verdict(pairs, stop_at, confidence=self.confidence, seed=self.settings.seed)
            if self.verdict is not None:
                self.stopped_by = "sure"

    def pairs(self) -> list[Pair]:
        """Give the networks of the sample with both scores, the proxy's best first."""
        found = []
        for one in self.sample:
            evaluation = self.ended.get(one.job.network)
            if evaluation is not None and evaluation.result is not None:
                found.append(Pair(network=one, longer_accuracy=evaluation.result.val_accuracy))
        return sorted(found, key=lambda pair: (-pair.network.score, pair.network.job.network))

    def result(self) -> Validation:
        pairs = self.pairs()
        if len(pairs) < LEAST_NETWORKS:
            failures = [one.failure for one in self.ended.values() if one.failure]
            last = f"; the last failed with: {failures[-1]}" if failures else ""
            raise RunError(
                f"{len(pairs)} of {len(self.sample)} longer trainings came to a score and a certificate needs "
                f"{LEAST_NETWORKS}: the same command goes on where this one stopped{last}"
            )
        proxy, longer = _scores(pairs)
        regrets = longer.max() - longer
        return Validation(
            pairs=tuple(pairs),
            fidelity=self.fidelity,
            kendall=correlate_kendall(proxy, longer, seed=self.settings.seed),
            spearman=correlate_spearman(proxy, longer, seed=self.settings.seed),
            regret=float(regrets[0]),
            top_regret=float(regrets[:NUM_TOP].mean()),
            num_planned=len(self.sample),
            num_failed=sum(one.result is None for one in self.ended.values()),
            stopped_by=self.stopped_by,
            verdict=self.verdict,
            confidence=self.confidence if self.verdict is not None else None,
        )


def _scores(pairs: Sequence[Pair]) -> tuple[FloatArray, FloatArray]:
    proxy = np.array([pair.network.score for pair in pairs])
    return proxy, np.array([pair.longer_accuracy for pair in pairs])
