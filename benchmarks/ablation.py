"""At equal cost, does growing all dimensions together beat growing one, on small images and short trainings?

python benchmarks/ablation.py run --data cifar10               # 5 arms and their base, 5 seeds: about 75 core-minutes
python benchmarks/ablation.py run --data synthetic             # the same on the embedded data, from 48 px: about 75
python benchmarks/ablation.py search --data cifar10 --seed 0   # 60 minutes of effsearch scale; again with --seed 1
python benchmarks/ablation.py searched --data cifar10 --seed 0 # what it found, beside the table of `run`: about 15
python benchmarks/ablation.py table                            # all records

`effsearch ablate` and `effsearch scale` are called as a user calls them, each in a run directory that is kept: the
same call goes on where it stopped. The base has 2.2 M multiply-adds at 16 px and 4.9 M at 48. On CIFAR-10 it trains
at 16 px, so that four times the cost by resolution ends at the images' native 32; the embedded data are rendered at
any size. The times add up what a few timed steps of each network took on one core of an AMD EPYC: 59 s for 10,000
images through all six networks at 16 px, 123 s at 48.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from macro_data import shared_data
from recording import append_record, read_records

from effsearch.commands.ablating.tables import print_ablation
from effsearch.results.atomic import write_text_atomic
from effsearch.search.ablation import mean_interval
from effsearch.space.arms import ARM_NAMES
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec
from effsearch.space.text import to_json

NAME = "ablation"
NUM_SEEDS = 5
FACTOR = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """A data set, and what one training on it is."""

    data: str
    base_resolution: int  # pixels
    num_images: int
    num_epochs: int
    min_map: int = 4  # keeps all strides at 48 px and takes the stem's off at 16

    def words(self, num_epochs: int | None, num_images: int | None) -> list[str]:
        """Give the options of a command that say all this."""
        return [
            *("--data", self.data, "--proxy-resolution", str(self.base_resolution)),
            *("--min-map", str(self.min_map), "--images", str(num_images or self.num_images)),
            *("--epochs", str(num_epochs or self.num_epochs)),
        ]


SETTINGS = {
    "cifar10": Setting(
        data=str(shared_data() / "cifar10-images.tar.xz"),
        base_resolution=16,
        num_images=40_000,
        num_epochs=4,
    ),
    "synthetic": Setting(data="synthetic", base_resolution=48, num_images=7_200, num_epochs=10),
}


def base_network() -> ModelSpec:
    """Give the network that is grown: eight MBConv blocks, no squeeze-excite."""

    def stage(out_channels: int, num_blocks: int, *, stride: int, expand_ratio: float) -> StageSpec:
        block = BlockSpec(expand_ratio=expand_ratio)
        return StageSpec(out_channels=out_channels, stride=stride, blocks=(block,) * num_blocks)

    return ModelSpec(
        stem=StemSpec(out_channels=16),
        stages=(
            stage(16, 1, stride=1, expand_ratio=1.0),
            stage(24, 2, stride=2, expand_ratio=3.0),
            stage(40, 3, stride=2, expand_ratio=3.0),
            stage(64, 2, stride=1, expand_ratio=3.0),
        ),
        head=HeadSpec(out_channels=256),
        resolution=48,
        num_classes=10,
    )


def call(words: Sequence[str]) -> tuple[dict[str, Any], dict[str, float]]:
    """Run a command, and give its report and what it took."""
    started, before = time.monotonic(), os.times()
    command = [sys.executable, "-m", "effsearch.cli", *words, "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    after = os.times()
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    took = {
        "wall_minutes": round((time.monotonic() - started) / 60, 2),
        "core_minutes": round(seconds / 60, 2),
    }
    return json.loads(done.stdout), took


def run_ablation(arguments: argparse.Namespace, what: str, extra: Sequence[str] = ()) -> None:
    """Run effsearch ablate in its run directory, append what came out, and print it."""
    setting = SETTINGS[arguments.data]
    report, took = call(
        [
            *("ablate", "--base", str(write_base(arguments.folder)), "--factor", str(FACTOR)),
            *(
                "--seeds",
                str(arguments.seeds),
                "--seed",
                "0",
                "--run",
                str(arguments.folder / f"arms-{arguments.data}"),
            ),
            *setting.words(arguments.epochs, arguments.images),
            *extra,
            *(() if arguments.workers is None else ("--workers", str(arguments.workers))),
        ]
    )
    append_record(NAME, {"what": what, "on": arguments.data, **took, "report": report})
    print_report(report)


def print_report(report: Mapping[str, Any]) -> None:
    """Print the table, and how far what was searched is ahead of the paper's triple."""
    print_ablation(report)
    rows = {
        row["name"]: dict(zip(row["replicates"], row["accuracies"], strict=True)) for row in report["arms"]
    }
    if "paper" in rows:
        pairs = [
            rows["compound"][place] - rows["paper"][place]
            for place in rows["compound"]
            if place in rows["paper"]
        ]
        ahead = mean_interval([100 * pair for pair in pairs])
        interval = "" if ahead.low is None else f" ({ahead.low:+.2f} to {ahead.high:+.2f})"
        print(f"the searched triple less the paper's: {ahead.mean:+.2f} points{interval}, {len(pairs)} pairs")


