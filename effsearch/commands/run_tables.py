"""What does it look like on a terminal when something is asked of a run?"""

from collections.abc import Mapping
from typing import Any

from effsearch.commands.tables import print_table, say
from effsearch.results.operators import operators_words
from effsearch.results.run_files import TRAINING_COMMANDS
from effsearch.space.budget import short_count

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
        say_operators(report)
    if report["torn"]:
        say(report["torn"])
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


def say_operators(report: Mapping[str, Any]) -> None:
    """Say how many trainings had operators of our own, where workers told."""
    words = operators_words(report["operators"])
    if words:
        say(words)


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
