"""What do a network's cost and latencies look like on a terminal?"""

from collections.abc import Mapping
from typing import Any

from effsearch.commands.tables import print_table, say
from effsearch.space.budget import short_time

QUIET_SHARE = 0.9  # of a processor, below which it is said that others had it


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


def print_latencies(report: Mapping[str, Any]) -> None:
    """Print what a network takes on each runtime, whole and block by block."""
    found = report["latency"]
    rows: list[tuple[object, ...]] = [
        (block["scope"], *(short_time(one["blocks"][index]["nanoseconds"]) for one in found))
        for index, block in enumerate(found[0]["blocks"])
    ]
    rows += [
        ("sum of the blocks", *(short_time(one["sum_nanoseconds"]) for one in found)),
        ("whole network", *(short_time(1e9 * one["whole"]["median"]) for one in found)),
        ("5th to 95th percentile", *(_spread(one["whole"]) for one in found)),
        ("passes", *(one["whole"]["num_passes"] for one in found)),
        ("error of adding up", *(f"{one['adding_up_error']:+.1%}" for one in found)),
    ]
    print_table(
        f"{report['name']}, median latency at {report['resolution']} px; blocks by themselves",
        ("block", *(one["conditions"]["runtime"] for one in found)),
        rows,
    )
    for one in found:
        say(conditions_words(one["conditions"]))
        if one["conditions"]["device"] == "cpu" and one["processor_share"] < QUIET_SHARE:
            say(busy_words(one["processor_share"]))


def print_table_record(report: Mapping[str, Any]) -> None:
    """Print what was timed of a space."""
    rows = [
        ("blocks", report["blocks"]),
        ("networks measured whole", report["networks"]),
        ("mean error of what they are predicted", f"{report['mean_error']:.1%}"),
        ("of adding up blocks as they were timed", f"{report['raw_error']:.1%}"),
        ("time", f"{report['seconds']:.0f} s"),
    ]
    title = f"latency table of {report['space']}, {report['resolution']} px, {report['classes']} classes"
    print_table(title, ("", ""), rows)
    say(conditions_words(report["conditions"]))
    if report["out"] is None:
        say(
            "written to no file: for a search on another machine give --out FILE, and FILE to its --latency-table"
        )
    else:
        say(f"written to {report['out']}")


def conditions_words(conditions: Mapping[str, Any]) -> str:
    """Say what was timed on what."""
    is_cpu = conditions["device"] == "cpu"
    threads = conditions["num_threads"]
    words = f"{threads} thread{'' if threads == 1 else 's'}, " if is_cpu else ""
    clock = ", by the thread's own clock" if is_cpu and threads == 1 else ""
    return (
        f"{conditions['runtime']} {conditions['version']} on {conditions['machine']}, {words}"
        f"batch {conditions['batch_size']}, float32, norms folded{clock}"
    )


def busy_words(share: float) -> str:
    """Say that a measurement had to share the processor."""
    return (
        f"other programs had the processor for {1 - share:.0%} of the measurement: times are too long and uncertain; "
        "measure again when the machine is quiet"
    )


def _spread(timing: Mapping[str, Any]) -> str:
    return f"{short_time(1e9 * timing['low'])} to {short_time(1e9 * timing['high'])}"
