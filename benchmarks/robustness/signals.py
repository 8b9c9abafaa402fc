"""How does a command end when it is interrupted or asked to end?

    python benchmarks/robustness/signals.py [--count 50] [--seed 0]

`effsearch baseline` on the embedded data is sent SIGINT and SIGTERM in turn, at moments drawn over all of a run:
while it loads, plans, trains and writes. Counted are calls that take ten seconds or more, end with another code
than 130 or 143, do not end with the one line that says how to go on, or leave processes or half-written files; some
get a second SIGINT, and must end within a second of it. Each is resumed once more at the end. Appends to
benchmarks/results/robustness.jsonl.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import trial_search
from asking import parser_for
from trial_search import children_of, is_there, scratch, wait_gone

NAME = "robustness"
LINE = (
    "baseline --space {space} --budget 1G-FLOPs --resolution 32 --images 64 --epochs 1 --proxy-resolution 16 "
    "--workers 2 --no-anchors --finalists 1 --seeds 2 --screen off --rungs 2 --sampler evolution --run {run} "
    "--trials {trials}"
)
SPAN_SECONDS = 25.0  # over which signals are spread; the load of the machine says what they meet


def command(folder: Path, run: Path, trials: int) -> list[str]:
    """Give the words of a search."""
    words = LINE.format(space=folder / "space.yaml", run=run, trials=trials)
    return [sys.executable, "-m", "effsearch.cli", *words.split()]


def stop_one(folder: Path, number: int, rng: random.Random, span: float) -> dict[str, Any]:
    """Start a search, send a signal, and say how it ended."""
    from effsearch.results.leftovers import find_leftovers

    run, err = folder / f"run{number % 5}", folder / "err"  # some resume, some begin
    result = run / "report.json"
    before = result.stat().st_mtime_ns if result.exists() else 0
    sent = signal.SIGINT if number % 2 else signal.SIGTERM
    with err.open("wb") as file:
        process = subprocess.Popen(
            command(folder, run, 6 + 3 * number),
            stdout=subprocess.DEVNULL,
            stderr=file,
            start_new_session=True,
        )
    # The very first moments are the interpreter's own: no command has begun.
    moment = rng.uniform(0.0, span)
    until = time.monotonic() + moment
    while not _has_begun(process.pid) and process.poll() is None:
        time.sleep(0.02)
        until = time.monotonic() + moment
    workers: set[int] = set()
    while time.monotonic() < until and process.poll() is None:
        workers |= set(children_of(process.pid))
        time.sleep(0.05)
    if process.poll() is not None:
        return {
            "signal": sent.name,
            "moment": moment,
            "met": False,
            "code": process.returncode,
            "said": err.read_text()[-300:],
        }
    workers |= set(children_of(process.pid))
    is_twice = sent == signal.SIGINT and number % 8 == 1
    started = time.monotonic()
    process.send_signal(sent)
    second = 0.0
    if is_twice:
        time.sleep(0.3)
        second = time.monotonic()
        if process.poll() is None:
            process.send_signal(sent)
    code = process.wait(60)
    ended = time.monotonic()
    left = wait_gone(sorted(workers), 5.0)
    text = err.read_text()
    # Python's last moments have no handler. If all was done by then, or for a second signal, that is as good an end.
    is_done = result.exists() and result.stat().st_mtime_ns > before
    return {
        "signal": sent.name,
        "moment": round(moment, 1),
        "met": True,
        "is_done": is_done,
        "code": code,
        "expected": -sent if code == -sent and (is_twice or is_done) else 128 + sent,
        "seconds": round(ended - started, 2),
        "second_seconds": round(ended - second, 2) if is_twice else None,
        "orphans": len(left),
        "half_written": len(find_leftovers(run)),
        "traceback": "Traceback" in text or "Exception ignored" in text,
        "last": text.strip().splitlines()[-1][:160] if text.strip() else "",
    }


def _has_begun(process: int) -> bool:
    """Tell whether the command has put its answer to SIGTERM in place."""
    try:
        rows = dict(line.split(":", 1) for line in Path(f"/proc/{process}/status").read_text().splitlines())
        return bool(int(rows["SigCgt"], 16) >> (signal.SIGTERM - 1) & 1)
    except (OSError, KeyError, ValueError):
        return False


def main() -> None:
    """Try, print, and append."""
    from recording import append_record

    options = parser_for(__doc__, count=50, span=SPAN_SECONDS).parse_args()
    rng = random.Random(options.seed)
    begun = time.time()
    rows: list[dict[str, Any]] = []
    not_resumed = 0
    with scratch("signals") as folder:
        (folder / "space.yaml").write_text(trial_search.SPACE)
        number = 0
        while sum(row["met"] for row in rows) < options.count and number < 3 * options.count:
            rows.append(stop_one(folder, number, rng, options.span))
            print(json.dumps(rows[-1]), flush=True)
            number += 1
        for index in range(min(5, number)):
            run = folder / f"run{index}"
            if not run.exists():
                continue
            ended = subprocess.run(command(folder, run, 6), capture_output=True, text=True)
            not_resumed += ended.returncode != 0
            if ended.returncode:
                print(ended.stderr[-500:])
    met = [row for row in rows if row["met"]]
    single = [row for row in met if row["second_seconds"] is None]
    record = {
        "what": "signals",
        "seed": options.seed,
        "signals": {name: sum(row["signal"] == name for row in met) for name in ("SIGINT", "SIGTERM")},
        "after_the_result": sum(row["is_done"] for row in met),
        "over_10_seconds": sum(row["seconds"] >= 10 for row in single),
        "seconds_most": max((row["seconds"] for row in single), default=None),
        "second_sigint_seconds_most": max(
            (row["second_seconds"] for row in met if row["second_seconds"] is not None), default=None
        ),
        "wrong_code": [(row["code"], row["last"]) for row in met if row["code"] != row["expected"]],
        "unsaid": [row["last"] for row in single if row["code"] > 0 and not row["last"].endswith("goes on")],
        "tracebacks": sum(row["traceback"] for row in met),
        "orphans": sum(row["orphans"] for row in met),
        "half_written_files": sum(row["half_written"] for row in met),
        "not_resumed": not_resumed,
        "seconds": round(time.time() - begun),
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(record)
    if not options.no_record:
        append_record(NAME, record)
    bad = (
        "over_10_seconds",
        "wrong_code",
        "orphans",
        "half_written_files",
        "not_resumed",
        "tracebacks",
        "unsaid",
    )
    assert is_there(os.getpid())
    raise SystemExit(any(record[name] for name in bad))


if __name__ == "__main__":
    main()
