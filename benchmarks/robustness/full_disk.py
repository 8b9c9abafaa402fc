"""What does a search lose when there is no room, or its directory cannot be written or is gone?

    python benchmarks/robustness/full_disk.py [--count 50] [--seed 0]

A search is started in a process whose files may not grow beyond a size (RLIMIT_FSIZE), at sizes spread over what
its files come to, which meets every writer in its turn; where this user may mount, also on a small tmpfs that is
filled to the same offsets, on one that is read-only, and on one that is unmounted while the search goes on. Each
must end with one line and exit code 1, every finished training kept, no half-written file left, and go on to its
end once there is room. Appends to benchmarks/results/robustness.jsonl.
"""

import os
import random
import resource
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import trial_search
from asking import parser_for
from trial_search import Formula, check_ended, finished, fork_search, scratch, trained_after

NAME = "robustness"
NUM_TRIALS = 16
TMPFS_BYTES = 1_400_000


def limit_files(num_bytes: int) -> Any:
    """Give what has the process that calls it write no file beyond a size."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write then fails, as it does on a full disk
        resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, num_bytes))

    return limit


def one(
    folder: Path, run: Path, *, before: Any = None, free: Any = None, during: Any = None
) -> dict[str, Any]:
    """Run into the trouble, mend it, go on, and say what came of it."""
    name = f"{run.parent.name}-{run.name}"
    log, err = folder / f"{name}.log", folder / f"{name}.err"
    options = {"formula": Formula(log=log, seconds=0.005), "num_trials": NUM_TRIALS}
    process = fork_search(run, before=before, err=err, **options)
    if during is not None:
        during(process, log)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    lines = err.read_text().splitlines()
    moment = time.time()
    if free is not None:
        free()
    kept = finished(run) if (run / "ledger.jsonl").exists() else []
    process = fork_search(run, err=err, **options)
    again = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    now = finished(run) if (run / "ledger.jsonl").exists() else []
    return {
        "code": code,
        "lines": len(lines),
        "said": lines[-1] if lines else "",
        "kept": len(kept),
        "lost": int(now[: len(kept)] != kept),
        "twice": len(set(trained_after(log, moment)) & set(kept)),
        "resumed": again == 0,
        "why_not": "" if again == 0 else err.read_text()[-300:],
        "wrong": check_ended(run) if again == 0 else ["it did not end"],
    }


def mount(point: Path, options: str) -> bool:
    """Mount a small tmpfs; tell whether that could be done."""
    point.mkdir(exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", options, "effsearch-bench", str(point)]
    return subprocess.run(words, capture_output=True).returncode == 0


def on_full_tmpfs(folder: Path, num_bytes: int, number: int) -> dict[str, Any] | None:
    """Search where there is room for so many bytes."""
    point = folder / f"disk{number}"
    if not mount(point, f"size={TMPFS_BYTES}"):
        return None
    try:
        filler = point / "filler"
        filler.write_bytes(b"\0" * max(0, TMPFS_BYTES - 4096 * 8 - num_bytes))
        return one(folder, point / "run", free=filler.unlink)
    finally:
        subprocess.run(["umount", "-l", str(point)], capture_output=True)


def on_read_only(folder: Path) -> dict[str, Any] | None:
    """Go on with a search whose directory has become read-only."""
    point = folder / "readonly"
    if not mount(point, "size=8m"):
        return None

    def remount(how: str) -> None:
        subprocess.run(["mount", "-o", f"remount,{how}", str(point)], check=True, capture_output=True)

    try:
        trial_search.search(point / "run", num_trials=4, formula=Formula(seconds=0.005))
        remount("ro")
        return one(folder, point / "run", free=lambda: remount("rw"))
    finally:
        subprocess.run(["umount", "-l", str(point)], capture_output=True)


def on_vanishing(folder: Path, number: int) -> dict[str, Any]:
    """Search in a directory that is moved away meanwhile, as a mount that goes and comes back."""
    place, away = folder / f"place{number}", folder / f"away{number}"
    place.mkdir()

    def during(process: int, log: Path) -> None:
        wait_for(lambda: log.exists() and len(log.read_text().splitlines()) > 3 + number, process)
        place.rename(away)

    def free() -> None:
        if place.exists():
            shutil.rmtree(place)
        away.rename(place)

    return one(folder, place / f"run{number}", during=during, free=free)


def wait_for(is_so: Any, process: int) -> None:
    """Wait until something is so, a minute at the most, or the process has ended."""
    until = time.monotonic() + 60
    while time.monotonic() < until and not is_so() and trial_search.is_there(process):
        time.sleep(0.005)


def main() -> None:
    """Try, print, and append."""
    from recording import append_record

    options = parser_for(__doc__, count=50).parse_args()
    trial_search.load()
    rng = random.Random(options.seed)
    started = time.time()
    tried: list[dict[str, Any]] = []

    def note(what: str, outcome: dict[str, Any] | None) -> None:
        if outcome is not None:
            tried.append({"what": what, **outcome})
            print(tried[-1], flush=True)

    with scratch("disk") as folder:
        trial_search.search(folder / "whole", num_trials=NUM_TRIALS, formula=Formula(seconds=0.0))
        largest = (folder / "whole" / "ledger.jsonl").stat().st_size
        for index in range(options.count):
            size = int(rng.uniform(1_000, 1.05 * largest))  # an error line must fit too
            if index % 2:
                note("tmpfs", on_full_tmpfs(folder, int(1.5 * size), index))
            else:
                note("file size", one(folder, folder / f"run{index}", before=limit_files(size)))
        for number in range(max(1, options.count // 10)):
            note("vanishing", on_vanishing(folder, number))
        note("read-only", on_read_only(folder))
    hit = [row for row in tried if row["code"] != 0]
    kinds = {row["what"] for row in tried}
    record = {
        "what": "full disk",
        "seed": options.seed,
        "tried": {kind: sum(row["what"] == kind for row in tried) for kind in sorted(kinds)},
        "met_the_trouble": {kind: sum(row["what"] == kind for row in hit) for kind in sorted(kinds)},
        "not_one_line": sum(row["lines"] != 1 for row in hit),
        "exit_code_not_1": sum(row["code"] != 1 for row in hit),
        "finished_lost": sum(row["lost"] for row in tried),
        "trained_twice": sum(row["twice"] for row in tried),
        "not_resumed": sum(not row["resumed"] for row in tried),
        "left_wrong": [row["wrong"] for row in tried if row["wrong"]][:5],
        "said": sorted({row["said"].replace(str(folder), "")[:120] for row in hit})[:8],
        "seconds": round(time.time() - started),
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(record)
    if not options.no_record:
        append_record(NAME, record)
    bad = ("not_one_line", "exit_code_not_1", "finished_lost", "trained_twice", "not_resumed")
    raise SystemExit(any(record[name] for name in bad) or bool(record["left_wrong"]))


if __name__ == "__main__":
    main()
