"""How fast do trainings run on a GPU, how many at once, and what does a whole search find in ten minutes?

    python benchmarks/gpu.py speed                    # images per second, beside a plain loop and the GPU's limits
    python benchmarks/gpu.py search                   # `baseline` on CIFAR-10, its winner against B0 over three seeds
    python benchmarks/gpu.py speed --device cpu --toy # the same code at toy size; appends nothing

Both need EFFSEARCH_SHARED_DATA for CIFAR-10, but at toy size. Results go to results/gpu.jsonl.
"""

import argparse
import dataclasses
import multiprocessing
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import numpy as np
import torch
from macro_data import load_cifar, shared_data, spec_of
from recording import append_record
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

from effsearch.commands.inputs import read_text
from effsearch.proxy_train.build import build_model
from effsearch.proxy_train.data.cache import default_cache_dir
from effsearch.proxy_train.data.datasets import ImageData, load_images
from effsearch.proxy_train.device import compute_on, resolve_device
from effsearch.proxy_train.device_names import DeviceKind
from effsearch.proxy_train.evaluator import ProxyEvaluator, evaluate_on_test
from effsearch.proxy_train.gpu_memory import measure_gpu_slots
from effsearch.proxy_train.score import normalisation_of, opened_images
from effsearch.proxy_train.short_training import for_short_training
from effsearch.proxy_train.train import EpochLog, TrainSettings, make_optimizer, train_model
from effsearch.proxy_train.worker import prepare_worker
from effsearch.results.run_files import read_settings
from effsearch.space.cost import count_cost
from effsearch.space.errors import EffsearchError
from effsearch.space.outcome import Fidelity
from effsearch.space.presets import load_preset
from effsearch.space.proxy import proxy_spec
from effsearch.space.spec import ModelSpec
from effsearch.space.text import from_json

MACRO_KEYS = ("11111111", "22222222")  # expansion 3 in all layers, and 6
BATCH_SIZES = (64, 256)
AT_ONCE = (2, 4, 8)
SEEDS = (0, 1, 2)
LONGER = 4
SETTINGS = TrainSettings()
FORWARD_AND_BACK = 3  # times the cost of the forward pass: it, and the two gradients of a convolution
LEAST_TRAFFIC = 10  # bytes an activation: bfloat16, written, read, read again, its gradient written and read
MOST_WAIT = 120.0  # seconds for the slowest of several trainings to end its first epoch

_barrier: list[Barrier] = []  # of this process, where several measure at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Timed:
    """A training to be timed, for other processes."""

    handle: Path
    spec: ModelSpec
    device: DeviceKind
    batch_size: int
    num_images: int
    num_epochs: int  # the first one is not timed


