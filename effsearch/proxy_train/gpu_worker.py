"""What does a process do before it trains on a GPU?"""

from multiprocessing.sharedctypes import Synchronized

import torch

from effsearch.proxy_train.device import gpu_of_worker
from effsearch.proxy_train.worker import prepare_worker


def prepare_gpu_worker(turn: "Synchronized[int]", num_gpus: int) -> None:
    """Prepare as on a CPU, and take the GPU whose turn it is.

    Args:
        turn: Shared by all workers: how many have started. One that replaces another takes the next turn, too.
        num_gpus: Of this machine.
    """
    prepare_worker()
    with turn.get_lock():
        worker = turn.value
        turn.value += 1
    torch.cuda.set_device(gpu_of_worker(worker, num_gpus=num_gpus))
