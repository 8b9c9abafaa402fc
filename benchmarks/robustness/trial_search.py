"""What do the scripts beside this one break? A whole search whose trainings cost milliseconds.

All that keeps a search is the real thing: run directory, lock, ledger, Optuna's journal, checkpoints of rungs, worker
processes, status. Only the training is a formula: it notes that it began, sleeps, and gives a score by its seed.
This module is what worker processes load, so it loads nothing heavy by itself.
"""

import contextlib
import hashlib
import os
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1])]  # benchmarks/, for `recording`

if TYPE_CHECKING:
    from effsearch.space.outcome import Fidelity, ProxyResult
    from effsearch.space.spec import ModelSpec

SPACE = (
    "schema_version: 1\nname: small\nstem: {out_channels: 8}\nstages:\n"
    + "  - {channels: 8, repeats: [1, 2], kernel_size: [3, 5, 7]}\n" * 4
    + "head: {out_channels: 0}\n"
)
WEIGHTS_BYTES = 30_000


@dataclass(frozen=True, slots=True)
class Formula:
    """A training that costs `seconds` and leaves weights; it notes its beginning, so that one done twice shows.

    Args:
        log: File to note it in.
        seconds: Of one training.
        faults: Share of trainings that go wrong, in the ways that trainings do.
        keeps_weights: Whether it leaves weights.
    """

    log: Path | None = None
    seconds: float = 0.02
    faults: float = 0.0
    keeps_weights: bool = False

    def with_weights(self, checkpoint: bytes | None, *, keeps_weights: bool) -> "Formula":
        """Go on from weights, which must be as they were left."""
        assert checkpoint is None or len(checkpoint) == WEIGHTS_BYTES, "these weights were never written"
        return replace(self, keeps_weights=keeps_weights)

    def __call__(self, spec: "ModelSpec", fidelity: "Fidelity", seed: int) -> "ProxyResult":
        """Score by the seed."""
        from effsearch.space.canonical import network_hash
        from effsearch.space.outcome import OutOfMemory, ProxyResult, TrainingFailed

        if self.log is not None:
            line = f"{time.time()} {network_hash(spec)} {seed} {len(fidelity.stages)}\n".encode()
            descriptor = os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(descriptor, line)
            os.close(descriptor)
        time.sleep(self.seconds)
        luck = seed % 10_007 / 10_007
        if luck < self.faults:  # by the seed, so that a second attempt goes wrong alike
            kind = seed % 5
            if kind == 0:
                raise TrainingFailed("the loss became nan in step 3 of 9")
            if kind == 1:
                raise OutOfMemory("out of memory: 8 GiB asked, 4 free")
            if kind == 2:
                os._exit(7)
            if kind == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            raise ZeroDivisionError("a bug in somebody's training")
        weights = hashlib.shake_128(str(seed).encode()).digest(WEIGHTS_BYTES) if self.keeps_weights else None
        return ProxyResult(
            val_accuracy=seed % 997 / 997,
            val_loss=1.0,
            train_seconds=self.seconds,
            num_images_seen=64,
            weights=weights,
        )


def get_ready(slot: int) -> None:
    """Nothing: the formula needs no torch."""


def load() -> None:
    """Import all that a search needs, for processes that are forked from this one."""
    import effsearch.results.run_dir
    import effsearch.search.baseline
    import effsearch.search.placement.continuing_executor
    import effsearch.search.placement.local_pool
    import effsearch.search.placement.pool_executor
    import effsearch.search.proposers.make_proposer
    import effsearch.search.study
    import effsearch.space.space_text  # noqa: F401


def make_problem(num_rungs: int = 3) -> Any:
    """Give what is searched."""
    from effsearch.search.fidelity import continue_rungs, make_rungs
    from effsearch.search.problem import Problem
    from effsearch.space.budget import parse_budgets
    from effsearch.space.outcome import Fidelity
    from effsearch.space.space_text import space_from_yaml

    top = Fidelity(num_images=900, num_epochs=9, resolution=32)
    rungs = make_rungs(top, num_rungs=num_rungs, reduction=3)
    return Problem(
        space=space_from_yaml(SPACE),
        budgets=parse_budgets("1G-FLOPs"),
        resolution=32,
        num_classes=10,
        rungs=continue_rungs(rungs) if num_rungs > 1 else rungs,
    )