def main() -> None:
    """Measure as the command line says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("speed", "search"))
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--toy", action="store_true", help="a toy size, to see that the code runs")
    options = parser.parse_args()
    try:
        resolve_device(options.device)
    except EffsearchError as error:
        raise SystemExit(f"gpu.py: {error}") from None
    if options.device == "cpu" and not options.toy:
        raise SystemExit("gpu.py: --device cpu is for --toy: what is claimed is claimed of a GPU")
    (measure_speed if options.what == "speed" else measure_search)(options.device, is_toy=options.toy)


def keep(record: dict[str, Any], device: DeviceKind, *, is_toy: bool) -> None:
    """Print a record, and append it where it is a claim."""
    print(record, flush=True)
    if not is_toy:
        append_record("gpu", record | {"device": torch.cuda.get_device_name() if device == "cuda" else "cpu"})


def images_of(*, is_toy: bool) -> ImageData:
    """Give CIFAR-10, or a few small rendered images."""
    return load_images("synthetic", resolution=16, cache_dir=default_cache_dir()) if is_toy else load_cifar()


def measure_speed(device: DeviceKind, *, is_toy: bool) -> None:
    """Time trainings of three networks: ours alone, a plain loop, and several of ours at once."""
    images = images_of(is_toy=is_toy)
    limits = measure_limits(torch.device(device), is_toy=is_toy)
    keep({"what": "limits", **limits}, device, is_toy=is_toy)
    fidelity = Fidelity(
        num_images=64,
        num_epochs=1,
        resolution=images.resolution,
        num_removed_strides=2,
        width=0.25 if is_toy else 1,
    )
    networks = {"efficientnet-b0": proxy_spec(load_preset("efficientnet-b0"), fidelity, num_classes=10)}
    if not is_toy:
        networks |= {f"nas-bench-macro {key}": spec_of(key) for key in MACRO_KEYS}
    for name, spec in networks.items():
        spec = dataclasses.replace(spec, num_classes=images.num_classes, resolution=images.resolution)
        spec = for_short_training(spec, SETTINGS)
        for batch_size in (16,) if is_toy else BATCH_SIZES:
            timed = Timed(
                handle=images.handle,
                spec=spec,
                device=device,
                batch_size=batch_size,
                num_images=64 if is_toy else 12_800,
                num_epochs=3 if is_toy else 4,
            )
            alone = images_per_second(timed)
            record = {
                "what": "speed",
                "network": name,
                "batch_size": batch_size,
                "images": timed.num_images,
                "alone": alone,
                "plain": plain_images_per_second(timed),
                "share_of_matrix_products": alone * flops(spec) / limits["flops_per_second"],
                "share_of_copying": alone * traffic(spec) / limits["bytes_per_second"],
            }
            for number in (2,) if is_toy else AT_ONCE:
                record[f"{number} at once"] = images_per_second_at_once(timed, number)
            if device == "cuda":
                settings = dataclasses.replace(SETTINGS, batch_size=batch_size)
                own = Fidelity(num_images=1, num_epochs=1, resolution=images.resolution)
                record["slots"] = measure_gpu_slots(images.handle, [spec], own, settings)
            keep(record, device, is_toy=is_toy)


def flops(spec: ModelSpec) -> int:
    """Give the operations that an image takes in a training step, a multiply-add being two."""
    return 2 * FORWARD_AND_BACK * count_cost(spec).multiply_adds


def traffic(spec: ModelSpec) -> int:
    """Give the bytes that an image moves in a training step if only outputs of convolutions moved, and seldom."""
    return LEAST_TRAFFIC * count_cost(spec).activations


def measure_limits(device: torch.device, *, is_toy: bool) -> dict[str, float]:
    """Give what the device copies, and what it multiplies in bfloat16, in a second at the best."""
    side = 256 if is_toy else 8192
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    source = torch.zeros(2**20 if is_toy else 2**31, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return {
        "flops_per_second": 2 * side**3 / best_seconds(lambda: left @ right, device),
        "bytes_per_second": 2 * source.numel() / best_seconds(lambda: target.copy_(source), device),
    }


def best_seconds(work: Callable[[], object], device: torch.device) -> float:
    """Give the least seconds that some work took in ten goes, five of it each."""
    seconds = []
    for _ in range(10):
        wait_for(device)
        started = time.perf_counter()
        for _ in range(5):
            work()
        wait_for(device)
        seconds.append((time.perf_counter() - started) / 5)
    return min(seconds)


def wait_for(device: torch.device) -> None:
    """Wait until a device has done all that it was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def images_per_second(timed: Timed) -> float:
    """Give the speed of our loop from its second epoch on; waits for others after the first where there are any."""
    prepare_worker()
    images, compute = opened_images(timed.handle), compute_on(resolve_device(timed.device))
    ends: list[float] = []

    def end_epoch(log: EpochLog) -> None:
        wait_for(compute.device)
        if log.epoch == 1 and _barrier:
            _barrier[0].wait(timeout=MOST_WAIT)
        ends.append(time.perf_counter())

    train_model(
        build_model(timed.spec, seed=0).to(compute.device),
        images.train,
        settings=dataclasses.replace(SETTINGS, batch_size=timed.batch_size),
        normalisation=normalisation_of(images),
        resolution=images.resolution,
        num_images=timed.num_images,
        num_epochs=timed.num_epochs,
        seed=0,
        compute=compute,
        on_epoch=end_epoch,
    )
    num_images = timed.num_images // timed.batch_size * timed.batch_size * (timed.num_epochs - 1)
    return num_images / (ends[-1] - ends[0])


