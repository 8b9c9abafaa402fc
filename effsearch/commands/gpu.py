"""How many trainings share the GPUs of this machine, where the user leaves it to effsearch?"""

import dataclasses
from collections.abc import Sequence

import torch

from effsearch.commands.placement import Placement, usable_cores
from effsearch.commands.watching import Watcher
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.device import num_gpu_workers
from effsearch.proxy_train.gpu_memory import measure_gpu_slots
from effsearch.proxy_train.train import TrainSettings
from effsearch.space.outcome import Fidelity
from effsearch.space.spec import ModelSpec


def fill_gpus(
    placement: Placement,
    images: ImageData,
    specs: Sequence[ModelSpec],
    *,
    fidelity: Fidelity,
    growth: float = 1.0,
    watcher: Watcher,
) -> Placement:
    """Give a placement with as many workers as the GPUs hold; any other as it is.

    Args:
        placement: As the user asks.
        images: The data.
        specs: Networks such as will be trained; the largest is measured.
        fidelity: That they are measured at; its size, width and strides count.
        growth: How many times as large as these the networks get.
        watcher: Is told what was found.
    """
    if not placement.fills_gpus:
        return placement
    slots = measure_gpu_slots(images.handle, specs, fidelity, TrainSettings(), growth=growth)
    num_gpus = torch.cuda.device_count()
    num_workers = num_gpu_workers(num_gpus=num_gpus, slots_per_gpu=slots, num_cores=usable_cores())
    watcher.say(
        f"device: {num_gpus} GPU(s) with memory for {slots} training(s) each; {num_workers} worker(s) "
        "(--gpu-share and --workers say otherwise)"
    )
    return dataclasses.replace(placement, num_workers=num_workers, fills_gpus=False)