def search(
    run: Path,
    *,
    num_trials: int = 30,
    num_workers: int = 2,
    formula: Formula | None = None,
    sampler: Any = "evolution",
    num_rungs: int = 3,
    seed: int = 0,
) -> Any:
    """Search in a run directory as `effsearch baseline` does, or go on there.

    Raises:
        EffsearchError: What the command would print as its one line.
    """
    from effsearch.results.checkpoints import Checkpoints
    from effsearch.results.evaluations import from_entry, to_entry
    from effsearch.results.journal_file import mend_journal
    from effsearch.results.run_dir import create_or_resume
    from effsearch.results.run_files import JOURNAL_FILE
    from effsearch.results.status import StatusFile
    from effsearch.search.baseline import go_on_with_baseline
    from effsearch.search.placement.continuing_executor import ContinuingExecutor
    from effsearch.search.placement.local_pool import ProcessPool
    from effsearch.search.placement.pool_executor import PoolExecutor
    from effsearch.search.placement.watched_pool import WatchedPool
    from effsearch.search.problem import SearchSettings
    from effsearch.search.proposers.make_proposer import make_proposer
    from effsearch.search.study import JournalStudy, finished_trial
    from effsearch.space.text import to_json

    problem = make_problem(num_rungs)
    settings = SearchSettings(
        num_trials=num_trials,
        minutes=None,
        seed=seed,
        sampler=sampler,
        num_finalists=2,
        num_seeds=2,
        num_startup=4,
    )
    with create_or_resume(
        run,
        command="baseline",
        settings={"seed": seed},
        free_settings=frozenset(),
        now=datetime.now(UTC),
        runs_root=run.parent,
        is_newest=False,
    ) as directory:
        status = StatusFile(run, clock=time.time)
        with directory.open_ledger() as ledger:
            study = JournalStudy(run / JOURNAL_FILE, study_name="baseline", mend=mend_journal)

            def tell(evaluation: Any) -> None:
                job, result = evaluation.job, evaluation.result
                if job.choices and not job.replicate and job.kind == "trial":
                    values = None if result is None else (result.val_accuracy,)
                    study.add(finished_trial(problem.space, job.choices, values=values, network=job.network))

            def record(evaluation: Any) -> None:
                ledger.append(
                    to_entry(evaluation, data_fingerprint="d", settings_hash="s", now=datetime.now(UTC))
                )
                tell(evaluation)

            history = [from_entry(entry) for entry in ledger.entries]
            for evaluation in history:
                tell(evaluation)

            def start_pool(work: Any) -> Any:
                pool: Any = ProcessPool(work, num_workers=num_workers, prepare=get_ready)
                return WatchedPool(
                    pool,
                    measure=lambda value: (64, 0.0),
                    clock=time.monotonic,
                    notify=status.show_slots,
                    say=directory.log.note,
                )

            executor = ContinuingExecutor(
                PoolExecutor(formula or Formula(), start_pool),
                Checkpoints(run, say=directory.log.note),
                num_rungs=num_rungs,
            )
            try:
                result = go_on_with_baseline(
                    problem,
                    settings,
                    executor=executor,
                    make_proposer=lambda number: make_proposer(
                        problem, settings, screened={}, earlier=(), seed=seed + number
                    ),
                    clock=time.monotonic,
                    record=record,
                    history=history,
                )
            finally:
                executor.close()
        directory.write_spec("best", to_json(result.best.spec))
        directory.write_result({"trials": result.num_trials})
    return result


def run_as_command(work: Any) -> int:
    """Do some work with the endings of the command line, and give the exit code."""
    from effsearch.space.errors import EffsearchError

    def stop(number: int, frame: object) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        work()
    except EffsearchError as error:
        print(f"effsearch: {error}", file=sys.stderr, flush=True)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except SystemExit as error:
        return int(error.code or 0)
    return 0


def fork_search(run: Path, *, before: Any = None, err: Path | None = None, **options: Any) -> int:
    """Start a search in a process forked from this one, and give its number.

    Args:
        run: Directory.
        before: Called in the new process first.
        err: File that gets its stderr.
        options: Of `search`.
    """
    process = os.fork()
    if process:
        return process
    code = 70
    try:
        if err is not None:
            descriptor = os.open(err, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
            os.dup2(descriptor, 2)
        if before is not None:
            before()
        code = run_as_command(partial(search, run, **options))
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stderr.flush()
        os._exit(code)


def children_of(process: int) -> list[int]:
    """Give the processes that one has started, workers of a search among them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == process:
                found.append(int(path.parent.name))
    return found


def is_there(process: int) -> bool:
    """Tell whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, IndexError):
        return False


def wait_gone(processes: list[int], seconds: float) -> list[int]:
    """Wait for processes to end, and give those that did not."""
    until = time.monotonic() + seconds
    while (left := [one for one in processes if is_there(one)]) and time.monotonic() < until:
        time.sleep(0.01)
    return left


def trained_after(log: Path, moment: float) -> list[tuple[str, int, int]]:
    """Give the trainings (network, seed, stages) that began after a moment."""
    if not log.exists():
        return []
    rows = [line.split() for line in log.read_text().splitlines()]
    return [(row[1], int(row[2]), int(row[3])) for row in rows if len(row) == 4 and float(row[0]) > moment]


def finished(run: Path) -> list[tuple[str, int, int]]:
    """Give the trainings (network, seed, stages) whose line is whole in the ledger, oldest first."""
    from effsearch.results.ledger import read_entries

    def num_stages(fidelity: Any) -> int:
        return 1 + (num_stages(fidelity["continues"]) if "continues" in fidelity else 0)

    return [
        (entry.network_hash, entry.seed, num_stages(entry.fidelity))
        for entry in read_entries(run / "ledger.jsonl")
    ]


def check_ended(run: Path) -> list[str]:
    """Say what is wrong with a run that has ended: nothing half done, nothing twice, nothing left."""
    import optuna

    from effsearch.results.ledger import read_entries
    from effsearch.results.leftovers import find_leftovers
    from effsearch.search.study import journal_storage

    wrong = []
    entries = read_entries(run / "ledger.jsonl")  # refuses a key that was scored twice
    study = optuna.load_study(study_name="baseline", storage=journal_storage(run / "study.journal"))
    states = {trial.state.name for trial in study.trials}
    if not states <= {"COMPLETE", "FAIL"}:
        wrong.append(f"trials are {states}")
    told = [trial.user_attrs["network"] for trial in study.trials]
    first = {entry.network_hash for entry in entries if entry.kind == "trial"}
    if set(told) != first or len(told) != len(set(told)):
        wrong.append(f"the study has {len(told)} networks, the ledger {len(first)}")
    if left := find_leftovers(run):
        wrong.append(f"half-written files: {left}")
    if (run / "run.lock").read_text():
        wrong.append("the lock names somebody")
    return wrong


@contextlib.contextmanager
def scratch(name: str) -> Iterator[Path]:
    """Give an empty folder that is gone afterwards."""
    import tempfile

    with tempfile.TemporaryDirectory(prefix=f"effsearch-{name}-") as folder:
        yield Path(folder)