def images_per_second_at_once(timed: Timed, number: int) -> float:
    """Give the speed of several trainings together, each in a process of its own, all timed from one moment on."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(
        number, mp_context=context, initializer=_barrier.append, initargs=(context.Barrier(number),)
    ) as pool:
        # The slowest one's speed, times their number: the others wait for nobody and would flatter the sum.
        return number * min(pool.map(images_per_second, [timed] * number))


def plain_images_per_second(timed: Timed) -> float:
    """Give the speed of a loop as one writes it: a loader, bfloat16, channels-last, our optimizer and clipping."""
    prepare_worker()
    images, device = opened_images(timed.handle), torch.device(timed.device)
    model = build_model(timed.spec, seed=0).to(device).train()
    optimizer = make_optimizer(model, dataclasses.replace(SETTINGS, batch_size=timed.batch_size))
    for group in optimizer.param_groups:
        group["lr"] = 0.05
    pixels = torch.from_numpy(np.array(images.train.images[: timed.num_images])).permute(0, 3, 1, 2)
    labels = torch.from_numpy(np.array(images.train.labels[: timed.num_images]))
    loader = DataLoader(
        TensorDataset(pixels, labels),
        batch_size=timed.batch_size,
        shuffle=True,
        drop_last=True,
        pin_memory=device.type == "cuda",
    )
    started = 0.0
    for epoch in range(timed.num_epochs):
        if epoch == 1:
            wait_for(device)
            started = time.perf_counter()
        for batch, targets in loader:
            inputs = batch.to(device, non_blocking=True).float().div_(255).sub_(0.5).div_(0.25)
            inputs = inputs.contiguous(memory_format=torch.channels_last)
            if torch.rand(()) < 0.5:
                inputs = inputs.flip(3)
            with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
                loss = functional.cross_entropy(
                    model(inputs), targets.to(device, non_blocking=True), label_smoothing=0.1
                )
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 2.0)
            optimizer.step()
    wait_for(device)
    num_images = len(loader) * timed.batch_size * (timed.num_epochs - 1)
    return num_images / (time.perf_counter() - started)


def measure_search(device: DeviceKind, *, is_toy: bool) -> None:
    """Search for ten minutes, then train the winner and B0 four times longer over three seeds, on test images."""
    minutes = 0.2 if is_toy else 10.0
    images = images_of(is_toy=is_toy)
    data = ["synthetic"] if is_toy else [str(shared_data() / "cifar10-images.tar.xz")]
    small = [
        "--proxy-resolution",
        "16",
        "--images",
        "64",
        "--epochs",
        "1",
        "--proxy-width",
        "0.25",
        "--seeds",
        "1",
    ]
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        command = [sys.executable, "-c", "from effsearch.cli import main; main()", "baseline"]
        command += ["--budget", "400M-FLOPs", "--minutes", str(minutes), "--device", device]
        command += ["--data", *data, "--run", str(run), *(small if is_toy else [])]
        started = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        seconds = time.monotonic() - started
        winner = from_json(read_text(run / "specs" / "best.json", what="spec file"))
        settings = read_settings(run).settings
        num_trainings = len((run / "ledger.jsonl").read_text().splitlines())
    fidelity = Fidelity(**settings["fidelity"])
    longer = dataclasses.replace(fidelity, num_epochs=LONGER * fidelity.num_epochs)
    evaluate = ProxyEvaluator(handle=images.handle, settings=SETTINGS, device=device)
    record: dict[str, Any] = {
        "what": "search",
        "minutes": minutes,
        "seconds": round(seconds, 1),
        "workers": settings["num_workers"],
        "ledger_lines": num_trainings,
        "fidelity": dataclasses.asdict(longer),
        "winner_multiply_adds": count_cost(winner).multiply_adds,
    }
    for name, spec in (("winner", winner), ("efficientnet-b0", load_preset("efficientnet-b0"))):
        accuracies = [
            round(evaluate_on_test(evaluate, spec, longer, seed).test_accuracy, 4)
            for seed in (SEEDS[:2] if is_toy else SEEDS)
        ]
        record[name] = {
            "accuracies": accuracies,
            "mean": round(statistics.fmean(accuracies), 4),
            "deviation": round(statistics.stdev(accuracies), 4),
        }
    keep(record, device, is_toy=is_toy)


if __name__ == "__main__":
    main()
