"""Does a long search with faults come to its end, with its counts right and its memory flat?

    python benchmarks/robustness/soak.py [--count 5000] [--seed 0]

Thousands of trainings by formula on two worker processes, of which one in twenty goes wrong: the loss is no number,
memory runs out, the worker dies, is killed, or the training code breaks. Memory is the driver's, every hundred
trainings; flat means that the mean of the last quarter is within a tenth of the third's. Appends to
benchmarks/results/robustness.jsonl.
"""

import os
import statistics
import time
from pathlib import Path
from typing import Any

import trial_search
from asking import parser_for
from trial_search import Formula, get_ready, scratch

NAME = "robustness"
FAULTS = 0.05


def megabytes() -> float:
    """Give what this process holds now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def main() -> None:
    """Train, count, print, and append."""
    from recording import append_record

    from effsearch.results.evaluations import to_entry
    from effsearch.results.ledger import Ledger, read_entries
    from effsearch.search.placement.local_pool import ProcessPool
    from effsearch.search.placement.pool_executor import PoolExecutor
    from effsearch.search.study import JournalStudy, finished_trial
    from effsearch.space.canonical import network_hash
    from effsearch.space.cost import count_cost
    from effsearch.space.outcome import Job, derive_seed

    parser = parser_for(__doc__, count=5_000)
    parser.add_argument("--most-growth", type=float, default=0.1, help="of memory, over the second half")
    options = parser.parse_args()
    from datetime import UTC, datetime

    problem = trial_search.make_problem(1)
    spec = problem.space.spec_at((0,) * len(problem.space.dimensions), resolution=32, num_classes=10)
    labels = problem.space.labels_at((0,) * len(problem.space.dimensions))
    network, cost = network_hash(spec), count_cost(spec)
    formula = Formula(seconds=0.0, faults=FAULTS)
    memory: list[float] = []
    started = time.time()
    counts = {"scored": 0, "failed": 0}
    expected = {"scored": 0, "failed": 0}

    def start_pool(work: Any) -> Any:
        return ProcessPool(work, num_workers=2, prepare=get_ready)

    with scratch("soak") as folder, Ledger.open(folder / "ledger.jsonl") as ledger:
        study = JournalStudy(folder / "study.journal", study_name="baseline")
        executor = PoolExecutor(formula, start_pool)
        try:
            handed = ended = 0
            while ended < options.count:
                while handed < options.count and executor.num_running < executor.num_slots:
                    seed = derive_seed(options.seed, network, handed)
                    expected["failed" if seed % 10_007 / 10_007 < FAULTS else "scored"] += 1
                    executor.submit(
                        Job(
                            kind="trial",
                            name=f"trial {handed}",
                            spec=spec,
                            network=network,
                            cost=cost,
                            fidelity=problem.rungs[0],
                            seed=seed,
                            choices=labels,
                        )
                    )
                    handed += 1
                evaluation = executor.wait()
                ended += 1
                counts["failed" if evaluation.result is None else "scored"] += 1
                ledger.append(
                    to_entry(evaluation, data_fingerprint="d", settings_hash="s", now=datetime.now(UTC))
                )
                values = None if evaluation.result is None else (evaluation.result.val_accuracy,)
                study.add(
                    finished_trial(
                        problem.space, labels, values=values, network=f"{network}-{evaluation.job.seed}"
                    )
                )
                if ended % max(1, options.count // 50) == 0:
                    memory.append(megabytes())
        finally:
            executor.close()
        entries = read_entries(folder / "ledger.jsonl")
        in_ledger = {
            "scored": sum(entry.has_succeeded for entry in entries),
            "failed": sum(not entry.has_succeeded for entry in entries),
        }
        in_study = len(study.study.get_trials(deepcopy=False))
        reasons = sorted({entry.failure.split(":")[0][:40] for entry in entries if entry.failure})
    third, last = memory[len(memory) // 2 : 3 * len(memory) // 4], memory[3 * len(memory) // 4 :]
    growth = statistics.fmean(last) / statistics.fmean(third) - 1
    are_right = counts == expected == in_ledger and in_study == options.count
    record = {
        "what": "soak",
        "seed": options.seed,
        "trials": options.count,
        "counts": counts,
        "counts_right": are_right,
        "reasons": reasons,
        "megabytes": [round(memory[0], 1), round(memory[len(memory) // 2], 1), round(memory[-1], 1)],
        "growth_over_second_half": round(growth, 4),
        "seconds": round(time.time() - started),
        "load_average": round(os.getloadavg()[0], 1),
    }
    print(record)
    if not options.no_record:
        append_record(NAME, record)
    raise SystemExit(not are_right or growth > options.most_growth)


if __name__ == "__main__":
    main()
