"""Which alpha, beta and gamma suit this base on these data?

Candidates are points of the surface alpha * beta^2 * gamma^2 ~ 2, each moved along its own ray until its built
network costs 2 x the base. Identical built networks are trained once. The best are trained again with fresh seeds.
"""

import dataclasses
import itertools
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from effsearch.search.placement.executor import Executor, drive
from effsearch.search.placement.time_limit import TimeLimit
from effsearch.space.canonical import network_hash
from effsearch.space.coefficients import (
    PAPER_COEFFICIENTS,
    FamilyMember,
    ScalingCoefficients,
    coefficient_grid,
    draw_coefficients,
    on_surface,
    solve_phi,
)
from effsearch.space.cost import count_cost
from effsearch.space.errors import RunError, SpecError, UsageError
from effsearch.space.outcome import Evaluation, Fidelity, Job, derive_seed
from effsearch.space.proxy import fidelity_for
from effsearch.space.spec import ModelSpec

FACTOR = 2.0  # phi = 1 doubles the cost
COST_TOLERANCES = (0.02, 0.05, 0.1)  # the first at which enough candidates arrive
ENOUGH_CANDIDATES = 8
NUM_RANDOM_DRAWS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class CoefficientSettings:
    """How the coefficients are searched."""

    method: Literal["grid", "random"] = "grid"
    grid_step: float = 0.05
    tolerance: float = 0.1  # of the surface
    num_trials: int | None = None  # distinct networks trained, over all resumes
    minutes: float | None = None
    seed: int = 0
    num_finalists: int = 3
    num_seeds: int = 3

    def __post_init__(self) -> None:
        if self.num_trials is not None and self.num_trials < 1:
            raise UsageError(f"--trials must be at least 1, got {self.num_trials}")
        if self.minutes is not None and not 0 < self.minutes < 1e6:
            raise UsageError(f"--minutes must be above 0, got {self.minutes:g}")
        if self.num_seeds < 1:
            raise UsageError(f"--seeds must be at least 1, got {self.num_seeds}")
        if not 0.001 <= self.tolerance <= 1:  # below, four decimals of alpha hardly ever meet the surface
            raise UsageError(f"--tolerance must be from 0.001 to 1 in a search, got {self.tolerance:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A distinct built network near 2 x the base, and the coefficients that lead to it."""

    coefficients: ScalingCoefficients
    member: FamilyMember  # at the phi where the built cost meets the target
    num_triples: int  # how many points of the surface come to this network


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateList:
    """What of the surface can be compared at equal built cost."""

    candidates: tuple[Candidate, ...]  # the paper's triple first, then in random order
    num_points: int  # on the surface
    num_reachable: int  # whose ray meets the target
    cost_tolerance: float  # share of the target that built costs may differ by


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredCoefficients:
    """A candidate with its trainings."""

    candidate: Candidate
    accuracies: tuple[float, ...]

    @property
    def mean_accuracy(self) -> float:
        """Mean validation accuracy over the seeds."""
        return statistics.fmean(self.accuracies)


@dataclass(frozen=True, slots=True, kw_only=True)
class CoefficientResult:
    """What the search found, best first."""

    ranked: tuple[ScoredCoefficients, ...]
    num_trials: int
    num_failed: int

    @property
    def best(self) -> ScoredCoefficients:
        """The winner: the best mean among those with the most seeds."""
        return self.ranked[0]


def list_candidates(base: ModelSpec, settings: CoefficientSettings) -> CandidateList:
    """Give the distinct networks of the surface at 2 x the built cost of `base`.

    Raises:
        SpecError: No point of the surface reaches the target within 10 per cent.
    """
    rng = np.random.default_rng(settings.seed)
    if settings.method == "grid":
        points = coefficient_grid(step=settings.grid_step, tolerance=settings.tolerance)
    else:
        points = [draw_coefficients(rng, tolerance=settings.tolerance) for _ in range(NUM_RANDOM_DRAWS)]
    if on_surface(PAPER_COEFFICIENTS, tolerance=settings.tolerance) and PAPER_COEFFICIENTS not in points:
        points.append(PAPER_COEFFICIENTS)
    solved = [
        (point, member)
        for point in points
        if (member := solve_phi(base, point, factor=FACTOR, tolerance=COST_TOLERANCES[-1]))
    ]
    target = FACTOR * count_cost(base).multiply_adds
    for cost_tolerance in COST_TOLERANCES:
        groups: dict[tuple[str, int], list[tuple[ScalingCoefficients, FamilyMember]]] = {}
        for point, member in solved:
            if abs(member.cost.multiply_adds - target) <= cost_tolerance * target:
                key = (network_hash(member.spec), member.spec.resolution)
                groups.setdefault(key, []).append((point, member))
        if len(groups) >= ENOUGH_CANDIDATES:
            break
    if not groups:
        raise SpecError(
            "no coefficients lead to a network within 10 per cent of twice this base: it is too small for "
            "channels in multiples of eight; give --coefficients or a larger base"
        )
    candidates = []
    for group in groups.values():
        points_of_group = [point for point, _ in group]
        chosen = PAPER_COEFFICIENTS if PAPER_COEFFICIENTS in points_of_group else points_of_group[0]
        member = next(member for point, member in group if point == chosen)
        candidates.append(Candidate(coefficients=chosen, member=member, num_triples=len(group)))
    order = rng.permutation(len(candidates))
    shuffled = [candidates[index] for index in order]
    shuffled.sort(key=lambda candidate: candidate.coefficients != PAPER_COEFFICIENTS)
    return CandidateList(
        candidates=tuple(shuffled),
        num_points=len(points),
        num_reachable=sum(map(len, groups.values())),
        cost_tolerance=cost_tolerance,
    )


def search_coefficients(
    base: ModelSpec,
    candidates: Sequence[Candidate],
    settings: CoefficientSettings,
    *,
    fidelity: Fidelity,
    executor: Executor,
    clock: Callable[[], float],
    record: Callable[[Evaluation], None],
    history: Sequence[Evaluation] = (),
    expected_seconds: float = 0.0,
    notify: Callable[[Evaluation, int], None] = lambda evaluation, num_done: None,
) -> CoefficientResult:
    """Train candidates at equal built cost and rank them by validation accuracy.

    Args:
        base: Network that is scaled; its resolution is the target's.
        candidates: As `list_candidates` gives them, tried in order.
        settings: How many, how long.
        fidelity: Of the base; a candidate's resolution grows with its gamma.
        executor: Where networks are trained.
        clock: Seconds, monotonic.
        record: Is handed every ended training.
        history: Trainings recorded by earlier calls on the same run.
        expected_seconds: Guess at one training's time until the first has ended.
        notify: Is told of every ended training and how many there are.

    Raises:
        RunError: No training came to a score.
    """
    time = TimeLimit(settings.minutes, clock=clock, expected_seconds=expected_seconds)
    time.learn(history)
    evaluations = list(history)
    by_network: dict[tuple[str, Fidelity], Candidate] = {}
    jobs = []
    for candidate in candidates:
        # two target resolutions may come to one proxy resolution: the first is trained
        job = _job(candidate, fidelity, base.resolution, settings.seed)
        if (job.network, job.fidelity) not in by_network:
            by_network[job.network, job.fidelity] = candidate
            jobs.append(job)
    done = {_key(evaluation.job) for evaluation in history}
    num_first = sum(evaluation.job.replicate == 0 for evaluation in history)
    waiting = iter([job for job in jobs if _key(job) not in done])

    def seconds_to_confirm() -> float:
        num_trainings = settings.num_finalists * (settings.num_seeds - 1)
        return time.seconds_to_confirm(num_trainings, num_slots=executor.num_slots)

    def next_first() -> Job | None:
        nonlocal num_first
        if settings.num_trials is not None and num_first >= settings.num_trials:
            return None
        if num_first and time.is_up(reserved_seconds=seconds_to_confirm()):
            return None
        job = next(waiting, None)
        num_first += job is not None
        return job

    def take(evaluation: Evaluation) -> None:
        record(evaluation)
        evaluations.append(evaluation)
        time.learn([evaluation])
        notify(evaluation, len(evaluations))

    drive(executor, propose=next_first, take=take)
    confirmations = _confirmations(evaluations, settings)
    drive(
        executor,
        propose=lambda: None if time.is_up() else next(confirmations, None),
        take=take,
    )
    groups: dict[tuple[str, Fidelity], list[float]] = {}
    for evaluation in evaluations:
        if evaluation.result:
            key = (evaluation.job.network, evaluation.job.fidelity)
            groups.setdefault(key, []).append(evaluation.result.val_accuracy)
    if not groups:
        failures = [evaluation.failure for evaluation in evaluations] or ["nothing was trained"]
        raise RunError(f"no coefficients came to a score; the last training failed with: {failures[-1]}")
    scored = [
        ScoredCoefficients(candidate=by_network[key], accuracies=tuple(accuracies))
        for key, accuracies in groups.items()
        if key in by_network
    ]
    scored.sort(key=lambda one: (-len(one.accuracies), -one.mean_accuracy))
    firsts = [evaluation for evaluation in evaluations if evaluation.job.replicate == 0]
    return CoefficientResult(
        ranked=tuple(scored),
        num_trials=len(firsts),
        num_failed=sum(evaluation.result is None for evaluation in firsts),
    )


def _key(job: Job) -> tuple[str, Fidelity, int]:
    return job.network, job.fidelity, job.replicate


def _job(candidate: Candidate, fidelity: Fidelity, target_resolution: int, run_seed: int) -> Job:
    spec = candidate.member.spec
    network = network_hash(spec)
    own = fidelity_for(spec, fidelity, target_resolution=target_resolution)
    coefficients = candidate.coefficients
    return Job(
        kind="coefficient",
        name=f"{coefficients.alpha:g},{coefficients.beta:g},{coefficients.gamma:g}",
        spec=spec,
        network=network,
        cost=candidate.member.cost,
        fidelity=own,
        seed=derive_seed(run_seed, f"{network}@{own.resolution}", 0),
        coefficients=(coefficients.alpha, coefficients.beta, coefficients.gamma),
        phi=candidate.member.phi,
    )


def _confirmations(evaluations: Sequence[Evaluation], settings: CoefficientSettings) -> Iterator[Job]:
    """Yield the fresh-seed trainings still owed to the best candidates."""
    firsts = [one for one in evaluations if one.result and one.job.replicate == 0]
    best = sorted(firsts, key=lambda one: -one.result.val_accuracy if one.result else 0.0)
    done = {_key(evaluation.job) for evaluation in evaluations}
    for replicate, first in itertools.product(range(1, settings.num_seeds), best[: settings.num_finalists]):
        network = f"{first.job.network}@{first.job.fidelity.resolution}"
        job = dataclasses.replace(
            first.job, replicate=replicate, seed=derive_seed(settings.seed, network, replicate)
        )
        if _key(job) not in done:
            yield job
