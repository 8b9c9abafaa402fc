"""What does a training compute on, and how?

On the CPU one thread gives the same weights to the bit, and the pointwise convolutions run in bfloat16 where that is
asked for and the processor can. On a GPU the images stay on the device, convolutions run in
bfloat16, nothing in a step waits for the host, and a long training replays its step as a CUDA graph. Scores of the
two differ in rounding, so the device is a part of what a score depends on.
"""

from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import get_args

import torch

from effsearch.proxy_train.device_names import Device
from effsearch.proxy_train.kernels import switch
from effsearch.space.errors import UsageError
from effsearch.space.outcome import Precision

MAX_TRIALS_PER_GPU = 8
# Of the free memory, what is planned with; fragments and the largest candidates need the rest.
FREE_SHARE = 0.9
# CUDA's own in each process, beside its tensors: its context, libraries and workspaces. Assumed, not measured.
PROCESS_BYTES = 700 * 2**20
# Of a GPU's memory, what the images of a split may take in one of up to eight processes.
RESIDENT_SHARE = 1 / 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Compute:
    """Where a training computes, and by which means."""

    device: torch.device
    has_resident_images: bool  # splits are copied to the device whole, once in each process
    has_autocast: bool  # bfloat16 in training; scores are always taken in float32
    has_graphs: bool  # the step of a long training is captured once and then replayed
    steps_per_look: int  # after how many steps the host looks at the losses; until then it runs ahead
    wants_narrow_products: bool = False  # bfloat16 in pointwise convolutions alone, where the kernels can

    def autocast(self) -> AbstractContextManager[object]:
        """Give the context that the forward pass of a training runs in."""
        if self.wants_narrow_products:
            return switch.narrow_products()
        # No weight is used twice in a pass, so a cache of cast weights would only take memory.
        return torch.autocast(
            self.device.type, dtype=torch.bfloat16, enabled=self.has_autocast, cache_enabled=False
        )

    @property
    def precision(self) -> Precision:
        """The precision that a training's convolutions have: that which was asked for, or what can be had."""
        is_narrow = self.has_autocast or (self.wants_narrow_products and switch.can_narrow())
        return "bfloat16" if is_narrow else "float32"


ON_CPU = Compute(
    device=torch.device("cpu"),
    has_resident_images=False,  # they are mapped into memory as it is
    has_autocast=False,  # the backward of depthwise convolutions loses more than the rest wins
    has_graphs=False,
    steps_per_look=1,
)


def resolve_device(name: Device) -> torch.device:
    """Give the device that a name stands for; "auto" is a GPU where there is one.

    Raises:
        UsageError: There is no such name, or no GPU.
    """
    if name not in get_args(Device):
        raise UsageError(f"--device must be one of {', '.join(get_args(Device))}, got {name!r}")
    if name == "cpu" or (name == "auto" and not torch.cuda.is_available()):
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise UsageError("--device cuda: torch finds no CUDA device on this machine; give --device cpu")
    return torch.device("cuda")


def visible_gpus() -> int:
    """Give how many GPUs this process may use."""
    return torch.cuda.device_count()


def compute_on(device: torch.device, precision: Precision = "float32") -> Compute:
    """Give how trainings run on a device: all that pays there, and in bfloat16 on a CPU only what is to be."""
    if device.type == "cpu":
        return ON_CPU if precision == "float32" else replace(ON_CPU, wants_narrow_products=True)
    return Compute(
        device=device,
        has_resident_images=True,
        has_autocast=torch.cuda.is_bf16_supported(including_emulation=False),
        has_graphs=True,
        steps_per_look=50,
    )


def fits_on_device(num_bytes: int, device: torch.device) -> bool:
    """Say whether the images of a split may be kept on a device."""
    if device.type == "cpu":
        return True
    return num_bytes <= RESIDENT_SHARE * torch.cuda.get_device_properties(device).total_memory


def release_memory(device: torch.device) -> None:
    """Hand memory that no tensor uses back to the device, for the other processes on it."""
    if device.type == "cuda":
        torch.cuda.empty_cache()


def slots_for_memory(*, peak_bytes: int, free_bytes: int) -> int:
    """Give how many trials share one GPU by what they need: from 1, even where that is too much, to 8.

    Args:
        peak_bytes: The most that one training takes, of the largest network.
        free_bytes: Memory of the GPU that nobody uses.
    """
    by_memory = int(FREE_SHARE * free_bytes) // (peak_bytes + PROCESS_BYTES)
    return min(max(by_memory, 1), MAX_TRIALS_PER_GPU)


def num_gpu_workers(*, num_gpus: int, slots_per_gpu: int, num_cores: int) -> int:
    """Give the number of workers where the user names none: all slots, as far as each has a core to launch from."""
    return max(1, min(num_gpus * slots_per_gpu, num_cores))


def gpu_of_worker(worker: int, *, num_gpus: int) -> int:
    """Give the GPU of a worker: they take turns, so that no GPU has two more than another."""
    return worker % num_gpus
