import pytest
import torch

from effsearch.proxy_train.device import (
    FREE_SHARE,
    MAX_TRIALS_PER_GPU,
    ON_CPU,
    PROCESS_BYTES,
    compute_on,
    fits_on_device,
    gpu_of_worker,
    num_gpu_workers,
    release_memory,
    resolve_device,
    slots_for_memory,
)
from effsearch.space.errors import UsageError

GIB = 2**30
CPU = torch.device("cpu")


@pytest.fixture
def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.fixture
def one_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)


@pytest.mark.usefixtures("no_gpu")
def test_without_a_gpu_auto_is_the_cpu():
    assert resolve_device("auto") == resolve_device("cpu") == CPU


@pytest.mark.usefixtures("one_gpu")
def test_with_a_gpu_auto_is_the_gpu_and_cpu_still_the_cpu():
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda")
    assert resolve_device("cpu") == CPU


@pytest.mark.usefixtures("no_gpu")
def test_a_gpu_that_is_not_there_is_refused():
    with pytest.raises(UsageError, match=r"^--device cuda: torch finds no CUDA device on this machine"):
        resolve_device("cuda")


def test_a_device_that_there_is_not_is_refused():
    with pytest.raises(UsageError, match="--device must be one of auto, cpu, cuda, got 'tpu'"):
        resolve_device("tpu")


def test_the_cpu_trains_as_always():
    assert compute_on(CPU) is ON_CPU
    assert ON_CPU.precision == "float32"
    assert compute_on(CPU, "bfloat16").wants_narrow_products
    assert not any((ON_CPU.has_resident_images, ON_CPU.has_autocast, ON_CPU.has_graphs))
    assert ON_CPU.steps_per_look == 1
    assert fits_on_device(10**15, CPU)
    release_memory(CPU)


def test_trials_that_share_a_gpu_fit_into_its_free_memory():
    for free_bytes in (GIB, 4 * GIB, 24 * GIB, 80 * GIB):
        for peak_bytes in (GIB // 8, GIB, 3 * GIB, 20 * GIB):
            slots = slots_for_memory(peak_bytes=peak_bytes, free_bytes=free_bytes)
            each = peak_bytes + PROCESS_BYTES
            assert 1 <= slots <= MAX_TRIALS_PER_GPU
            assert slots == 1 or slots * each <= FREE_SHARE * free_bytes
            assert slots == MAX_TRIALS_PER_GPU or (slots + 1) * each > FREE_SHARE * free_bytes


def test_more_memory_never_means_fewer_slots_and_larger_networks_never_more():
    by_free = [slots_for_memory(peak_bytes=2 * GIB, free_bytes=free * GIB) for free in range(1, 90)]
    by_peak = [slots_for_memory(peak_bytes=peak * GIB, free_bytes=80 * GIB) for peak in range(1, 90)]
    assert by_free == sorted(by_free)
    assert by_peak == sorted(by_peak, reverse=True)
    assert {by_free[0], by_peak[-1]} == {1}
    assert {by_free[-1], by_peak[0]} == {MAX_TRIALS_PER_GPU}


def test_each_worker_has_a_slot_and_a_core():
    assert num_gpu_workers(num_gpus=1, slots_per_gpu=4, num_cores=16) == 4
    assert num_gpu_workers(num_gpus=4, slots_per_gpu=8, num_cores=16) == 16
    assert num_gpu_workers(num_gpus=2, slots_per_gpu=1, num_cores=1) == 1


@pytest.mark.parametrize("num_gpus", [1, 2, 3, 8])
def test_workers_are_spread_evenly_over_gpus(num_gpus):
    gpus = [gpu_of_worker(worker, num_gpus=num_gpus) for worker in range(13)]
    counts = [gpus.count(gpu) for gpu in range(num_gpus)]
    assert sum(counts) == 13
    assert max(counts) - min(counts) <= 1
    assert gpus[:num_gpus] == list(range(num_gpus))
