"""Which networks stand for all that a run has scored?"""

import statistics
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from effsearch.space.outcome import Evaluation, Fidelity, Job, derive_seed

_PROXY_KINDS = frozenset({"trial", "confirm", "anchor"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredNetwork:
    """A network of the space with what a run's proxy, or its screening, says about it."""

    job: Job  # of its first training; one that nobody has asked for where it was only screened
    scores: tuple[float, ...]  # accuracies, one for each seed; of a screening one number, the more the better

    @property
    def score(self) -> float:
        """The mean over the seeds."""
        return statistics.fmean(self.scores)


def scored_networks(history: Iterable[Evaluation], fidelity: Fidelity) -> list[ScoredNetwork]:
    """Give the networks of the space that the proxy has scored, best first.

    Known networks that are no point of the space are left out: a search does not choose among them.
    """
    groups: dict[str, list[Evaluation]] = {}
    for evaluation in history:
        job = evaluation.job
        if evaluation.result and job.kind in _PROXY_KINDS and job.fidelity == fidelity and job.choices:
            groups.setdefault(job.network, []).append(evaluation)
    scored = [
        ScoredNetwork(job=group[0].job, scores=tuple(one.result.val_accuracy for one in group if one.result))
        for group in groups.values()
    ]
    return best_first(scored)


def best_first(scored: Iterable[ScoredNetwork]) -> list[ScoredNetwork]:
    """Give networks in the order of their scores, ties by hash."""
    return sorted(scored, key=lambda one: (-one.score, one.job.network))


def choose_sample(
    scored: Sequence[ScoredNetwork], num_networks: int, *, seed: int, known: Collection[str] = ()
) -> list[ScoredNetwork]:
    """Give networks spread over the proxy's ranking, in an order whose every beginning is spread as well.

    The ranking is cut into as many equal parts as networks are wanted, and each part gives one: the first its best,
    the others a random one, which hangs on seed and network alone, so that a run that has grown keeps most of it.

    Args:
        scored: Networks, the proxy's best first.
        num_networks: Networks wanted; all where there are no more.
        seed: Of the draw.
        known: Hashes of networks that were trained longer before; a part that holds some gives one of them.
    """

    def draw(one: ScoredNetwork) -> tuple[bool, int]:
        return one.job.network not in known, derive_seed(seed, one.job.network, 0)

    parts = np.array_split(np.arange(len(scored)), min(num_networks, len(scored)))
    chosen = [min((scored[index] for index in part.tolist()), key=draw) for part in parts]
    chosen[0] = scored[0]
    return [chosen[index] for index in spread_order(len(chosen))]


def spread_order(length: int) -> list[int]:
    """Give 0 to length - 1 in van der Corput's order: the first, the middle, then ever finer in between."""
    num_bits = max(1, (length - 1).bit_length())
    mirrored = (int(f"{index:0{num_bits}b}"[::-1], 2) for index in range(2**num_bits))
    return [index for index in mirrored if index < length]
