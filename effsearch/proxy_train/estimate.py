"""How long will one training take on this machine?"""

import time
from collections.abc import Callable

import torch
from torch.nn.functional import cross_entropy

from effsearch.proxy_train.build import build_model
from effsearch.proxy_train.device import ON_CPU, Compute
from effsearch.proxy_train.kernels.switch import turned_on
from effsearch.space.outcome import Fidelity
from effsearch.space.proxy import proxy_spec
from effsearch.space.spec import ModelSpec

NUM_TIMED_STEPS = 3
FORWARD_SHARE = 1 / 3  # of a training step's time


def estimate_seconds(
    spec: ModelSpec,
    fidelity: Fidelity,
    *,
    num_classes: int,
    num_val_images: int,
    batch_size: int,
    compute: Compute = ON_CPU,
) -> float:
    """Predict the seconds of one training from a few timed steps on noise: on one CPU thread, or alone on a GPU.

    On the CPU the thread's own time is taken: what else runs at the moment would make the plan of a whole search hang
    on it. On a GPU steps are called, which takes longer than to replay them; trials that share it take longer, too.

    Args:
        spec: Network at the target; its proxy is timed.
        fidelity: Of the training.
        num_classes: Of the data.
        num_val_images: Images scored after the training.
        batch_size: Of the training.
        compute: Device, and by which means it computes.
    """
    model = build_model(proxy_spec(spec, fidelity, num_classes=num_classes), seed=0)
    model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks it
    model = model.to(compute.device)
    model.train()
    generator = torch.Generator().manual_seed(0)
    size = (batch_size, 3, fidelity.resolution, fidelity.resolution)
    images = torch.randn(size, generator=generator).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(num_classes, (batch_size,), generator=generator)
    images, labels = images.to(compute.device), labels.to(compute.device)
    clock = _clock_of(compute)
    seconds = []
    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with turned_on():  # as a worker does
            for _ in range(NUM_TIMED_STEPS):
                started = clock()
                model.zero_grad(set_to_none=True)
                with compute.autocast():
                    loss = cross_entropy(model(images), labels)
                loss.backward()  # type: ignore[no-untyped-call]  # torch has not typed it
                seconds.append(clock() - started)
    finally:
        torch.set_num_threads(num_threads)
    num_steps = fidelity.num_images * fidelity.num_epochs / batch_size
    num_val_steps = num_val_images / batch_size * FORWARD_SHARE
    return min(seconds) * (num_steps + num_val_steps)


def _clock_of(compute: Compute) -> Callable[[], float]:
    if compute.device.type == "cpu":
        return time.thread_time

    def when_all_is_done() -> float:
        torch.cuda.synchronize(compute.device)
        return time.perf_counter()

    return when_all_is_done
