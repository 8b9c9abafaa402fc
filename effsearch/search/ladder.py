"""Which network deserves a longer training?

Asynchronous successive halving: of the networks that have ended on a rung, the best one in `reduction` goes to the
next, as soon as there are enough to say so; nobody waits for a rung to fill.

Source:
    ASHA, arXiv:1810.05934, algorithm 2; here networks are compared by whatever score the caller believes in.
"""

from collections.abc import Callable, Mapping, Sequence

Score = Callable[[str], float]


def next_promotion(
    rungs: Sequence[Mapping[str, bool]], *, score: Score, reduction: int
) -> tuple[str, int] | None:
    """Give the network to promote and the rung it goes to, or None where nothing is due.

    Args:
        rungs: For each rung the networks that are on it, and whether each has ended there with a score.
        score: What a network is worth; higher is better.
        reduction: One of so many is promoted.
    """
    for rung in reversed(range(len(rungs) - 1)):
        ended = sorted(
            (network for network, has_score in rungs[rung].items() if has_score), key=score, reverse=True
        )
        for network in ended[: len(ended) // reduction]:
            if not any(network in above for above in rungs[rung + 1 :]):
                return network, rung + 1
    return None