def run_search(arguments: argparse.Namespace) -> None:
    """Run effsearch scale's coefficient search in its run directory, and append what it found."""
    run = search_run(arguments)
    report, took = call(
        [
            *("scale", "--search", "grid", "--base", str(write_base(arguments.folder)), "--phi", "1"),
            *("--minutes", f"{arguments.minutes:g}", "--seed", str(arguments.seed), "--run", str(run)),
            *("--out", str(run.with_name(f"{run.name}-family"))),
            *SETTINGS[arguments.data].words(arguments.epochs, arguments.images),
            *(() if arguments.workers is None else ("--workers", str(arguments.workers))),
        ]
    )
    record = {
        "what": run.name,
        "on": arguments.data,
        "seed": arguments.seed,
        "minutes": arguments.minutes,
        **took,
        **{
            key: report.get(key)
            for key in ("coefficients", "set", "set_networks", "trials", "interval", "check")
        },
    }
    append_record(NAME, record)
    print(_search_words(record))


def search_run(arguments: argparse.Namespace) -> Path:
    """Give the run directory of a search."""
    run: Path = arguments.folder / f"search-{arguments.data}-s{arguments.seed}"
    return run


def write_base(folder: Path) -> Path:
    """Write the base's spec file and give its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "eight-blocks.json"
    write_text_atomic(path, to_json(base_network()))
    return path


def print_records() -> None:
    """Print the newest table of each kind, the searches, and whether their winners are in one another's sets."""
    records = read_records(NAME)
    newest = {record["what"]: record for record in records}
    for record in newest.values():
        if "report" in record:
            print(f"\n{record['what']}: {record['core_minutes']} core-minutes in the last call")
            print_report(record["report"])
    searches = [record for record in newest.values() if record.get("coefficients") and "report" not in record]
    for record in searches:
        triple, others = record["coefficients"], [one for one in searches if one["on"] == record["on"]]
        print(f"\n{_search_words(record)}")
        for other in others:
            if other is not record and other["set"] is not None:
                print(f"  inside the set of {other['what']}: {'yes' if triple in other['set'] else 'no'}")


def _search_words(record: Mapping[str, Any]) -> str:
    triple = ", ".join(f"{name} {value:g}" for name, value in record["coefficients"].items())
    return (
        f"{record['what']}: {triple} after {record['trials']} networks; "
        f"{len(record['set'] or ())} triples cannot be told apart from it, intervals {record['interval']}"
    )


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for command in ("run", "search", "searched"):
        one = commands.add_parser(command)
        one.add_argument("--data", choices=sorted(SETTINGS), default="cifar10")
        one.add_argument("--folder", type=Path, default=Path("runs/ablation"))
        one.add_argument("--workers", type=int)
        one.add_argument("--epochs", type=int, help="other than the setting's, for a trial of the script")
        one.add_argument("--images", type=int, help="likewise")
        one.add_argument("--seeds", type=int, default=NUM_SEEDS, help="of each network")
        one.add_argument("--seed", type=int, default=0, help="of the search")
        one.add_argument("--minutes", type=float, default=60.0, help="of the search")
    commands.add_parser("table")
    arguments = parser.parse_args()
    match arguments.command:
        case "run":
            run_ablation(arguments, f"arms-{arguments.data}")
        case "search":
            run_search(arguments)
        case "searched":
            # In the run of the table: what is trained there stays, and only the new triple's network is added.
            extra = ("--coefficients", str(search_run(arguments)), "--arms", ",".join(ARM_NAMES))
            name = f"searched-{arguments.data}-s{arguments.seed}"
            run_ablation(arguments, name, extra)
        case "table":
            print_records()


if __name__ == "__main__":
    main()
