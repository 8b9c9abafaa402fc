"""How much faster do the kernels make a training step on one thread, and where does its time go?

python benchmarks/kernel_speed.py [NETWORK...]             # all of NETWORKS without arguments
python benchmarks/kernel_speed.py --bfloat16 [NETWORK...]  # products in bfloat16 against float32, both on the kernels

Steps on torch's operators and on the kernels take turns in one process; a ratio is of two neighbours' CPU time, so
what else the machine does weighs on both. The first step of each is not counted. Steps in either precision take turns
by ten.
"""

import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import nullcontext

import torch
from recording import append_record
from torch import Tensor
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

from effsearch.proxy_train.build import build_model
from effsearch.proxy_train.kernels.switch import can_narrow, narrow_products, turn_on, turned_off
from effsearch.proxy_train.short_training import for_short_training
from effsearch.proxy_train.train import TrainSettings, make_optimizer
from effsearch.proxy_train.worker import prepare_worker
from effsearch.space.outcome import Fidelity
from effsearch.space.presets import load_preset
from effsearch.space.proxy import proxy_spec
from effsearch.space.shipped_spaces import load_shipped_space
from effsearch.space.spec import ModelSpec

NAME = "kernel_speed"
BATCH = 64
NUM_PAIRS = 15
NUM_PROFILED = 3
NUM_OPERATORS = 8  # shown of each profile
NUM_ROUNDS = 7
STEPS_PER_ROUND = 10


def b0(resolution: int, num_removed_strides: int) -> ModelSpec:
    """Give what is trained in B0's place."""
    fidelity = Fidelity(
        num_images=BATCH, num_epochs=1, resolution=resolution, num_removed_strides=num_removed_strides
    )
    return proxy_spec(load_preset("efficientnet-b0"), fidelity, num_classes=10)


def macro(key: str, resolution: int) -> ModelSpec:
    """Give a network of NAS-Bench-Macro by the benchmark's key."""
    space = load_shipped_space("nas-bench-macro")
    names = space.labels_at((0,) * len(key))
    point = space.point_of(dict(zip(names, key, strict=True)))
    fidelity = Fidelity(num_images=BATCH, num_epochs=1, resolution=resolution)
    return proxy_spec(space.spec_at(point, resolution=32, num_classes=10), fidelity, num_classes=10)


NETWORKS: Mapping[str, Callable[[], ModelSpec]] = {
    "B0, two strides removed, 32 px": lambda: b0(32, 2),
    "B0, one stride removed, 32 px": lambda: b0(32, 1),
    "macro 11211121, 16 px": lambda: macro("11211121", 16),
    "macro 11211121, 32 px": lambda: macro("11211121", 32),
    "macro 22212222, 16 px": lambda: macro("22212222", 16),
    "macro 22212222, 32 px": lambda: macro("22212222", 32),
    "macro 21121212, 32 px": lambda: macro("21121212", 32),
    "macro 11111111, 32 px": lambda: macro("11111111", 32),
}


def stepper(spec: ModelSpec) -> Callable[[], None]:
    """Give what takes one training step with images in memory."""
    settings = TrainSettings()
    model = build_model(for_short_training(spec, settings), seed=0)
    optimizer = make_optimizer(model, settings)
    generator = torch.Generator().manual_seed(0)
    images: Tensor = torch.randn(BATCH, 3, spec.resolution, spec.resolution, generator=generator)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(10, (BATCH,), generator=generator)

    def step() -> None:
        loss = functional.cross_entropy(model(images), labels, label_smoothing=settings.label_smoothing)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has not typed it
        torch.nn.utils.clip_grad_norm_(model.parameters(), settings.max_gradient_norm)
        optimizer.step()

    return step


def seconds_of(step: Callable[[], None]) -> float:
    """Give a step's CPU time."""
    started = time.process_time()
    step()
    return time.process_time() - started


