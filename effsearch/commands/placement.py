"""Where do a command's trainings run, and how long may one take?

The value that a user's options become; `pools` acts on it. Neither torch nor Optuna is needed to make one.
"""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from effsearch.proxy_train.device_names import Device, DeviceKind, PrecisionName
from effsearch.proxy_train.train_function import TrainFunction
from effsearch.results.run_files import is_run, read_settings
from effsearch.search.fidelity import relative_cost
from effsearch.search.placement.time_limit import MOST_MINUTES
from effsearch.space.errors import UsageError
from effsearch.space.outcome import Fidelity, Job, Precision

Engine = Literal["local", "ray", "inline"]

LEAST_GPU_SHARE = 0.05
MOST_WORKERS = 10_000

TIMES_EXPECTED = 10.0  # what a training may take at the most, in times of what it is expected to take
SPARE_SECONDS = 60.0  # beside that: a worker that was just started loads torch first
# A run goes on with other ones: none of them changes a score.
PLACEMENT_SETTINGS = frozenset({"num_workers", "engine", "address", "trial_minutes"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """Where trainings run."""

    num_workers: int
    engine: Engine = "local"
    address: str = ""  # of a Ray cluster; "" starts one on this machine
    trial_minutes: float | None = None  # None: as many times what is expected as above
    device: DeviceKind = "cpu"
    precision: Precision = "float32"  # asked for, of products on a CPU; a GPU has its own
    gpu_share: float = 1.0  # of a GPU that a worker takes; a cluster places workers by it
    cpus_per_trial: float = 1.0  # that a cluster counts for a worker
    fills_gpus: bool = False  # whether the number of workers is to become what the GPUs hold
    train_function: TrainFunction | None = None  # what trains in place of effsearch's own loop

    def __post_init__(self) -> None:
        if self.num_workers < 1:
            raise UsageError(f"--workers must be at least 1, got {self.num_workers}")
        if self.num_workers > MOST_WORKERS:
            raise UsageError(f"--workers must be at most {MOST_WORKERS:,}, got {self.num_workers}")
        if self.address and self.engine != "ray":
            raise UsageError("--address names a Ray cluster: give it with --engine ray")
        if self.engine == "inline" and self.train_function is None:
            raise UsageError(
                "--engine inline is for a training loop of your own: give baseline, scale or validate one by "
                "--train-fn"
            )
        if self.engine == "inline" and self.num_workers != 1:
            raise UsageError(f"--engine inline trains one at a time, got --workers {self.num_workers}")
        if self.engine == "inline" and self.trial_minutes is not None:
            raise UsageError(
                "--trial-timeout ends a worker that hangs, and --engine inline has none: leave it out"
            )
        if self.trial_minutes is not None and not 0 < self.trial_minutes < MOST_MINUTES:
            raise UsageError(f"--trial-timeout must be above 0, got {self.trial_minutes:g}")

    def to_settings(self) -> dict[str, Any]:
        """Give what is stored with a run, as JSON values; what scores depend on is stored with the training."""
        return {name: value for name, value in asdict(self).items() if name in PLACEMENT_SETTINGS}

    def seconds_allowed(self, expected_seconds: float, fidelity: Fidelity) -> Callable[[Job], float | None]:
        """Give what says how long a training may take before its worker is stopped.

        Args:
            expected_seconds: Of one training of the larger networks, with a core of its own; 0 is not known.
            fidelity: Of that training; the times of others are in proportion.
        """
        if self.trial_minutes is not None:
            seconds = 60 * self.trial_minutes
            return lambda job: seconds
        if not expected_seconds:
            return lambda job: None
        allowed = TIMES_EXPECTED * expected_seconds * self.workers_per_core / relative_cost(fidelity)
        return lambda job: allowed * relative_cost(job.fidelity) + SPARE_SECONDS

    @property
    def workers_per_core(self) -> float:
        """How many local workers share a core; at least 1, and 1 on a cluster, which gives each its own.

        On a GPU all count: trainings that share one may take as many times as long as one alone.
        """
        if self.device == "cuda":
            return float(self.num_workers) if self.engine == "local" else max(1.0, 1 / self.gpu_share)
        return max(1.0, self.num_workers / usable_cores()) if self.engine == "local" else 1.0


def make_placement(
    *,
    num_workers: int | None = None,
    engine: Engine = "local",
    address: str | None = None,
    trial_minutes: float | None = None,
    device: Device = "cpu",
    precision: PrecisionName = "auto",
    gpu_share: float | None = None,
    cpus_per_trial: float | None = None,
    run: Path | None = None,
    train_function: TrainFunction | None = None,
) -> Placement:
    """Settle what a user has said of it; None leaves it to effsearch.

    Args:
        num_workers: Trainings side by side.
        engine: What does them.
        address: Of a Ray cluster.
        trial_minutes: That one may take.
        device: "auto" is the device of the run that goes on, else a GPU where there is one; on a cluster the CPU.
        precision: "auto" is that of the run that goes on, else float32.
        gpu_share: Of a GPU that a worker takes.
        cpus_per_trial: Cores that a cluster counts for a worker.
        run: That may be there already.
        train_function: What trains, None for effsearch's own loop. A run keeps its function's name and hash alone.

    Raises:
        UsageError: It contradicts itself, or asks for what is not installed or not there.
        RunError: There is no cluster at the address.
    """
    _require_train_function(train_function, run)
    if engine == "ray" and importlib.util.find_spec("ray") is None:
        raise UsageError("--engine ray needs Ray: pip install 'effsearch[ray]'")
    if cpus_per_trial is not None and engine != "ray":
        raise UsageError("--cpus-per-trial is for a cluster: give it with --engine ray")
    if cpus_per_trial is not None and not cpus_per_trial > 0:
        raise UsageError(f"--cpus-per-trial must be above 0, got {cpus_per_trial:g}")
    if cpus_per_trial is not None and not address and cpus_per_trial > usable_cores():
        raise UsageError(
            f"--cpus-per-trial {cpus_per_trial:g} is more than this machine has, which is {usable_cores()}: give "
            "fewer, or the --address of a cluster that has nodes with so many"
        )
    num_slots = None if gpu_share is None else slots_for_share(gpu_share)
    kind = _settle_device(device, engine, run)
    if gpu_share is not None and kind == "cpu":
        raise UsageError("--gpu-share is for a GPU: give it with --device cuda")
    if precision != "auto" and kind == "cuda":
        raise UsageError("--precision is for the CPU: a GPU computes convolutions in bfloat16 where it can")
    is_open = num_workers is None
    if num_workers is None and engine == "ray" and address:
        from effsearch.search.placement.ray_pool import count_workers

        num_workers = count_workers(
            address,
            cpus_per_task=1.0 if cpus_per_trial is None else cpus_per_trial,
            gpus_per_task=0.0 if kind == "cpu" else 1.0 if gpu_share is None else gpu_share,
        )
    if num_workers is None:
        is_wide = (kind == "cpu" or engine == "ray") and engine != "inline"
        num_workers = usable_cores() if is_wide else 1
    if num_slots is not None and is_open and engine == "local":
        from effsearch.proxy_train.device import num_gpu_workers, visible_gpus

        num_workers = num_gpu_workers(
            num_gpus=visible_gpus(), slots_per_gpu=num_slots, num_cores=usable_cores()
        )
    return Placement(
        num_workers=num_workers,
        engine=engine,
        address=address or "",
        trial_minutes=trial_minutes,
        device=kind,
        precision=_settle_precision(precision, kind, run),
        gpu_share=1.0 if gpu_share is None else gpu_share,
        cpus_per_trial=1.0 if cpus_per_trial is None else cpus_per_trial,
        fills_gpus=is_open
        and kind == "cuda"
        and engine == "local"
        and gpu_share is None
        and train_function is None,
        train_function=train_function,
    )


def slots_for_share(share: float) -> int:
    """Give how many trials share one GPU where each gets a share of it.

    Raises:
        UsageError: The share is not from .05 to 1.
    """
    if not LEAST_GPU_SHARE <= share <= 1:
        raise UsageError(f"--gpu-share must be from {LEAST_GPU_SHARE:g} to 1, got {share:g}")
    return int(1 / share + 1e-9)  # 1 / .2 is not to fall to 4


def _settle_device(device: Device, engine: Engine, run: Path | None) -> DeviceKind:
    if device == "auto" and run is not None and is_run(run):
        stored = read_settings(run).settings.get("training", {}).get("device", "cpu")
        device = "cuda" if stored == "cuda" else "cpu"
    if engine == "ray":  # its nodes have the devices, not this machine
        return "cuda" if device == "cuda" else "cpu"
    if device == "cpu":  # torch need not be loaded to know
        return "cpu"
    from effsearch.proxy_train.device import resolve_device

    return "cuda" if resolve_device(device).type == "cuda" else "cpu"


def _settle_precision(precision: PrecisionName, device: DeviceKind, run: Path | None) -> Precision:
    if precision != "auto" or device == "cuda" or run is None or not is_run(run):
        return "float32" if precision == "auto" else precision
    stored = read_settings(run).settings.get("training", {}).get("precision", "float32")
    return "bfloat16" if stored == "bfloat16" else "float32"


def _require_train_function(given: TrainFunction | None, run: Path | None) -> None:
    """Ask for the function of a run that goes on: what a run directory names is never imported by itself."""
    if given is not None or run is None or not is_run(run):
        return
    training = read_settings(run).settings.get("training")
    name = training.get("train_fn") if isinstance(training, dict) else None
    if name is not None:
        raise UsageError(f"{run} was trained by {name}: give it again, with --train-fn or train_fn=")


def usable_cores() -> int:
    """Give the cores of this machine that this process may use."""
    affinity: Callable[[int], set[int]] | None = getattr(os, "sched_getaffinity", None)  # not on macOS
    return max(1, len(affinity(0)) if affinity else os.cpu_count() or 1)
