"""Does the winner of a search under --max-latency keep to the bound when it is measured by itself?

    python benchmarks/latency_bound.py run --seed 0                  # 1.5 ms on nas-bench-macro, CIFAR-10; 5 minutes
    python benchmarks/latency_bound.py run --space mbconv --bound 6ms --seed 0 --options=--resolution=160
    python benchmarks/latency_bound.py table

Calls `effsearch baseline`, and then `effsearch profile --latency` for each finalist, as a user does. Run it on a
quiet machine: `processor_share` says how quiet it was.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from macro_data import load_cifar, shared_data
from recording import append_record, read_records

NAME = "latency_bound"
KINDS = ("predicted_nanoseconds", "measured_nanoseconds", "alone_nanoseconds")


def call(*words: str) -> Any:
    """Run a command of effsearch, and give its JSON."""
    command = [sys.executable, "-m", "effsearch.cli", *words, "--json"]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout)


def run_search(space: str, bound: str, minutes: float, seed: int, folder: Path, options: list[str]) -> None:
    """Search, measure the finalists by calls of their own, and record both."""
    key = (space, bound, minutes, seed, options)
    names = ("space", "bound", "minutes", "seed", "options")
    if key in [tuple(record[name] for name in names) for record in read_records(NAME)]:
        return
    load_cifar()  # decoding is no part of the search
    folder.mkdir(parents=True, exist_ok=True)
    run = folder / f"{space}-{bound}-m{minutes:g}-s{seed}"
    report = call(
        *("baseline", "--space", space, "--max-latency", bound, "--workers", "1", "--seed", str(seed)),
        *("--data", str(shared_data() / "cifar10-images.tar.xz"), "--minutes", f"{minutes:g}"),
        *("--run", str(run), *options),
    )
    finalists = []
    for row in report["finalists"]:
        [alone] = call("profile", row["spec_path"], "--latency", "--runtime", "torch")["latency"]
        finalists.append(
            {
                "multiply_adds": row["multiply_adds"],
                "predicted_nanoseconds": row["predicted_nanoseconds"],
                "measured_nanoseconds": row["measured_nanoseconds"],
                "alone_nanoseconds": round(alone["whole"]["median"] * 1e9),
                "processor_share": alone["processor_share"],
                "is_winner": row["spec_path"] == report["best"]["spec_path"]
                or row["name"] == report["best"]["name"],
            }
        )
    append_record(
        NAME,
        {
            **dict(zip(names, key, strict=True)),
            "latency": report["latency"],
            "trained": report["trials"],
            "accuracy": report["best"]["accuracy"],
            "finalists": finalists,
        },
    )


def print_table() -> None:
    """Print what has been measured, in milliseconds: what was predicted, measured at the end, and by itself."""
    print("| space | seed | networks | asked | held to | winner | other finalists |")
    print("|---|---|---|---|---|---|---|")
    for record in read_records(NAME):
        rows = sorted(record["finalists"], key=lambda row: not row["is_winner"])
        winner, *others = [", ".join(f"{row[kind] / 1e6:.3f}" for kind in KINDS) for row in rows]
        limit, held_to = (record["latency"][f"{kind}_nanoseconds"] / 1e6 for kind in ("limit", "held_to"))
        print(
            f"| {record['space']} | {record['seed']} | {record['trained']} | {limit:.3f} | {held_to:.3f} "
            f"| {winner} | {'; '.join(others)} |"
        )


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=["run", "table"])
    parser.add_argument("--space", default="nas-bench-macro")
    parser.add_argument("--bound", default="1.5ms")
    parser.add_argument("--minutes", type=float, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path, default=Path("runs/latency_bound"))
    parser.add_argument("--options", type=shlex.split, default=[], help="further options of the search")
    arguments = parser.parse_args()
    if arguments.what == "table":
        print_table()
        return
    run_search(
        arguments.space,
        arguments.bound,
        arguments.minutes,
        arguments.seed,
        arguments.folder,
        arguments.options,
    )


if __name__ == "__main__":
    main()
