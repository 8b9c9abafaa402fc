"""What does a process do before it trains?"""

import torch


def prepare_worker() -> None:
    """Give torch one thread: with as many trainings as cores that is fastest, and scores are the same to the bit."""
    torch.set_num_threads(1)
    torch.set_num_interop_threads(1)
