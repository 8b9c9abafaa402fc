"""What does `effsearch export --to onnx-int8` cost in accuracy, and what does it save?

    python benchmarks/int8.py --resolution 16 --epochs 8    # train, quantise, record
    python benchmarks/int8.py table

A network of NAS-Bench-Macro, by default the winner of a search of `end_to_end.py`, is trained on CIFAR-10 by
`effsearch train --recipe fast`, one thread. A training that is stopped goes on where it was, in --folder; what stands
in results/int8.jsonl is not repeated. Latency is of one image on one thread of onnxruntime.
"""

import argparse
import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from macro_data import shared_data, spec_of
from recording import append_record, read_records

from effsearch.space.cost import count_cost
from effsearch.space.text import to_json

NAME = "int8"


def run_network(key: str, *, resolution: int, num_epochs: int, seed: int, folder: Path) -> None:
    """Train a network, or go on with it, quantise it and record what that changed."""
    done = {(row["key"], row["resolution"], row["epochs"], row["seed"]) for row in read_records(NAME)}
    if (key, resolution, num_epochs, seed) in done:
        return
    spec = dataclasses.replace(spec_of(key), resolution=resolution)  # so that no stride is removed
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{key}-{resolution}px.json"
    path.write_text(to_json(spec))
    run = folder / f"{path.stem}-{num_epochs}ep-seed{seed}"
    data = str(shared_data() / "cifar10-images.tar.xz")
    how = f"--recipe fast --epochs {num_epochs} --resolution {resolution} --seed {seed} --device cpu"
    trained = effsearch("train", str(path), "--data", data, *how.split(), "--run", str(run))
    model = folder / f"{run.name}.onnx"
    exported = effsearch("export", str(run), "--to", "onnx-int8", "--data", data, "--out", str(model))
    found = exported["quantised"]
    record = {
        "key": key,
        "multiply_adds": count_cost(spec).multiply_adds,
        "parameters": count_cost(spec).parameters,
        "resolution": resolution,
        "epochs": num_epochs,
        "seed": seed,
        "train_seconds": round(trained["train_seconds"], 1),
        "test_accuracy": trained["test"]["accuracy"],
        **{name: value for name, value in found.items() if name != "seed"},
        "accuracy_lost": found["float32"]["accuracy"] - found["int8"]["accuracy"],
    }
    append_record(NAME, record)


def effsearch(*words: str) -> dict[str, Any]:
    """Run a command on one thread, and give its report; what it says meanwhile is shown."""
    line = [sys.executable, "-m", "effsearch.cli", *words, "--json"]
    done = subprocess.run(
        line, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"}
    )
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def default_key() -> str:
    """Give the winner of the first recorded search."""
    return next(record["winner"]["key"] for record in read_records("end_to_end") if "winner" in record)


def print_table() -> None:
    """Print what has been measured."""
    print("| network | FLOPs | px | epochs | seed | float32 | int8 | bytes | ms, float32 | ms, int8 |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in read_records(NAME):
        plain, int8 = row["float32"], row["int8"]
        print(
            f"| {row['key']} | {row['multiply_adds'] / 1e6:.1f} M | {row['resolution']} | {row['epochs']} "
            f"| {row['seed']} | {plain['accuracy']:.2%} | {int8['accuracy']:.2%} "
            f"| {int8['bytes'] / plain['bytes']:.0%} "
            f"| {1000 * plain['latency_seconds']:.3f} | {1000 * int8['latency_seconds']:.3f} |"
        )


def main() -> None:
    """Parse and do."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", nargs="?", choices=["run", "table"], default="run")
    parser.add_argument("--key", default="", help="of NAS-Bench-Macro; default: the first search's winner")
    parser.add_argument("--resolution", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("runs/int8"))
    arguments = parser.parse_args()
    if arguments.what == "run":
        for seed in range(arguments.seeds):
            run_network(
                arguments.key or default_key(),
                resolution=arguments.resolution,
                num_epochs=arguments.epochs,
                seed=seed,
                folder=arguments.folder,
            )
    print_table()


if __name__ == "__main__":
    main()
