"""What does a search lose when it is killed? Driver, worker or both, at random moments and in the middle of writes.

    python benchmarks/robustness/kills.py [--count 200] [--seed 0]

Searches with three rungs and checkpoints are killed with SIGKILL, resumed, and killed again until they end. Of the
kills of the driver half come at a random moment, half inside a chosen write: of the ledger, the journal, a
checkpoint, or between a file's writing and its renaming. Counted are finished trainings that are gone, finished
trainings that begin again, calls that do not resume, trials that are left running, workers that outlive the driver,
and the seconds from a resume to the first new training. Appends to benchmarks/results/robustness.jsonl.
"""

import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import trial_search
from asking import parser_for
from trial_search import (
    Formula,
    check_ended,
    children_of,
    finished,
    fork_search,
    scratch,
    trained_after,
    wait_gone,
)

NAME = "robustness"
PLACES = ("ledger", "journal", "checkpoint", "fsync", "rename")
NUM_TRIALS, NUM_WORKERS = 24, 2
TRAIN_SECONDS = 0.02
MOST_SECONDS = 240.0  # of one call


def die_in(place: str, count: int, share: float) -> Any:
    """Give what has its caller die inside the `count`-th write of a kind, after a share of the bytes."""

    def arm() -> None:
        left = [count]

        def is_now() -> bool:
            left[0] -= 1
            return left[0] == 0

        def die() -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        write, fsync, rename, write_bytes = os.write, os.fsync, os.replace, Path.write_bytes
        if place == "ledger":

            def torn(descriptor: int, data: bytes) -> int:
                if data.startswith(b'{"schema_version"') and is_now():
                    write(descriptor, data[: int(share * len(data))])
                    die()
                return write(descriptor, data)

            os.write = torn
        elif place == "journal":
            from optuna.storages.journal import JournalFileBackend

            append = JournalFileBackend.append_logs

            def append_torn(self: Any, logs: Any) -> None:
                if is_now():
                    path = Path(self._file_path)
                    before = path.stat().st_size
                    append(self, logs)
                    size = path.stat().st_size
                    os.truncate(path, before + int(share * (size - before)))
                    die()
                append(self, logs)

            JournalFileBackend.append_logs = append_torn
        elif place == "checkpoint":

            def torn_bytes(self: Path, data: bytes) -> int:
                if is_now():
                    write_bytes(self, data[: int(share * len(data))])
                    die()
                return write_bytes(self, data)

            Path.write_bytes = torn_bytes
        elif place == "fsync":

            def no_sync(descriptor: int) -> None:
                if is_now():
                    die()
                fsync(descriptor)

            os.fsync = no_sync
        else:

            def no_rename(source: Any, target: Any, **more: Any) -> None:
                if is_now():
                    die()
                rename(source, target, **more)

            os.replace = no_rename

    return arm


