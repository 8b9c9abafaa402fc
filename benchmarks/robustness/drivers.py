"""What do several drivers do to one another?

    python benchmarks/robustness/drivers.py [--count 5] [--drivers 4]

Two on one directory: the seconds until the second is turned away, its imports counted, with a process that does
nothing but start Python beside it. Four in four directories on one empty data cache, started at once: how many
decode, and whether all come to the same images. Appends to benchmarks/results/robustness.jsonl.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import trial_search
from asking import parser_for
from signals import command
from trial_search import scratch

NAME = "robustness"


def measure_second(folder: Path, number: int) -> dict[str, Any]:
    """Own a directory, and time how a driver is turned away there, new or with a run in it."""
    from effsearch.results.run_lock import claimed_run

    run = folder / f"run{number}"
    seconds, cpu, plain = [], [], []
    wrong = 0
    trial_search.search(run, num_trials=2, num_workers=1, num_rungs=1)
    with claimed_run(run):
        for _ in range(number):
            started = time.perf_counter(), os.times().children_user + os.times().children_system
            ended = subprocess.run(command(folder, run, 9), capture_output=True, text=True)
            seconds.append(time.perf_counter() - started[0])
            cpu.append(os.times().children_user + os.times().children_system - started[1])
            wrong += ended.returncode != 1 or f"in use by process {os.getpid()} on" not in ended.stderr
            started_plain = time.perf_counter()
            subprocess.run([sys.executable, "-c", "pass"], check=True)
            plain.append(time.perf_counter() - started_plain)
    return {
        "calls": number,
        "not_turned_away": wrong,
        "seconds_median": round(statistics.median(seconds), 2),
        "seconds_most": round(max(seconds), 2),
        "core_seconds_median": round(statistics.median(cpu), 2),
        "empty_python_seconds_median": round(statistics.median(plain), 2),
    }


def share_cache(folder: Path, number: int) -> dict[str, Any]:
    """Start drivers at once on one empty cache, and say how many decoded."""
    cache = folder / "cache"
    environment = os.environ | {"EFFSEARCH_CACHE": str(cache)}
    processes = [
        subprocess.Popen(
            command(folder, folder / f"own{index}", 2),
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(number)
    ]
    said = [process.communicate()[1] for process in processes]
    import json

    fingerprints = {
        json.loads((folder / f"own{index}" / "settings.json").read_text())["settings"]["data_fingerprint"]
        for index in range(number)
    }
    left = [path.name for path in cache.rglob(".*") if path.name.endswith(".part")]
    return {
        "drivers": number,
        "failed": [text[-200:] for process, text in zip(processes, said, strict=True) if process.returncode],
        "decoded": sum("rendering" in text or "decoding" in text for text in said),
        "fingerprints": len(fingerprints),
        "half_written": left,
    }


def main() -> None:
    """Measure, print, and append."""
    from recording import append_record

    options = parser_for(__doc__, has_seed=False, count=5, drivers=4).parse_args()
    with scratch("drivers") as folder:
        (folder / "space.yaml").write_text(trial_search.SPACE)
        second = measure_second(folder, options.count)
        print(second, flush=True)
        shared = share_cache(folder, options.drivers) if options.drivers else None
    record = {
        "what": "several drivers",
        "two_on_one_directory": second,
        "one_data_cache": shared,
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(record)
    if not options.no_record:
        append_record(NAME, record)
    is_bad = second["not_turned_away"]
    if shared is not None:
        is_bad |= bool(shared["failed"]) or shared["decoded"] != 1 or shared["fingerprints"] != 1
        is_bad |= bool(shared["half_written"])
    raise SystemExit(bool(is_bad))


if __name__ == "__main__":
    main()