def operator_shares(step: Callable[[], None]) -> list[tuple[str, float]]:
    """Give the share of a step's time that each operator took by itself, the longest first."""
    with profile(activities=[ProfilerActivity.CPU], record_shapes=True) as profiled:
        for _ in range(NUM_PROFILED):
            step()
    seconds: Counter[str] = Counter()
    for event in profiled.key_averages(group_by_input_shape=True):
        seconds[_operator(event.key, event.input_shapes)] += event.self_cpu_time_total
    total = seconds.total()
    return [(operator, own / total) for operator, own in seconds.most_common(NUM_OPERATORS)]


def _operator(name: str, shapes: list[list[int]]) -> str:
    if name not in ("aten::mkldnn_convolution", "aten::convolution_backward"):
        return name.removeprefix("aten::").removeprefix("autograd::engine::evaluate_function: ")
    is_backward = name.endswith("backward")
    weight = shapes[2] if is_backward else shapes[1]
    size = weight[2]
    kind = f"depthwise {size}x{size}" if weight[1] == 1 else f"convolution {size}x{size}"
    return f"{kind}, {'backward' if is_backward else 'forward'}"


def measure_precisions(names: list[str]) -> None:
    """Measure steps with products in bfloat16 against float32, print and append."""
    assert can_narrow(), "this processor does not multiply in bfloat16"
    for name in names or NETWORKS:
        step = stepper(NETWORKS[name]())
        seconds: dict[str, list[float]] = {"float32": [], "bfloat16": []}
        for index in range(NUM_ROUNDS + 1):
            for precision, found in seconds.items():
                with narrow_products() if precision == "bfloat16" else nullcontext():
                    num_steps = STEPS_PER_ROUND if index else 1
                    found.append(sum(seconds_of(step) for _ in range(num_steps)) / num_steps)
        quartiles = {precision: statistics.quantiles(found[1:], n=4) for precision, found in seconds.items()}
        shares = [one / other for one, other in zip(seconds["bfloat16"], seconds["float32"], strict=True)]
        low, middle, high = statistics.quantiles(shares[1:], n=4)
        print(
            f"{name}: a step takes {quartiles['float32'][1]:.4f} s in float32, {quartiles['bfloat16'][1]:.4f} s in "
            f"bfloat16, share {middle:.3f} (quartiles {low:.3f} to {high:.3f}, {NUM_ROUNDS} rounds)",
            flush=True,
        )
        append_record(
            NAME,
            {
                "what": "precisions",
                "network": name,
                "batch": BATCH,
                "seconds_quartiles": quartiles,
                "share": middle,
                "share_quartiles": [low, high],
                "num_rounds": NUM_ROUNDS,
                "steps_per_round": STEPS_PER_ROUND,
            },
        )


def main(names: list[str]) -> None:
    """Measure, print and append."""
    prepare_worker()
    assert turn_on(), "the kernels do not run here"
    if names[:1] == ["--bfloat16"]:
        measure_precisions(names[1:])
        return
    for name in names or NETWORKS:
        step = stepper(NETWORKS[name]())
        plain: list[float] = []
        ours: list[float] = []
        for _ in range(NUM_PAIRS + 1):
            with turned_off():
                plain.append(seconds_of(step))
            ours.append(seconds_of(step))
        del plain[0], ours[0]
        ratios = [one / other for one, other in zip(plain, ours, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        profiles = {}
        for label, context in (("torch", turned_off()), ("kernels", nullcontext())):
            with context:
                profiles[label] = operator_shares(step)
        print(
            f"{name}: {statistics.median(plain):.4f} s a step on torch, {statistics.median(ours):.4f} s on the "
            f"kernels, ratio {middle:.2f} (quartiles {low:.2f} to {high:.2f}, {NUM_PAIRS} pairs), "
            f"{BATCH / statistics.median(ours):.0f} images/s"
        )
        for label, operators in profiles.items():
            print(f"  {label}: " + ", ".join(f"{operator} {share:.0%}" for operator, share in operators))
        append_record(
            NAME,
            {
                "network": name,
                "batch": BATCH,
                "torch_seconds": statistics.median(plain),
                "kernel_seconds": statistics.median(ours),
                "ratio": middle,
                "ratio_quartiles": [low, high],
                "num_pairs": NUM_PAIRS,
                "operator_shares": profiles,
            },
        )


if __name__ == "__main__":
    main(sys.argv[1:])
