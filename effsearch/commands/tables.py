"""What do results look like on a terminal?"""

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from effsearch.commands.explaining.words import points_text
from effsearch.results.operators import operators_words
from effsearch.results.run_files import TRAINING_COMMANDS
from effsearch.space.budget import short_count

PLAIN_WIDTH = 120  # characters, where stdout is no terminal


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
    """Print a table to stdout; the first column is text, the others are right-aligned."""
    table = Table(title=Text(title), title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="left" if index == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row))
    _console().print(table)


def say(text: str) -> None:
    """Print a line to stdout."""
    _console().print(text, markup=False)


STATES = {
    "running": "running, process {process} on {host}",
    "elsewhere": "held by process {process} on {host}, which cannot be asked from here",
    "ended": "ended",
    "stopped": "stopped; the same command with --run {run} goes on",
}


def print_status(report: Mapping[str, Any]) -> None:
    """Print what a run is doing."""
    say(f"{report['command']} in {report['run']}: {STATES[report['state']].format(**report)}")
    trained = f"{report['trained']} trainings" + (f", {report['failed']} failed" if report["failed"] else "")
    if report["best"] is not None:
        best = report["best"]
        trained += (
            f"; best {best['accuracy']:.1%} ({best['name']}, {short_count(best['multiply_adds'])} FLOPs)"
        )
    if report["command"] not in TRAINING_COMMANDS:  # which are one training; its step says how far it is
        say(trained)
        _say_operators(report)
    step = report["step"]
    if step is not None:
        share = f"{min(1.0, step['done'] / step['total']):.0%} " if step["total"] else ""
        say(f"{step['what']}: {share}{step['text']}".rstrip())
    if report["workers"]:
        rows = []
        for worker in report["workers"]:
            rate, busy = worker["images_per_second"], worker["busy_share"]
            rows.append(
                (
                    worker["worker"],
                    worker["task"] or "-",
                    f"{worker['seconds']:.0f} s" if worker["task"] else "-",
                    worker["ended"],
                    worker["failed"],
                    "-" if rate is None else f"{rate:,.0f}",
                    "-" if busy is None else f"{busy:.0%}",
                )
            )
        columns = ("worker", "trains", "since", "ended", "failed", "images/s", "time training")
        print_table("workers", columns, rows)


def print_baseline(report: Mapping[str, Any]) -> None:
    """Print what a search found."""
    networks = [
        report["best"],
        *(row for row in report["finalists"] if row["name"] != report["best"]["name"]),
    ]
    names = {row["name"] for row in networks}
    networks += [row for row in report["anchors"] if row["name"] not in names]
    is_reward = report["objective"] == "reward"
    rows = []
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
            )
        )
    expected = "expected reward" if is_reward else "expected"
    columns = ("network", "accuracy", "spread", "seeds", expected, "FLOPs", "params", "activations")
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
            bound = next(limit for limit in winner["budget"].values() if limit is not None)
            say(f"best within {short_count(bound)}: {winner['name']}, {winner['spec_path']}")
    failed = f", {report['failures']} of them failed" if report["failures"] else ""
    ends = {
        "trials": "the asked number is reached",
        "minutes": "the time is up",
        "exhausted": "no further network inside the budget was found",
    }
    climbed = f", {report['promoted']} of them promoted to a longer training" if report["promoted"] else ""
    say(f"{report['trials']} networks trained{climbed}{failed}; {ends[report['stopped_by']]}")
    _say_operators(report)
    say(f"best network: {report['best']['spec_path']}")
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


def _say_operators(report: Mapping[str, Any]) -> None:
    words = operators_words(report["operators"])
    if words:
        say(words)


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
        ("inside the budget", f"{plan['share_inside']:.2%} of the space ({plan['budget']})"),
        ("screening", plan["screening"]),
        ("one training", f"about {plan['seconds_per_training']:.1f} s"),
        ("trainings", f"about {plan['trainings']} on {plan['workers']} worker(s)"),
        ("anchors", ", ".join(plan["anchors"]) or "none"),
    ]
    print_table("dry run: nothing was trained", ("", ""), rows)


