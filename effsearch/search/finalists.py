"""Which networks are trained again in the end, and which trainings are still owed?

Finalists are those that each budget's networks are believed to be best of. What an earlier call has begun to confirm
is confirmed to the end, whatever the fresh seeds came to: a model fitted anew may change its mind.
"""

import itertools
from collections.abc import Callable, Iterator, Sequence

from effsearch.search.trained import Trained
from effsearch.space.budget import Budget
from effsearch.space.spec import ModelSpec


def choose_finalists(
    trained: Trained,
    budgets: Sequence[Budget],
    num_finalists: int,
    *,
    keeps: Callable[[ModelSpec], bool] = lambda spec: True,
) -> list[str]:
    """Give the networks of each budget that are believed to be best.

    Args:
        trained: What there is to choose from.
        budgets: For each, finalists are chosen.
        num_finalists: Of each budget.
        keeps: Tells whether a network keeps to what a budget could only predict; asked of the best alone.
    """
    by_belief = trained.by_belief()
    chosen: list[str] = []
    for budget in budgets:
        jobs = (trained.first_jobs[one] for one in by_belief)
        kept = (job.network for job in jobs if budget.allows(job.cost) and keeps(job.spec))
        chosen += itertools.islice(kept, num_finalists)
    return list(dict.fromkeys(chosen))


def keep_confirmed(trained: Trained, chosen: list[str]) -> list[str]:
    """Put what is being confirmed in the place of the last others."""
    last = itertools.takewhile(lambda one: one.job.kind == "confirm", reversed(trained.evaluations))
    confirmed = {one.job.network for one in last if trained.first_jobs[one.job.network].kind != "anchor"}
    before = {one.job.network for one in trained.evaluations if one.job.kind == "confirm"}
    missing = sorted(confirmed - set(chosen))
    others = [network for network in chosen if network not in confirmed]
    others.sort(key=lambda network: network not in before)
    given_up = others[max(0, len(others) - len(missing)) :]
    return [network for network in chosen if network not in given_up] + missing


def owed_trainings(trained: Trained, finalists: Sequence[str], num_seeds: int) -> Iterator[tuple[str, int]]:
    """Yield network and replicate of what is still owed at the top rung, one round of all networks after another.

    The anchors are owed the same as the finalists.
    """
    anchors = [one for one in trained.by_belief() if trained.first_jobs[one].kind == "anchor"]
    top = len(trained.on_rung) - 1
    done = {
        (one.job.network, one.job.replicate) for one in trained.evaluations if trained.rung_of(one.job) == top
    }
    networks = dict.fromkeys([*finalists, *anchors])
    for replicate, network in itertools.product(range(num_seeds), networks):
        if (network, replicate) not in done:
            yield network, replicate
