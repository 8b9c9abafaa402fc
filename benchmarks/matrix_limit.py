"""How many multiply-adds a second does a matrix product come to, here and now, by the best that torch has?

No single product is the limit: torch.mm may be another library's than the products that convolutions are made of, and
which is faster depends on the processor. All three multiply as much in a call; records keep the rate of each.
"""

import time
from collections.abc import Callable, Mapping
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier

import torch
from processes import run_processes
from torch import Tensor
from torch.nn import functional

from effsearch.proxy_train.memory import keep_freed_memory

Clock = Callable[[], float]

SIDE = 1_024
CALL_MULTIPLY_ADDS = SIDE**3
CONVOLVED = (16, 512, 16, 16)  # below a batch of 16 torch does not ask oneDNN


def products(dtype: torch.dtype = torch.float32) -> dict[str, Callable[[], Tensor]]:
    """Give the products that are tried, by name."""
    one, other = torch.randn(SIDE, SIDE, dtype=dtype), torch.randn(SIDE, SIDE, dtype=dtype)
    packed = one.to_mkldnn()
    images = torch.randn(CONVOLVED, dtype=dtype).contiguous(memory_format=torch.channels_last)
    weight = torch.randn(CONVOLVED[1], CONVOLVED[1], 1, 1, dtype=dtype)
    return {
        "torch.mm": lambda: torch.mm(one, other),
        "oneDNN linear": lambda: functional.linear(packed, other),
        "oneDNN convolution": lambda: functional.conv2d(images, weight),
    }


def rate_of(multiply: Callable[[], Tensor], seconds: float, clock: Clock = time.process_time) -> float:
    """Give the multiply-adds per second that a product comes to; its first call does not count.

    Args:
        multiply: The product.
        seconds: How long it is called.
        clock: By which; what is compared with the rate is to be timed by the same. Where other work takes the cores,
            the process's own time goes on only while it computes, and the wall's goes on.
    """
    with torch.inference_mode():
        multiply()
        started, number = clock(), 0
        while clock() - started < seconds:
            multiply()
            number += 1
        return number * CALL_MULTIPLY_ADDS / (clock() - started)


def time_products(
    seconds: float, clock: Clock, barrier: Barrier, answers: "SimpleQueue[dict[str, float]]"
) -> None:
    """Answer with the rate of each product on one thread, all processes at the same one."""
    torch.set_num_threads(1)
    keep_freed_memory()
    rates = {}
    for name, multiply in products().items():
        barrier.wait()
        rates[name] = rate_of(multiply, seconds, clock)
    answers.put(rates)


def measure_products(
    num_processes: int, *, seconds: float = 1.0, clock: Clock = time.process_time
) -> dict[str, float]:
    """Give the multiply-adds per second of each product, all processes together; `rate_of` has the arguments."""
    answers: list[dict[str, float]] = run_processes(num_processes, time_products, seconds, clock)
    return {name: sum(answer[name] for answer in answers) for name in answers[0]}


def limit_of(rates: Mapping[str, float]) -> tuple[str, float]:
    """Give the fastest product and its rate."""
    return max(rates.items(), key=lambda item: item[1])


def words_of(rates: Mapping[str, float]) -> str:
    """Give the rates as words, the fastest first."""
    ordered = sorted(rates.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {rate / 1e9:.0f}" for name, rate in ordered) + " G multiply-adds a second"
