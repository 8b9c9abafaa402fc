"""What does a search look like on a terminal, done or planned?"""

from collections.abc import Mapping, Sequence
from typing import Any

from effsearch.commands.run_tables import say_operators
from effsearch.commands.tables import print_table, say
from effsearch.results.latency_words import bound_words, network_words
from effsearch.space.budget import short_amount, short_count, short_time


def print_baseline(report: Mapping[str, Any]) -> None:
    """Print what a search found."""
    networks = [
        report["best"],
        *(row for row in report["finalists"] if row["name"] != report["best"]["name"]),
    ]
    names = {row["name"] for row in networks}
    networks += [row for row in report["anchors"] if row["name"] not in names]
    is_reward = report["objective"] == "reward"
    rows: list[tuple[object, ...]] = []
    for row in networks:
        accuracies = row["accuracies"]
        is_shorter = row["rung"] < report["best"]["rung"]
        rows.append(
            (
                row["name"] + (" (shorter training)" if is_shorter else ""),
                f"{row['accuracy']:.1%}",
                f"{min(accuracies):.1%} to {max(accuracies):.1%}" if len(accuracies) > 1 else "-",
                len(accuracies),
                f"{row['expected_score']:.4f}" if is_reward else f"{row['expected_score']:.1%}",
                short_count(row["multiply_adds"]),
                short_count(row["params"]),
                short_count(row["activations"]),
                *([] if report["latency"] is None else _latency_cells(row)),
            )
        )
    expected = "expected reward" if is_reward else "expected"
    columns: tuple[str, ...] = (
        "network",
        "accuracy",
        "spread",
        "seeds",
        expected,
        "FLOPs",
        "params",
        "activations",
    )
    if report["latency"] is not None:
        columns = (*columns, "predicted", "measured")
    print_table(
        f"validation accuracy on the proxy; the winner has the best {expected}{'' if is_reward else ' score'}",
        columns,
        rows,
    )
    if any(row["rung"] < report["best"]["rung"] for row in networks):
        say("a shorter training is one of a lower rung: its accuracy does not compare with the others")
    for line in _other_pixels(networks, report["best"]):
        say(line)
    if len(report["best"]["accuracies"]) > 1:
        say(
            "a mean includes the training that a finalist was picked by, which flatters finalists against anchors"
        )
    if report["owed"]:
        say(
            f"time was up before {report['owed']} trainings with fresh seeds: the winner rests on fewer than asked"
        )
    if report["untrained_anchors"]:
        say(f"no trial or time was left for {' and '.join(report['untrained_anchors'])}")
    if report["second_objective"]:
        _print_front(report)
    if len(report["winners"]) > 1:
        for winner in report["winners"]:
            name, bound = next(one for one in winner["budget"].items() if one[1] is not None)
            say(f"best within {short_amount(name, bound)}: {winner['name']}, {winner['spec_path']}")
    failed = f", {report['failures']} of them failed" if report["failures"] else ""
    ends = {
        "trials": "the asked number is reached",
        "minutes": "the time is up",
        "exhausted": "no further network inside the budget was found",
    }
    climbed = f", {report['promoted']} of them promoted to a longer training" if report["promoted"] else ""
    say(f"{report['trials']} networks trained{climbed}{failed}; {ends[report['stopped_by']]}")
    say_operators(report)
    say(f"best network: {report['best']['spec_path']}")
    if report["latency"] is not None:
        say(f"{bound_words(report['latency'])}; {network_words(report['best'])}")
    for line in report["warnings"]:
        say(line)
    if report["certificate"]:
        say(report["certificate"])
    for line in report["explanation"]:
        say(line)


def _other_pixels(networks: Sequence[Mapping[str, Any]], best: Mapping[str, Any]) -> list[str]:
    """Say which networks of the winner's rung were trained at other pixels; older reports do not tell."""
    own = best.get("trained_resolution")
    others = [
        f"{row['name']} at {row['trained_resolution']} px"
        for row in networks
        if row["rung"] == best["rung"] and row.get("trained_resolution", own) != own
    ]
    if not others:
        return []
    return [f"trained at other pixels than the winner's {own}: {', '.join(others)}"]


def _latency_cells(row: Mapping[str, Any]) -> list[str]:
    """Write what a network was predicted to take and what it takes, with a mark where that is too much."""
    measured = row["measured_nanoseconds"]
    too_much = " !" if row["keeps_latency"] is False else ""
    return [
        short_time(row["predicted_nanoseconds"]),
        "-" if measured is None else f"{short_time(measured)}{too_much}",
    ]


def _print_front(report: Mapping[str, Any]) -> None:
    """Print the networks that no other beats in both objectives."""
    objective = report["second_objective"]
    rows = [
        (
            row["name"],
            f"{row['expected_score']:.1%}",
            f"{row['accuracy']:.1%}",
            row["seeds"],
            short_count(row["multiply_adds"]),
            short_count(row["params"]),
            short_count(row["activations"]),
            f"{1000 * row['latency_seconds']:.1f} ms" if objective == "latency" else "-",
        )
        for row in report["front"]
    ]
    columns = ("network", "expected", "accuracy", "seeds", "FLOPs", "params", "activations", "latency")
    print_table(f"the front: expected score against {objective.replace('_', '-')}", columns, rows)


def print_plan(plan: Mapping[str, Any]) -> None:
    """Print what a dry run found out."""
    costs = plan["multiply_adds"]
    rows = [
        ("space", f"{plan['space']}, {plan['size']:.3g} points"),
        ("cost at target", f"{plan['resolution']} px, {plan['classes']} classes"),
        (
            "FLOPs drawn: least / median / most",
            " / ".join(short_count(costs[key]) for key in ("least", "median", "most")),
        ),
        *_latency_rows(plan["latency"]),
        ("inside the budget", f"{plan['share_inside']:.2%} of the space ({plan['budget']})"),
        ("screening", plan["screening"]),
        ("one training", f"about {plan['seconds_per_training']:.1f} s"),
        ("trainings", f"about {plan['trainings']} on {plan['workers']} worker(s)"),
        ("anchors", ", ".join(plan["anchors"]) or "none"),
    ]
    print_table("dry run: nothing was trained", ("", ""), rows)


def _latency_rows(latency: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if latency is None:
        return []
    drawn = (short_time(latency[f"{key}_nanoseconds"]) for key in ("least", "median", "most"))
    return [
        ("latency predicted: least / median / most", " / ".join(drawn)),
        ("on", latency["conditions"]),
    ]
