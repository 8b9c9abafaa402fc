"""Does the set that a coefficient search returns hold the best triple, and what does it cost to say so?

    python benchmarks/coefficient_sets.py                     200 searches of each family of responses, a few minutes
    ... coefficient_sets.py --searches 20 --noise 2           fewer, noisier

Nothing is trained. The candidates are those of EfficientNet-B0 at its own size; their true accuracies come from
surfaces drawn at random, each training adds noise. The searches' own race and verdict are used. Beside the set they
return stand others from the same trainings: t-tests against the winner with a pooled deviation, alone and with
Bonferroni's correction, and a bootstrap of a quadratic fit; and what the full grid with all seeds would say.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from recording import append_record
from scipy import stats

from effsearch.search.coefficients.candidates import list_candidates
from effsearch.search.coefficients.race import Race
from effsearch.search.coefficients.settings import NUM_FINALISTS, CoefficientSettings
from effsearch.search.coefficients.verdict import Standing, bootstrap_interval, judge
from effsearch.space.outcome import Fidelity
from effsearch.space.presets import load_preset
from effsearch.space.scaling import BuildRules

FloatArray = NDArray[np.float64]
Scores = Sequence[Sequence[float]]

NAME = "coefficient_sets"
MOST_OWN = 0.12  # deviation of what is a candidate's own, as a share of the smooth part's spread
FLAT_SPREAD = 0.1  # share of the spread where all are nearly equal
NUM_BOOTSTRAP = 1_000
FRESH = 1_000  # draws that no setting of the model was chosen on
ALPHA = 0.05
CANDIDATE_DIVISOR = 8


# Responses: from places on the surface, smooth in them but for the last two


def quadratic(rng: np.random.Generator, places: FloatArray) -> FloatArray:
    """One peak, as wide as it happens to be in each direction."""
    return -((places - rng.dirichlet([1, 1, 1])) ** 2 @ rng.uniform(0.3, 1.7, 3))


def linear(rng: np.random.Generator, places: FloatArray) -> FloatArray:
    """A slope: the best lies in a corner."""
    return places @ rng.standard_normal(3)


def plateau(rng: np.random.Generator, places: FloatArray) -> FloatArray:
    """Many are equally good, and only what is their own decides."""
    gaps = np.linalg.norm(places - rng.dirichlet([1, 1, 1]), axis=1)
    return -np.maximum(0, gaps - rng.uniform(0.1, 0.5))


def gaussian(rng: np.random.Generator, places: FloatArray) -> FloatArray:
    """Any smooth function over some length."""
    gaps = ((places[:, None] - places[None]) ** 2).sum(axis=2)
    covariance = np.exp(-gaps / (2 * rng.uniform(0.2, 1.5) ** 2)) + 1e-8 * np.eye(len(places))
    return np.linalg.cholesky(covariance) @ rng.standard_normal(len(places))


def two_peaks(rng: np.random.Generator, places: FloatArray) -> FloatArray:
    """Two narrow peaks of different heights."""
    heights, widths = rng.uniform(0.6, 1, 2), rng.uniform(0.15, 0.5, 2)
    gaps = ((places[:, None] - rng.dirichlet([1, 1, 1], 2)[None]) ** 2).sum(axis=2)
    return np.exp(-gaps / (2 * widths**2)) @ heights


def ridge(rng: np.random.Generator, places: FloatArray) -> FloatArray:
    """One direction counts, with a kink at the best of it."""
    along = places @ rng.standard_normal(3)
    return -np.abs(along - rng.uniform(along.min(), along.max()))


def rough(rng: np.random.Generator, places: FloatArray) -> FloatArray:
    """Neighbours say nothing: against what the model hopes for."""
    return rng.standard_normal(len(places))


def flat(rng: np.random.Generator, places: FloatArray) -> FloatArray:
    """A slope of a tenth of the others' spread."""
    return linear(rng, places)


FAMILIES = (quadratic, linear, plateau, gaussian, two_peaks, ridge, rough, flat)


def true_scores(
    family: Callable[[np.random.Generator, FloatArray], FloatArray],
    rng: np.random.Generator,
    places: FloatArray,
    spread: float,
) -> FloatArray:
    """Draw a response, with what is a candidate's own, from worst to best `spread` apart."""
    smooth = family(rng, places)
    smooth = smooth / np.ptp(smooth)
    scores = smooth + rng.uniform(0, MOST_OWN) * rng.standard_normal(len(places))
    return scores / np.ptp(scores) * spread * (FLAT_SPREAD if family is flat else 1)


# Searches


def race(
    places: FloatArray, truth: FloatArray, rng: np.random.Generator, *, num_seeds: int, noise: float
) -> Scores:
    """Train as the search does: all candidates once, then the better ones again."""
    running = Race(places, num_seeds=num_seeds, num_finalists=NUM_FINALISTS)
    for index, score in enumerate(truth):
        running.tell(index, 0, score + noise * rng.standard_normal())
    while (again := running.next_again()) is not None:
        index, replicate = again
        running.tell(index, replicate, truth[index] + noise * rng.standard_normal())
    return running.scores


# Other sets


def t_test_set(scores: Scores, *, num_comparisons: int = 1) -> set[int]:
    """Keep what a one-sided t-test with a pooled deviation does not tell apart from the best of the finalists."""
    means = np.array([np.mean(one) for one in scores])
    counts = np.array([len(one) for one in scores])
    finalists = np.flatnonzero(counts == counts.max())
    best = finalists[np.argmax(means[finalists])]
    freedom = counts.sum() - len(counts)
    squares = sum(float(np.sum((np.array(one) - np.mean(one)) ** 2)) for one in scores)
    errors = np.sqrt(squares / freedom * (1 / counts + 1 / counts[best]))
    critical = stats.t.ppf(1 - ALPHA / num_comparisons, freedom)
    return set(np.flatnonzero(means[best] - means <= critical * errors).tolist())


