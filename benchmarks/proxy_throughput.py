"""How many images a second does this machine train on, beside what a user would write, and where does the time go?

    python benchmarks/proxy_throughput.py speed      # images per second, three loops, four networks: about 15 minutes
    python benchmarks/proxy_throughput.py operators  # a step's time by kind of operator, on one thread: about 3
    python benchmarks/proxy_throughput.py accuracy   # ours and the plain loop after equal epochs: about 15
    python benchmarks/proxy_throughput.py workers    # a list of networks with one worker and with two: about 10
    python benchmarks/proxy_throughput.py table      # what the records say

`speed` runs every loop in turns, on all cores: ours as a search does, one process of one thread for each core; the
rivals in the better of two layouts, one process with all threads or one process for each core. It repeats until the
last three rounds of every loop lie within 10 per cent, else the result is void. Nothing else should run.
"""

import argparse
import statistics
from pathlib import Path
from typing import Any

from matrix_limit import words_of
from recording import read_records
from throughput_accuracy import LOOPS as LOOPS_FOR_ACCURACY
from throughput_accuracy import measure_accuracy
from throughput_loops import LOOPS, NAME, networks
from throughput_operators import measure_operators, print_operators
from throughput_speed import SECONDS, measure_speed, spread
from throughput_workers import measure_workers

from effsearch.search.ablation import mean_interval


def print_table() -> None:
    """Print what the records say, the newest of each network."""
    records = read_records(NAME)
    for record in newest_of(records, "speed", "network"):
        print_speed(record)
    for record in newest_of(records, "operators", "network", "operators"):
        print_operators(record)
    print_accuracies([record for record in records if record["what"] == "accuracy"])
    for record in records:
        if record["what"] == "workers":
            share = record["speed_up"] / record["plain_speed_up"]
            print(
                f"second worker: {record['speed_up']:.2f} x, independent processes {record['plain_speed_up']:.2f} x: "
                f"{share:.2f} of it"
            )


def newest_of(records: list[dict[str, Any]], what: str, *keys: str) -> list[dict[str, Any]]:
    """Give the records of a measurement, of each subject the newest."""
    return list({tuple(one[key] for key in keys): one for one in records if one["what"] == what}.values())


def print_speed(record: dict[str, Any]) -> None:
    """Print a record of the images per second."""
    rates = record["images_per_second"]
    words = ", ".join(
        f"{loop} {rates[loop]:,.0f} ({record['layouts'][loop]}, spread {spread(record['rounds'][loop]):.0%})"
        for loop in LOOPS
    )
    void = "VOID, " if record["is_void"] else ""
    # Until the best of several products was taken, the limit was torch.mm's.
    products = record.get("matrix_products", {"torch.mm": record["matrix_multiply_adds_per_second"]})
    limit = "the best matrix product" if "matrix_product" in record else "torch.mm"
    print(
        f"{record['network']}: {void}{words}; ours is {rates['ours'] / rates['jpegs']:.2f} x jpegs and "
        f"{rates['ours'] / rates['memory']:.2f} x memory, at {record['share_of_matrix_rate']:.0%} of the rate of "
        f"{limit} ({words_of(products)})"
    )


def print_accuracies(records: list[dict[str, Any]]) -> None:
    """Print the mean accuracy and time of each loop."""
    for name, num_epochs in dict.fromkeys((one["network"], one["epochs"]) for one in records):
        for loop in LOOPS_FOR_ACCURACY:
            rows = [
                one
                for one in records
                if (one["network"], one["epochs"], one["loop"]) == (name, num_epochs, loop)
            ]
            if not rows:
                continue
            interval = mean_interval([100 * one["accuracy"] for one in rows])
            bounds = "" if interval.low is None else f" ({interval.low:.1f} to {interval.high:.1f})"
            seconds = statistics.fmean(one["core_seconds"] for one in rows)
            print(
                f"{name}, {num_epochs} epochs, {loop}: {interval.mean:.1f}%{bounds} over {len(rows)} seeds, "
                f"{seconds:.0f} core-seconds"
            )


def main() -> None:
    """Measure, or print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    speed = commands.add_parser("speed")
    speed.add_argument("--seconds", type=float, default=SECONDS, help="of one measurement")
    operators = commands.add_parser("operators")
    accuracy = commands.add_parser("accuracy")
    accuracy.add_argument("--epochs", type=int, default=3)
    accuracy.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    workers = commands.add_parser("workers")
    workers.add_argument("--networks", type=int, default=20)
    workers.add_argument("--images", type=int, default=2_000)
    workers.add_argument("--rounds", type=int, default=3)
    for one in (speed, operators):
        one.add_argument("--networks", nargs="+", choices=sorted(networks()), default=list(networks()))
    for one in (speed, operators, accuracy, workers):
        one.add_argument("--folder", type=Path, default=Path("runs/throughput"), help="for the JPEGs")
    commands.add_parser("table")
    options = parser.parse_args()
    match options.command:
        case "speed":
            measure_speed(options.folder, seconds=options.seconds, names=options.networks)
        case "operators":
            measure_operators(options.folder, names=options.networks)
        case "accuracy":
            measure_accuracy(options.folder, num_epochs=options.epochs, seeds=options.seeds)
        case "workers":
            measure_workers(
                num_networks=options.networks, num_images=options.images, num_rounds=options.rounds
            )
        case "table":
            print_table()


if __name__ == "__main__":
    main()
