"""What are latencies measured with, and is it there?"""

import importlib.util
import platform
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from effsearch.space.errors import UsageError
from effsearch.space.latency_table import LatencyConditions

Runtime = Literal["torch", "onnxruntime"]
DeviceName = Literal["cpu", "cuda"]

ONNX_PACKAGES = ("onnx", "onnxruntime")
CUDA_PROVIDER = "CUDAExecutionProvider"


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyTarget:
    """What a pass runs with."""

    runtime: Runtime = "torch"
    device: DeviceName = "cpu"
    num_threads: int = 1
    batch_size: int = 1

    def __post_init__(self) -> None:
        for option, value in (("--threads", self.num_threads), ("--batch", self.batch_size)):
            if value < 1:
                raise UsageError(f"{option} must be at least 1, got {value}")


def has_onnxruntime() -> bool:
    """Tell whether the packages are there that a network runs with on onnxruntime."""
    return all(importlib.util.find_spec(name) is not None for name in ONNX_PACKAGES)


def runtimes_for(device: DeviceName) -> list[Runtime]:
    """Give the runtimes that are there for a device; torch in any case."""
    if not has_onnxruntime():
        return ["torch"]
    import onnxruntime

    has_device = device == "cpu" or CUDA_PROVIDER in onnxruntime.get_available_providers()
    return ["torch", "onnxruntime"] if has_device else ["torch"]


def require_target(target: LatencyTarget) -> LatencyConditions:
    """Give what times of a target are compared by.

    Raises:
        UsageError: The runtime is not installed, or finds no such device.
    """
    if target.runtime == "onnxruntime":
        if not has_onnxruntime():
            raise UsageError("--runtime onnxruntime needs onnxruntime: pip install 'effsearch[onnx]'")
        import onnxruntime

        if target.device == "cuda" and CUDA_PROVIDER not in onnxruntime.get_available_providers():
            raise UsageError(
                "this onnxruntime has no CUDA: for --device cuda, pip install onnxruntime-gpu in its place"
            )
    else:
        import torch

        if target.device == "cuda" and not torch.cuda.is_available():
            raise UsageError("torch finds no GPU here: take --device cpu")
    return LatencyConditions(
        runtime=target.runtime,
        version=version(target.runtime),
        device=target.device,
        num_threads=target.num_threads if target.device == "cpu" else 1,
        batch_size=target.batch_size,
        machine=machine_name(target.device),
    )


def machine_name(device: str) -> str:
    """Give the name of the processor or of the GPU."""
    if device == "cuda":
        import torch

        return torch.cuda.get_device_name() if torch.cuda.is_available() else "GPU"
    try:
        for line in Path("/proc/cpuinfo").read_text("utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:  # not Linux
        pass
    return platform.processor() or platform.machine()