def quadratic_set(places: FloatArray, scores: Scores, *, seed: int) -> set[int]:
    """Keep the fewest candidates that win 95 per cent of the bootstraps of a quadratic fit in two coordinates."""
    first, second = places[:, 0], places[:, 1]
    columns = np.stack([np.ones_like(first), first, second, first**2, second**2, first * second], axis=1)
    rows = columns[[index for index, one in enumerate(scores) for _ in one]]
    values = np.array([value for one in scores for value in one])
    inverse = np.linalg.pinv(rows)
    fit = inverse @ values
    residuals = (values - rows @ fit) * np.sqrt(len(values) / (len(values) - rows.shape[1]))
    rng = np.random.default_rng(seed)
    again = rows @ fit + rng.choice(residuals, size=(NUM_BOOTSTRAP, len(values)))
    winners = np.argmax(again @ inverse.T @ columns.T, axis=1)
    shares = np.bincount(winners, minlength=len(places)) / NUM_BOOTSTRAP
    order = np.argsort(-shares, kind="stable")
    number = int(np.searchsorted(np.cumsum(shares[order]), 1 - ALPHA - 1e-9)) + 1
    return set(order[:number].tolist())


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What one simulated search came to."""

    sets: dict[str, set[int]]
    best: int
    regret: float
    interval_hits: list[bool]
    num_trainings: int


def simulate(
    places: FloatArray,
    truth: FloatArray,
    rng: np.random.Generator,
    *,
    seed: int,
    num_seeds: int,
    noise: float,
) -> Found:
    """Search once, and give each way's set."""
    scores = race(places, truth, rng, num_seeds=num_seeds, noise=noise)
    full = [[float(value) for value in score + noise * rng.standard_normal(num_seeds)] for score in truth]
    verdict = judge(places, scores, seed=seed)
    in_full = judge(places, full, seed=seed)
    best = int(np.argmax(truth))
    intervals = [bootstrap_interval(verdict, places[:, axis]) for axis in range(3)]
    return Found(
        sets={
            "chances of being best (ours)": _members(verdict.standings),
            "t-tests": t_test_set(scores),
            "t-tests, Bonferroni": t_test_set(scores, num_comparisons=len(truth) - 1),
            "quadratic, bootstrapped": quadratic_set(places, scores, seed=seed),
            "full grid, chances": _members(in_full.standings),
            "full grid, t-tests": t_test_set(full),
        },
        best=best,
        regret=float(truth[best] - truth[verdict.winner]),
        interval_hits=[low <= places[best, axis] <= high for axis, (low, high) in enumerate(intervals)],
        num_trainings=sum(map(len, scores)),
    )


def _members(standings: Sequence[Standing]) -> set[int]:
    return {index for index, one in enumerate(standings) if one.is_in_set}


def main(num_searches: int, noise: float, spread: float, num_seeds: int) -> None:
    """Simulate, print and append."""
    base = load_preset("efficientnet-b0")
    listed = list_candidates(
        base,
        CoefficientSettings(),
        fidelity=Fidelity(num_images=1, num_epochs=1, resolution=base.resolution),
        num_classes=1000,
        rules=BuildRules(divisor=CANDIDATE_DIVISOR),
    )
    places = listed.places
    print(
        f"{len(places)} candidates, {num_searches} searches a family, noise {noise:g} points a seed, true accuracies "
        f"{spread:g} points apart, {num_seeds} seeds for the best"
    )
    everything: list[Found] = []
    for family in FAMILIES:
        started = time.process_time()
        found = []
        for number in range(num_searches):
            rng = np.random.default_rng([FRESH + number, FAMILIES.index(family)])
            truth = true_scores(family, rng, places, spread / 100)
            found.append(simulate(places, truth, rng, seed=number, num_seeds=num_seeds, noise=noise / 100))
        seconds = time.process_time() - started
        _report(family.__name__, found, seconds, noise=noise, spread=spread, num_seeds=num_seeds)
        everything += found
    _report("all", everything, 0.0, noise=noise, spread=spread, num_seeds=num_seeds, is_kept=False)


def _report(
    family: str,
    found: Sequence[Found],
    seconds: float,
    *,
    noise: float,
    spread: float,
    num_seeds: int,
    is_kept: bool = True,
) -> None:
    record = {
        "family": family,
        "searches": len(found),
        "noise": noise,
        "spread": spread,
        "seeds": num_seeds,
        "trainings": float(np.median([one.num_trainings for one in found])),
        "regret": 100 * float(np.mean([one.regret for one in found])),
        "interval_coverage": float(np.mean([one.interval_hits for one in found])),
        "core_seconds": seconds,
        "sets": {
            way: {
                "holds_best": float(np.mean([one.best in one.sets[way] for one in found])),
                "median_size": float(np.median([len(one.sets[way]) for one in found])),
            }
            for way in found[0].sets
        },
    }
    print(
        f"\n{family}: {record['trainings']:g} trainings, winner {record['regret']:.2f} points below the best, "
        f"bootstrap intervals hold the best {record['interval_coverage']:.1%}"
    )
    for way, figures in record["sets"].items():
        print(
            f"    {way:<30} holds the best {figures['holds_best']:6.1%}   median size {figures['median_size']:g}",
            flush=True,
        )
    if is_kept:
        append_record(NAME, record)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--searches", type=int, default=200)
    parser.add_argument("--noise", type=float, default=1.0, help="points from seed to seed")
    parser.add_argument(
        "--spread", type=float, default=3.0, help="points from the worst candidate to the best"
    )
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    main(asked.searches, asked.noise, asked.spread, asked.seeds)
