"""What does an explanation look like on a terminal?"""

from collections.abc import Mapping
from typing import Any

from effsearch.commands.explaining.words import points_text
from effsearch.commands.tables import print_table, say


def print_explanation(report: Mapping[str, Any]) -> None:
    """Print which choices mattered, what each of them did, the price of the budget, and the advice."""
    rows = [
        (
            one["name"],
            _share_words(one["main"]),
            _share_words(one["total"]),
            one["best_choice"] if one["is_sure"] else f"{one['best_choice']}?",
            f"{one['certainty']:.0%}",
            ", ".join(_effect_words(effect) for effect in one["effects"]),
        )
        for one in sorted(report["dimensions"], key=lambda one: one["total"]["mean"], reverse=True)
    ]
    columns = ("dimension", "share, %", "with pairs, %", "best", "beats worst", "effects, points")
    print_table(f"share of the variance of {report['objective']}, with 90 % intervals", columns, rows)
    if report["pairs"]:
        pairs = [f"{one['one']} x {one['other']} {_share_words(one['share'])} %" for one in report["pairs"]]
        say(f"strongest pairs: {', '.join(pairs)}")
    known = [
        f"{one['name']} {points_text(one['effect']['mean'])} "
        f"({points_text(one['effect']['low'])} to {points_text(one['effect']['high'])})"
        for one in report["features"]
    ]
    say(f"points for one standard deviation more, beside the choices: {', '.join(known)}")
    for line in report["words"]:
        say(line)
    say(f"table: {report['table']}")
    say(f"plot: {report['plot']}")


def _share_words(share: Mapping[str, float]) -> str:
    return f"{100 * share['mean']:.0f} ({100 * share['low']:.0f} to {100 * share['high']:.0f})"


def _effect_words(one: Mapping[str, Any]) -> str:
    effect = one["effect"]
    return f"{one['label']}: {points_text(effect['mean'])} ±{50 * (effect['high'] - effect['low']):.1f}"