def print_validation(report: Mapping[str, Any]) -> None:
    """Print what longer training says about a proxy."""
    is_screening = report["of"] == "screening"
    longer_order = sorted(report["networks"], key=lambda row: row["longer_accuracy"], reverse=True)
    rows = [
        (
            row["name"],
            f"{row['proxy_score']:+.2f}" if is_screening else f"{row['proxy_score']:.1%}",
            row["num_seeds"],
            f"{row['longer_accuracy']:.1%}",
            1 + longer_order.index(row),
            short_count(row["multiply_adds"]),
        )
        for row in report["networks"]
    ]
    judged = "screening" if is_screening else "proxy"
    columns = ("network", judged, "seeds", f"{report['factor']} x longer", "place", "FLOPs")
    print_table(f"validation accuracy, the {judged}'s best first", columns, rows)
    for name in ("kendall", "spearman"):
        numbers = report[name]
        say(f"{name}: {numbers['value']:.2f}, 95 % interval {numbers['low']:.2f} to {numbers['high']:.2f}")
    say(
        f"regret of trusting the {judged}: {100 * report['regret']:.1f} points with its first choice, "
        f"{100 * report['top_regret']:.1f} on average over its top three"
    )
    failed = f", {report['num_failed']} of them failed" if report["num_failed"] else ""
    num_ended = len(report["networks"]) + report["num_failed"]
    ends = {
        "networks": "all that were asked for",
        "minutes": "the time is up, the same command goes on",
        "sure": "sure enough",
    }
    say(
        f"{num_ended} of {report['num_planned']} networks trained longer{failed}; {ends[report['stopped_by']]}"
    )
    if report["verdict"] is not None:
        say(
            f"tau is {report['verdict']} {report['stop_at']:g}, read off a {report['confidence']:.1%} interval: "
            "wider than 95 %, as it is looked at several times"
        )
    say(report["words"])
    say(f"plot: {report['plot']}")


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


def print_plot(report: Mapping[str, Any]) -> None:
    """Print where the picture is, and how far the proxies behind it can be trusted."""
    say(report["out"])
    for run, words in report["certificates"].items():
        say(f"{run}: {words}")


def print_page(report: Mapping[str, Any]) -> None:
    """Print where a page is, and what of the run is not on it."""
    say(f"{report['out']} ({report['bytes'] / 1e6:.1f} MB)")
    for line in report["unread"]:
        say(f"left out: {line}")


def print_dashboard(report: Mapping[str, Any]) -> None:
    """Print where Optuna's dashboard is, and what it shows."""
    studies = ", ".join(f"{one['name']} {one['trials']}" for one in report["studies"])
    num_trials = sum(one["trials"] for one in report["studies"])
    say(f"{report['url']} shows the studies of {report['run']}, on this machine alone; Ctrl-C ends it")
    say(f"a copy of {num_trials} trials ({studies}) at {report['time']}")
    say("trials that the run adds appear while the page is open; what is done on the page changes nothing")


def print_profile(profile: Mapping[str, Any]) -> None:
    """Print the cost of a network, part by part."""
    rows = [
        (
            part["part"],
            f"{part['multiply_adds']:,}",
            f"{part['params']:,}",
            f"{part['activations']:,}",
        )
        for part in profile["parts"]
    ]
    rows.append(
        ("all", f"{profile['multiply_adds']:,}", f"{profile['params']:,}", f"{profile['activations']:,}")
    )
    title = f"{profile['name']} at {profile['resolution']} px, {profile['classes']} classes"
    print_table(title, ("part", "multiply-adds", "params", "activations"), rows)
    say(f"fvcore's total, which adds norm and pooling: {profile['fvcore_total']:,}")
    say(f"torch's count, two per multiply-add: {profile['torch_flops']:,}")


def print_listing(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows of plain values; what nests is left to --json."""
    columns = [name for name, value in rows[0].items() if not isinstance(value, (dict, list))]
    print_table("", columns, [[_cell(row[name]) for name in columns] for row in rows])


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}" if value < 10**12 else f"{value:.3g}"
    return str(value)


def _console() -> Console:
    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    return Console(file=sys.stdout, highlight=False, soft_wrap=True, width=width)
