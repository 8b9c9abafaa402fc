"""How is an explanation put into words, a line for each thing learned?"""

from effsearch.search.explaining.advice import Advice
from effsearch.search.explaining.budget_price import BudgetUse, Price
from effsearch.search.explaining.explain import HALF_WIDTH, Explanation

SHORT_NAMES = {
    "multiply_adds": "FLOPs",
    "parameters": "params",
    "activations": "activations",
    "latency_nanoseconds": "latency",
}
_ENDS = {"more": "largest", "less": "smallest", "budget": "largest"}


def explanation_words(explanation: Explanation) -> list[str]:
    """Say the main things in a few lines: how sure it all is, where the budget binds, what to change."""
    num_sure, num_all = explanation.num_sure, len(explanation.dimensions)
    seen = f"{explanation.num_networks} networks, {explanation.num_trainings} trainings"
    if num_sure == 0:
        first = f"{seen}: too few to say of any dimension that its best choice beats its worst; train more"
    elif num_sure == num_all:
        first = f"{seen}: the best choice surely beats the worst in each of the {num_all} dimensions"
    else:
        first = (
            f"{seen}: the best choice surely beats the worst in {num_sure} of {num_all} dimensions; in the others "
            "that may be chance"
        )
    lines = [first]
    for use in explanation.budgets:
        lines += use_words(use)
    lines += [advice_words(advice, explanation) for advice in explanation.advice]
    return lines


def use_words(use: BudgetUse) -> list[str]:
    """Say how a budget is used, and what a larger one is expected to bring."""
    shares = ", ".join(f"{share:.0%} of the {SHORT_NAMES[name]}" for name, share in use.shares.items())
    if not use.num_best:
        lines = [f"budget {use.budget}: no network inside it has a score"]
    elif use.binding is None:
        lines = [f"budget {use.budget}: the best {use.num_best} networks use {shares}; no bound binds"]
    else:
        binding = f"; {SHORT_NAMES[use.binding]} bind first" if len(use.shares) > 1 else ": it binds"
        lines = [f"budget {use.budget}: the best {use.num_best} networks use {shares}{binding}"]
    groups: dict[tuple[str, ...], list[Price]] = {}
    for price in use.prices:
        groups.setdefault(price.bounds, []).append(price)
    for bounds, prices in groups.items():
        extra = ", ".join(str(price.extra_percent) for price in prices)
        what = " and ".join(SHORT_NAMES[name] for name in bounds)
        gains = ", ".join(
            f"{points_text(price.gain)} ±{100 * HALF_WIDTH * price.deviation:.1f}" for price in prices
        )
        if not any(price.gain for price in prices):
            lines.append(
                f"budget {use.budget}: the network that the model expects to be best fits already, so {extra} % more "
                f"{what} would bring nothing that it knows of"
            )
            continue
        is_sure = any(price.gain > HALF_WIDTH * price.deviation for price in prices)
        verdict = "more pays" if is_sure else "not sure that more pays"
        lines.append(f"budget {use.budget}: points expected of {extra} % more {what}: {gains}; {verdict}")
    return lines


def advice_words(advice: Advice, explanation: Explanation) -> str:
    """Say one piece of advice in a line."""
    inside = ""
    if len(explanation.budgets) > 1:
        inside = f" inside {explanation.budgets[advice.budget_index].budget}"
    taking = f"{advice.num_taking} of the {advice.num_liked} networks that the model likes best{inside}"
    if advice.kind == "drop":
        choices = " and ".join(map(str, advice.choices))
        return (
            f"{advice.dimension}: {choices} best with probability {_short(advice.probability)}, and taken by none of "
            f"the {advice.num_liked} networks that the model likes best: may be dropped"
        )
    start = (
        f"{advice.dimension}: the {_ENDS[advice.kind]} choice ({advice.choices[0]}) is best with probability "
        f"{_short(advice.probability)}"
    )
    if advice.kind == "budget":
        return f"{start}, but only {taking} take it: the budget holds it back, not the space"
    return f"{start}, and {taking} take it: allow {advice.kind}"


def points_text(score: float) -> str:
    """Write a difference of scores in points, with its sign: +0.4."""
    return f"{round(100 * score, 1) + 0.0:+.1f}"


def _short(probability: float) -> str:
    """Write a probability as .93; one that the draws never left is above .99."""
    if probability >= 0.995:
        return "above .99"
    return "below .01" if probability < 0.005 else f"{probability:.2f}".lstrip("0")
