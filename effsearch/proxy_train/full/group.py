"""Which of several processes is this one, and how do they train one network together?

`torchrun` starts them and says so in the environment; each has a GPU, or one core with the kernels. All draw the same
batches and each takes its share; gradients are averaged. Norms see their own process's share of a batch.
"""

import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from effsearch.space.errors import UsageError

WAIT = timedelta(hours=2)  # for the first process, while it decodes or scores


@dataclass(frozen=True, slots=True)
class Group:
    """The processes of one training."""

    rank: int = 0
    size: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that scores, writes and speaks."""
        return self.rank == 0

    def wait(self) -> None:
        """Wait until all have come as far."""
        if self.size > 1:
            distributed.barrier()

    def tell(self, text: str) -> str:
        """Give what the first process says, in all of them."""
        if self.size == 1:
            return text
        words = [text]
        distributed.broadcast_object_list(words)
        return words[0]

    def mean(self, number: float) -> float:
        """Give the mean of a number over all processes."""
        if self.size == 1:
            return number
        device = "cuda" if distributed.get_backend() == "nccl" else "cpu"
        total = torch.tensor(number, dtype=torch.float64, device=device)
        distributed.all_reduce(total)
        return float(total) / self.size

    def wrap(self, model: nn.Module) -> nn.Module:
        """Give a network whose gradients are averaged over the processes; alone the network itself."""
        return model if self.size == 1 else DistributedDataParallel(model)


ALONE = Group()


def unsynced(model: nn.Module, *, is_last: bool) -> AbstractContextManager[object]:
    """Give the context of a part of a step; gradients are averaged with the last one's."""
    if is_last or not isinstance(model, DistributedDataParallel):
        return nullcontext()
    return model.no_sync()


def has_launcher() -> bool:
    """Tell whether `torchrun` has started this process as one of several."""
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


@contextmanager
def joined(device: torch.device) -> Iterator[Group]:
    """Join the other processes for a while, where there are any.

    Raises:
        UsageError: The environment names processes but not how to find them.
    """
    if not has_launcher():
        yield ALONE
        return
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if name not in os.environ]
    if missing:
        raise UsageError(f"WORLD_SIZE is set but {', '.join(missing)} is not: start with torchrun")
    if device.type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=WAIT)
    try:
        with warnings.catch_warnings():
            # A 1x1 kernel is channels-last and not, at once: torch says of each that the two names differ.
            warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
            yield Group(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()
