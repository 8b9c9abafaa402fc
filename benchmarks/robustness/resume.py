"""How soon does a killed command show that it goes on?

    python benchmarks/robustness/resume.py [--count 5] [--seed 0]

`effsearch baseline` with real trainings on the embedded data is killed with SIGKILL after some trainings, driver and
workers, and resumed, again and again. Counted are finished trainings that are gone or done again; timed, by the wall
and by the cores of driver and workers, are the first line that it says and the first training that has ended since.
Appends to benchmarks/results/robustness.jsonl.
"""

import os
import random
import signal
import statistics
import subprocess
import time
from pathlib import Path
from typing import Any

import trial_search
from asking import parser_for
from signals import command
from trial_search import children_of, finished, scratch, wait_gone

NAME = "robustness"
MOST_SECONDS = 300.0


def core_seconds(processes: list[int]) -> float:
    """Give the time that processes have had on cores."""
    ticks = 0
    for process in processes:
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        except (OSError, IndexError):
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


def go_on(folder: Path, run: Path, num_more: int) -> dict[str, Any]:
    """Start the command, kill it after some more trainings, and say how soon what came."""
    before = finished(run)
    err = folder / "err"
    with err.open("wb") as file:
        process = subprocess.Popen(command(folder, run, 200), stdout=subprocess.DEVNULL, stderr=file)
    started = time.monotonic()
    said = trained = said_core = trained_core = None
    while time.monotonic() - started < MOST_SECONDS and process.poll() is None:
        time.sleep(0.02)
        everybody = [process.pid, *children_of(process.pid)]
        if said is None and err.stat().st_size:
            said, said_core = time.monotonic() - started, core_seconds(everybody)
        now = finished(run)
        if trained is None and len(now) > len(before):
            trained, trained_core = time.monotonic() - started, core_seconds(everybody)
        if len(now) >= len(before) + num_more:
            break
    everybody = [process.pid, *children_of(process.pid)]
    process.send_signal(signal.SIGKILL)
    process.wait()
    now = finished(run)
    return {
        "lost": int(now[: len(before)] != before),
        "twice": len(now) - len(set(now)),
        "orphans": len(wait_gone(everybody, 10.0)),
        "went_on": trained is not None,
        "said": said,
        "said_core": said_core,
        "trained": trained,
        "trained_core": trained_core,
    }


def main() -> None:
    """Kill, time, print, and append."""
    from recording import append_record

    options = parser_for(__doc__, count=5).parse_args()
    rng = random.Random(options.seed)
    rows = []
    with scratch("resume") as folder:
        (folder / "space.yaml").write_text(trial_search.SPACE)
        for _ in range(options.count + 1):
            rows.append(go_on(folder, folder / "run", rng.randint(1, 6)))
            print(rows[-1], flush=True)
    resumes = rows[1:]

    def median(name: str) -> float | None:
        values = [row[name] for row in resumes if row[name] is not None]
        return round(statistics.median(values), 2) if values else None

    record = {
        "what": "resume of the command",
        "seed": options.seed,
        "kills": len(resumes),
        "finished_lost": sum(row["lost"] for row in rows),
        "trained_twice": max(row["twice"] for row in rows),
        "orphans": sum(row["orphans"] for row in rows),
        "not_resumed": sum(not row["went_on"] for row in resumes),
        "first_line_seconds_median": median("said"),
        "first_line_core_seconds_median": median("said_core"),
        "first_training_seconds_median": median("trained"),
        "first_training_core_seconds_median": median("trained_core"),
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(record)
    if not options.no_record:
        append_record(NAME, record)
    raise SystemExit(
        any(record[name] for name in ("finished_lost", "trained_twice", "orphans", "not_resumed"))
    )


if __name__ == "__main__":
    main()
