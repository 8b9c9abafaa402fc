"""How long does one image take on this machine?"""

import statistics
import time

import torch

from effsearch.proxy_train.build import build_model
from effsearch.space.spec import ModelSpec

NUM_WARM = 2
NUM_TIMED = 7


def measure_latency(spec: ModelSpec) -> float:
    """Give the median seconds of a forward pass: one image at the network's resolution, fresh weights, one thread."""
    model = build_model(spec, seed=0).eval()
    image = torch.zeros(1, 3, spec.resolution, spec.resolution).contiguous(memory_format=torch.channels_last)
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    seconds = []
    try:
        with torch.inference_mode():
            for index in range(NUM_WARM + NUM_TIMED):
                started = time.perf_counter()
                model(image)
                if index >= NUM_WARM:
                    seconds.append(time.perf_counter() - started)
    finally:
        torch.set_num_threads(num_threads)
    return statistics.median(seconds)
