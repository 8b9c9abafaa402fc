"""What does a process do before it trains?"""

import torch

from effsearch.proxy_train.kernels.switch import turn_on
from effsearch.proxy_train.memory import keep_freed_memory


def prepare_worker() -> None:
    """Give torch one thread, keep its freed memory for the next step, and train on our own kernels.

    With as many trainings as cores one thread each is fastest, and scores are the same to the bit.
    """
    torch.set_num_threads(1)
    keep_freed_memory()
    turn_on()