def kill_until_done(folder: Path, number: int, rng: random.Random, left: int) -> list[dict[str, Any]]:
    """Kill one search again and again until it ends, and give what came of each kill."""
    run, log, err = folder / f"run{number}", folder / f"run{number}.log", folder / f"run{number}.err"
    formula = Formula(log=log, seconds=TRAIN_SECONDS)
    options = {"formula": formula, "num_trials": NUM_TRIALS, "num_workers": NUM_WORKERS, "seed": number}
    kills: list[dict[str, Any]] = []
    before: list[tuple[str, int, int]] = []
    moment = 0.0
    while True:
        target = rng.choice(("driver", "driver", "worker", "both")) if len(kills) < left else "nobody"
        place = rng.choice((*PLACES, *("moment",) * len(PLACES))) if target == "driver" else "moment"
        arm = None
        if place != "moment":
            arm = die_in(place, rng.randint(1, 12), rng.random())
        started = time.time()
        process = fork_search(run, before=arm, err=err, **options)
        workers: set[int] = set()
        kill_at = rng.uniform(0.05, 2.5) if place == "moment" and target != "nobody" else float("inf")
        first_after: float | None = None
        was_killed, code = False, None
        while code is None:
            time.sleep(0.01)
            seconds = time.time() - started
            workers |= set(children_of(process)) if len(workers) < NUM_WORKERS + 1 else set()
            if first_after is None and run.exists() and len(trained_after(log, started)):
                first_after = seconds
            if seconds > kill_at:
                kill_at = float("inf")
                mine = [one for one in children_of(process) if trial_search.is_there(one)]
                workers |= set(mine)
                victims = (
                    mine[-1:]
                    if target == "worker"
                    else [process, *mine[-1:]]
                    if target == "both"
                    else [process]
                )
                for victim in victims:
                    try:
                        os.kill(victim, signal.SIGKILL)
                        was_killed = True
                    except ProcessLookupError:
                        pass
            if seconds > MOST_SECONDS:
                os.kill(process, signal.SIGKILL)
            ended, status = os.waitpid(process, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(status)
        was_killed |= code == -signal.SIGKILL
        orphans = wait_gone(sorted(workers), 10.0)
        now_finished = finished(run) if (run / "ledger.jsonl").exists() else []
        lost = before != now_finished[: len(before)]
        twice = set(trained_after(log, moment)) & set(before)
        outcome = {
            "target": target,
            "place": place,
            "was_killed": was_killed,
            "code": code,
            "lost": int(lost),
            "twice": len(twice),
            "orphans": len(orphans),
            "first_seconds": first_after,
        }
        if code not in (0, -signal.SIGKILL):
            outcome["error"] = err.read_text()[-500:]
        kills.append(outcome)
        before, moment = now_finished, time.time()
        if code == 0:
            kills[-1]["wrong"] = check_ended(run)
            return kills
        if code != -signal.SIGKILL or len(kills) > left + 20:
            return kills


def main() -> None:
    """Kill, check, print, and append."""
    from recording import append_record

    options = parser_for(__doc__, count=200).parse_args()
    trial_search.load()
    rng = random.Random(options.seed)
    calls: list[dict[str, Any]] = []
    started, number = time.time(), 0
    with scratch("kills") as folder:
        while sum(call["was_killed"] for call in calls) < options.count:
            left = options.count - sum(call["was_killed"] for call in calls)
            calls += kill_until_done(folder, number, rng, left)
            number += 1
            print(f"{sum(call['was_killed'] for call in calls)} kills, {number} searches", flush=True)
    kills = [call for call in calls if call["was_killed"]]
    resumed = [call for call in calls if call["code"] in (0, -signal.SIGKILL)]
    seconds = sorted(call["first_seconds"] for call in calls if call["first_seconds"] is not None)
    record = {
        "what": "kills",
        "seed": options.seed,
        "kills": len(kills),
        "by_place": {place: sum(call["place"] == place for call in kills) for place in (*PLACES, "moment")},
        "by_target": {
            one: sum(call["target"] == one for call in kills) for one in ("driver", "worker", "both")
        },
        "searches": number,
        "finished_lost": sum(call["lost"] for call in calls),
        "trained_twice": sum(call["twice"] for call in calls),
        "not_resumed": len(calls) - len(resumed),
        "left_wrong": [call["wrong"] for call in calls if call.get("wrong")],
        "orphans": sum(call["orphans"] for call in calls),
        "first_training_seconds_median": round(seconds[len(seconds) // 2], 2) if seconds else None,
        "first_training_seconds_most": round(seconds[-1], 2) if seconds else None,
        "errors": [call["error"] for call in calls if "error" in call][:5],
        "seconds": round(time.time() - started),
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(record)
    if not options.no_record:
        append_record(NAME, record)
    bad = ("finished_lost", "trained_twice", "not_resumed", "orphans")
    raise SystemExit(any(record[name] for name in bad) or bool(record["left_wrong"]))


if __name__ == "__main__":
    main()
