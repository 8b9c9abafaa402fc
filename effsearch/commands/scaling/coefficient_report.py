"""What does a coefficient search report, as JSON values?"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from effsearch.search.coefficients.candidates import COST_TOLERANCE, Candidate, CandidateList, triple_name
from effsearch.search.coefficients.check import NUM_CHECK_SEEDS, longer_order, order_holds
from effsearch.search.coefficients.jobs import CHECK_FACTOR
from effsearch.search.coefficients.search import CoefficientResult
from effsearch.search.coefficients.settings import NUM_FINALISTS
from effsearch.search.coefficients.verdict import LEVEL, bootstrap_interval
from effsearch.space.coefficients import PAPER_COEFFICIENTS, ScalingCoefficients

LEAST_COMPARED = 3  # trained networks, from which new searches can be drawn
BIAS = (
    "short trainings lean to width (arXiv:2103.07579): what trains longer may want more depth and resolution than is "
    "seen here"
)


def coefficient_report(
    listed: CandidateList, result: CoefficientResult, *, method: str, divisor: int, has_check: bool
) -> dict[str, Any]:
    """Give all that a search found.

    Args:
        listed: What could be compared.
        result: What came of it.
        method: grid or random.
        divisor: That channels were rounded to in the search.
        has_check: Whether the best were to be trained longer.
    """
    verdict = result.verdict
    rows = [_row(result, index) for index in verdict.order]
    in_set = [
        candidate
        for candidate, standing in zip(result.candidates, verdict.standings, strict=True)
        if standing.is_in_set
    ]
    return {
        "method": method,
        "points": listed.num_points,
        "networks": listed.num_networks,
        "points_reached": listed.num_arrived,
        "reachable_networks": len(listed.candidates),
        "cost_tolerance": COST_TOLERANCE,
        "target_multiply_adds": round(listed.target),
        "search_divisor": divisor,
        "left_out": [{**_triple(one.coefficients), "off": one.off} for one in listed.left_out],
        "trials": result.num_trials,
        "trainings": result.num_trainings,
        "failures": result.num_failed,
        "seed_deviation": verdict.noise,
        "confidence": LEVEL,
        "interval": _intervals(result),
        "set": [_triple(triple) for candidate in in_set for triple in candidate.triples],
        "set_networks": len(in_set),
        "candidates": [row for row in rows if row["accuracies"]],
        "untrained": [row for row in rows if not row["accuracies"]],
        "check": _check(result) if has_check else None,
        "words": _words(listed, result, in_set, is_checked=has_check),
    }


def _triple(coefficients: ScalingCoefficients) -> dict[str, float]:
    return {"alpha": coefficients.alpha, "beta": coefficients.beta, "gamma": coefficients.gamma}


def _row(result: CoefficientResult, index: int) -> dict[str, Any]:
    candidate, accuracies = result.candidates[index], result.accuracies[index]
    standing = result.verdict.standings[index]
    return {
        **_triple(candidate.coefficients),
        "is_paper": candidate.coefficients == PAPER_COEFFICIENTS,
        "triples": [_triple(triple) for triple in candidate.triples],
        "accuracy": sum(accuracies) / len(accuracies) if accuracies else None,
        "accuracies": list(accuracies),
        "expected": standing.expected,
        "low": standing.low,
        "high": standing.high,
        "chance_of_best": standing.chance,
        "is_in_set": standing.is_in_set,
        "exponent": candidate.exponent,
        "trained_multiply_adds": candidate.multiply_adds,
        "trained_resolution": candidate.fidelity.resolution,
        "multiply_adds": candidate.cost.multiply_adds,
        "resolution": candidate.spec.resolution,
        "network_hash": candidate.network,
    }


def _intervals(result: CoefficientResult) -> dict[str, list[float]]:
    """Give the bootstrap interval of each coefficient of the winner, all triples of a network counted."""
    intervals = {}
    is_compared = sum(map(bool, result.accuracies)) >= LEAST_COMPARED
    for name in ("alpha", "beta", "gamma"):
        ends = [
            [extreme(getattr(triple, name) for triple in one.triples) for one in result.candidates]
            for extreme in (min, max)
        ]
        if not is_compared:  # anything may be best
            intervals[name] = [float(min(ends[0])), float(max(ends[1]))]
            continue
        low, high = (bootstrap_interval(result.verdict, np.array(values)) for values in ends)
        intervals[name] = [low[0], high[1]]
    return intervals


def _check(result: CoefficientResult) -> dict[str, Any]:
    checked = result.checked
    return {
        "factor": CHECK_FACTOR,
        "networks": [
            {
                **_triple(result.candidates[one.candidate].coefficients),
                "accuracy": one.mean_accuracy,
                "accuracies": list(one.accuracies),
                "place": place,
            }
            for one, place in zip(checked, longer_order(checked), strict=True)
        ],
        "order_holds": _order_holds(result),
    }


def _order_holds(result: CoefficientResult) -> bool | None:
    """Tell whether the best kept their order; None where not all of them, with all seeds, were trained longer."""
    checked = result.checked
    num_wanted = min(NUM_FINALISTS, sum(map(bool, result.accuracies)))
    is_whole = len(checked) == num_wanted and all(len(one.accuracies) == NUM_CHECK_SEEDS for one in checked)
    return order_holds(checked) if is_whole and num_wanted > 1 else None


def _words(
    listed: CandidateList, result: CoefficientResult, in_set: Sequence[Candidate], *, is_checked: bool
) -> list[str]:
    best = result.best
    words = [
        f"winner {best.name}; one seed deviates by {100 * result.verdict.noise:.1f} points",
        _words_of_set(result, in_set),
        (
            "bootstrap intervals of the best triple, 95 %: "
            if sum(map(bool, result.accuracies)) >= LEAST_COMPARED
            else "too few were trained for an interval; the triples range over: "
        )
        + ", ".join(f"{name} {low:g} to {high:g}" for name, (low, high) in _intervals(result).items()),
    ]
    num_sizes = len({one.fidelity.resolution for one in listed.candidates})
    smallest = min(one.fidelity.resolution for one in listed.candidates)
    if num_sizes < 4:
        sizes = "one size" if num_sizes == 1 else f"{num_sizes} sizes"
        words.append(
            f"the networks are trained at {sizes} from {smallest} px: gamma is hardly measured; a larger "
            "--proxy-resolution does"
        )
    off = {one.coefficients: one.off for one in listed.left_out}.get(PAPER_COEFFICIENTS)
    if off is not None:
        words.append(
            f"the paper's {triple_name(PAPER_COEFFICIENTS)} is not among them: its ray comes no nearer to the cost "
            f"than {off:+.1%}"
        )
    if is_checked:
        words.append(_words_of_check(result))
    words.append(BIAS)
    return words


def _words_of_set(result: CoefficientResult, in_set: Sequence[Candidate]) -> str:
    if len(in_set) == 1:
        return f"it is the best of the {len(result.candidates)} networks with a probability of 95 %"
    num_triples = sum(len(one.triples) for one in in_set)
    untrained = sum(
        standing.is_in_set and not accuracies
        for standing, accuracies in zip(result.verdict.standings, result.accuracies, strict=True)
    )
    never = f", {untrained} of them never trained" if untrained else ""
    return (
        f"{len(in_set)} of {len(result.candidates)} networks ({num_triples} triples) cannot be told apart from it"
        f"{never}: one of them is the best with a probability of 95 %"
    )


def _words_of_check(result: CoefficientResult) -> str:
    checked, holds = result.checked, _order_holds(result)
    means = ", ".join(
        f"{triple_name(result.candidates[one.candidate].coefficients)} {one.mean_accuracy:.1%}"
        for one in checked
    )
    if holds is None:
        seen = f", so far: {means}" if checked else ""
        return (
            f"the check of the best at {CHECK_FACTOR} times the training is not whole: no time was left{seen}"
        )
    if holds:
        return f"the order of the best {len(checked)} holds at {CHECK_FACTOR} times the training: {means}"
    gap = max(one.mean_accuracy for one in checked) - checked[0].mean_accuracy
    first = f"the winner falls behind by {100 * gap:.1f} points" if gap > 0 else "the winner stays first"
    order = f"the order of the best {len(checked)} does not hold at {CHECK_FACTOR} times the training"
    return f"{order}, {first}: {means}"
