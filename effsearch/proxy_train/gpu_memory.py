"""How many trainings does a GPU hold at once?

One is run for two steps in a process of its own, so that the process that asks takes no memory of the GPU itself.
"""

import dataclasses
import multiprocessing
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import torch

from effsearch.proxy_train.device import compute_on, resolve_device, slots_for_memory
from effsearch.proxy_train.memory import memory_as_failure
from effsearch.proxy_train.score import normalisation_of, opened_images, score_on_split
from effsearch.proxy_train.short_training import train_proxy
from effsearch.proxy_train.train import TrainSettings
from effsearch.space.cost import count_cost
from effsearch.space.outcome import Fidelity, TrainingFailed
from effsearch.space.proxy import proxy_spec
from effsearch.space.spec import ModelSpec

NUM_STEPS = 2
NUM_SCORED = 500  # two batches


def measure_gpu_slots(
    handle: Path,
    specs: Sequence[ModelSpec],
    fidelity: Fidelity,
    settings: TrainSettings,
    *,
    growth: float = 1.0,
) -> int:
    """Give how many trainings of the largest of some networks the first GPU holds at once.

    Args:
        handle: Of the decoded images.
        specs: Networks at the target.
        fidelity: That they train at; its size, width and strides count.
        settings: Of the training.
        growth: How many times as much as these the networks to come may take.
    """
    largest = max(specs, key=lambda spec: count_cost(proxy_spec(spec, fidelity, num_classes=10)).activations)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        try:
            peak_bytes, free_bytes = pool.submit(
                _measure_memory, handle, largest, fidelity, settings
            ).result()
        except (TrainingFailed, BrokenProcessPool):  # not even one fits: the trainings will say so
            return 1
    return slots_for_memory(peak_bytes=int(growth * peak_bytes), free_bytes=free_bytes)


def _measure_memory(
    handle: Path, spec: ModelSpec, fidelity: Fidelity, settings: TrainSettings
) -> tuple[int, int]:
    """Give the bytes that a training and its scoring take at the most, and those that were free before."""
    compute = compute_on(resolve_device("cuda"))
    free_bytes, _ = torch.cuda.mem_get_info()
    images = opened_images(handle)
    short = dataclasses.replace(fidelity, num_images=NUM_STEPS * settings.batch_size, num_epochs=1)
    with memory_as_failure():
        training = train_proxy(images, spec, short, 0, settings, compute)
        score_on_split(
            training.model,
            images.val,
            normalisation=normalisation_of(images),
            resolution=fidelity.resolution,
            max_images=NUM_SCORED,
            compute=compute,
        )
    return torch.cuda.max_memory_reserved(), free_bytes
