"""What should a user know of a pruning that its numbers do not say by themselves?"""

from collections.abc import Mapping

from effsearch.proxy_train.pruning.choose import Ranking
from effsearch.space.budget import Budget, short_count
from effsearch.space.cost import Cost

SPENT_SHARE = 0.95  # of a bound, above which it counts as spent
NARROW_SHARE = 0.2  # of its channels, at which a layer has all but gone
WORDS = {"multiply_adds": "FLOPs", "parameters": "params", "activations": "activations"}


def unspent_words(cost: Cost, budget: Budget, *, ranking: Ranking) -> list[str]:
    """Say which of several bounds is far from spent, because another one holds first.

    Args:
        cost: Of the network that is left.
        budget: That it is inside of.
        ranking: By which channels were chosen.
    """
    limits = budget.limits()
    shares = {name: getattr(cost, name) / limit for name, limit in limits.items()}
    first = max(shares, key=lambda name: shares[name])
    advice = "; --share global, which chooses layers, may come nearer" if ranking == "even" else ""
    return [
        f"the bound on {WORDS[name]} leaves {short_count(limits[name] - getattr(cost, name))} of "
        f"{short_count(limits[name])} unspent: that on {WORDS[first]} holds first{advice}"
        for name, share in shares.items()
        if name != first and share < SPENT_SHARE
    ]


def narrow_words(before: Mapping[str, int], after: Mapping[str, int]) -> list[str]:
    """Say which layers have lost nearly all of their channels, where importance alone decided.

    Args:
        before: Widths of layers before the first step, by the names that they have now.
        after: The widths that are left.
    """
    narrow = [name for name, width in before.items() if after[name] <= NARROW_SHARE * width]
    if not narrow:
        return []
    worst = min(narrow, key=lambda name: after[name] / before[name])
    return [
        f"{len(narrow)} of {len(before)} layers keep a fifth of their channels or less, such as {worst}, "
        f"{before[worst]} > {after[worst]} (an eighth stays in any case); --share even takes alike from all"
    ]
