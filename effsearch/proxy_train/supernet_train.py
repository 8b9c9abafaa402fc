"""How is a supernet trained?

Each step draws one network and trains its share of the weights on one batch. A replica's round depends on weights,
images, plan and seeds alone; replicas start each round from the mean of all replicas' weights and momenta.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from effsearch.proxy_train.augment import AugmentSettings, augment, draw_augmentation
from effsearch.proxy_train.batches import choose_rows, open_on, send_plans
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.device import ON_CPU, Compute
from effsearch.proxy_train.score import normalisation_of
from effsearch.proxy_train.steps import look_at
from effsearch.proxy_train.supernet import Supernet
from effsearch.proxy_train.tensor_files import read_tensors, write_tensors
from effsearch.proxy_train.train import REFERENCE_BATCH
from effsearch.space.errors import RunError
from effsearch.space.outcome import TrainingFailed, derive_seed
from effsearch.space.proxy import proxy_spec
from effsearch.space.search_space import SearchSpace
from effsearch.space.sharing import shared_shapes
from effsearch.space.spec import ModelSpec
from effsearch.space.supernet_work import RoundResult, SupernetPlan, TrainRound

REFERENCE_RESOLUTION = 32  # of a proxy spec before its fidelity; no weight hangs on it
MOMENTUM_PREFIX = "momentum/"


@dataclass(frozen=True, slots=True, kw_only=True)
class SupernetSettings:
    """How every supernet is trained and read: SGD with Nesterov momentum, one path for each batch."""

    batch_size: int = 64
    learning_rate: float = 0.1  # peak, for a batch of 128; other batches train at it in proportion
    momentum: float = 0.9
    weight_decay: float = 5e-5
    label_smoothing: float = 0.0
    warmup_share: float = 0.02  # of all steps; half a cosine down to zero follows
    max_gradient_norm: float = 5.0
    augment: AugmentSettings = field(default_factory=AugmentSettings)
    num_calibration_images: int = 1_000  # training images that the norms' statistics are computed anew on
    num_val_images: int = 1_000  # validation images that a score is the cross-entropy of
    num_second_val_images: int = 5_000  # of a second score, which has to tell apart what the first could not


def train_round(
    task: TrainRound,
    *,
    space: SearchSpace,
    images: ImageData,
    settings: SupernetSettings,
    compute: Compute = ON_CPU,
) -> RoundResult:
    """Train one replica for one round, and leave its weights and momenta in the task's output file.

    Raises:
        TrainingFailed: The loss was not finite.
        RunError: The weights of the round before cannot be read, or the new ones not written.
    """
    plan = task.plan
    clock = clock_of(compute)
    started = clock()
    supernet = _fresh_supernet(space, plan, num_classes=images.num_classes, device=compute.device)
    optimizer = make_supernet_optimizer(supernet, settings)
    if task.inputs:
        _load_mean(supernet, optimizer, task.inputs)
    generator = torch.Generator().manual_seed(
        derive_seed(plan.seed, f"supernet/{task.round_index}", task.replica)
    )
    steps = plan.steps_of(task.round_index)

    def draw_path() -> ModelSpec:
        path = task.paths[int(torch.randint(len(task.paths), (1,), generator=generator))]
        return path_spec(space, path, plan, num_classes=images.num_classes)

    train_loss = train_steps(
        supernet,
        optimizer,
        images,
        draw_path=draw_path,
        steps=steps,
        num_steps=plan.num_steps,
        num_images=plan.fidelity.num_images,
        settings=dataclasses.replace(settings, learning_rate=plan.rate_share * settings.learning_rate),
        generator=generator,
        compute=compute,
    )
    _save(supernet, optimizer, task.output)
    return RoundResult(
        train_loss=train_loss,
        num_images_seen=len(steps) * settings.batch_size,
        core_seconds=clock() - started,
    )


def train_steps(
    supernet: Supernet,
    optimizer: torch.optim.SGD,
    images: ImageData,
    *,
    draw_path: Callable[[], ModelSpec],
    steps: range,
    num_steps: int,
    num_images: int,
    settings: SupernetSettings,
    generator: torch.Generator,
    compute: Compute = ON_CPU,
) -> float:
    """Train a supernet in place, each step one network at its own resolution, and give the mean loss in nats.

    Args:
        supernet: What is trained, on the device.
        optimizer: Of its weights, `make_supernet_optimizer`'s.
        images: Of which the training images are used.
        draw_path: Gives the network of the next step.
        steps: That are taken.
        num_steps: Of the whole training, over which the learning rate goes up and down.
        num_images: How many of the training images are used, at most; always the same ones.
        settings: How to train.
        generator: Of the images' order and augmentation.
        compute: Device, and by which means it computes; each step is another network, so none is captured.

    Raises:
        TrainingFailed: The loss was not finite.
    """
    batches = _batches(images, num_images, settings, generator)
    normalisation = normalisation_of(images)
    train = open_on(images.train, compute)
    size = images.train.images.shape[1]
    sum_losses = 0.0
    for start in range(0, len(steps), compute.steps_per_look):
        some_steps = steps[start : start + compute.steps_per_look]
        specs, rows, draws = [], [], []
        for _ in some_steps:  # step by step, so that their number does not change what is drawn
            specs.append(draw_path())
            rows.append(next(batches))
            draws.append(
                draw_augmentation(len(rows[-1]), size=size, settings=settings.augment, generator=generator)
            )
        plans = send_plans(rows, draws, images=train, device=compute.device)
        losses = []
        for step, spec, plan in zip(some_steps, specs, plans, strict=True):
            rate = settings.learning_rate * settings.batch_size / REFERENCE_BATCH
            for group in optimizer.param_groups:
                group["lr"] = rate * _rate_share((step + 0.5) / num_steps, settings.warmup_share)
            pixels, labels = train.take(plan.rows)
            inputs = augment(
                pixels,
                settings=settings.augment,
                normalisation=normalisation,
                resolution=spec.resolution,
                draws=plan.draws,
            )
            losses.append(_take_step(supernet, spec, inputs, labels, optimizer, settings, compute))
        for step, loss in zip(some_steps, look_at(losses), strict=True):
            if not math.isfinite(loss):
                raise TrainingFailed(f"the supernet's loss became {loss} in step {step + 1} of {num_steps}")
            sum_losses += loss
    return sum_losses / max(1, len(steps))


def make_supernet_optimizer(supernet: Supernet, settings: SupernetSettings) -> torch.optim.SGD:
    """Give the optimizer of a supernet; vectors (norms and biases) do not decay."""
    weights = list(supernet.weights.values())
    groups = [
        {"params": [w for w in weights if w.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [w for w in weights if w.ndim <= 1], "weight_decay": 0.0},
    ]
    # Not fused: torch's fused step cannot leave out the tensors that a path does not touch.
    return torch.optim.SGD(
        groups, lr=0.0, momentum=settings.momentum, nesterov=settings.momentum > 0, foreach=True
    )


def load_supernet(
    space: SearchSpace,
    plan: SupernetPlan,
    weights: tuple[Path, ...],
    *,
    num_classes: int,
    device: torch.device = ON_CPU.device,
) -> Supernet:
    """Give the supernet whose weights are the mean of some files'.

    Raises:
        RunError: A file cannot be read, or is of another space.
    """
    supernet = _fresh_supernet(space, plan, num_classes=num_classes, device=device)
    _load_mean(supernet, None, weights)
    return supernet


def clock_of(compute: Compute) -> Callable[[], float]:
    """Give the clock that a core's work is measured by; on a GPU, where the core mostly waits, it is the wall's."""
    return time.process_time if compute.device.type == "cpu" else time.perf_counter


def path_spec(
    space: SearchSpace, point: tuple[int, ...], plan: SupernetPlan, *, num_classes: int
) -> ModelSpec:
    """Give the network that is trained for a point of the space: at the plan's size, width and strides.

    Without dropout and stochastic depth, as short proxies train: each path sees too few batches to overfit.
    """
    spec = space.spec_at(point, resolution=REFERENCE_RESOLUTION, num_classes=num_classes)
    spec = proxy_spec(spec, plan.fidelity, num_classes=num_classes)
    head = dataclasses.replace(spec.head, dropout_rate=0.0)
    return dataclasses.replace(spec, head=head, drop_path_rate=0.0)


def _fresh_supernet(
    space: SearchSpace, plan: SupernetPlan, *, num_classes: int, device: torch.device
) -> Supernet:
    shapes = shared_shapes(space, plan.sharing, width=plan.fidelity.width, num_classes=num_classes)
    return Supernet(shapes, seed=plan.seed, device=device)


def _take_step(
    supernet: Supernet,
    spec: ModelSpec,
    inputs: Tensor,
    labels: Tensor,
    optimizer: torch.optim.SGD,
    settings: SupernetSettings,
    compute: Compute,
) -> Tensor:
    optimizer.zero_grad(set_to_none=True)
    with compute.autocast():
        scores = supernet(spec, inputs)
        loss = functional.cross_entropy(scores, labels, label_smoothing=settings.label_smoothing)
    loss.backward()  # type: ignore[no-untyped-call]  # torch has not typed it
    if settings.max_gradient_norm:
        # The path's own tensors: the others have no gradient, and no step is taken with them.
        touched = [weight for weight in supernet.weights.values() if weight.grad is not None]
        nn.utils.clip_grad_norm_(touched, settings.max_gradient_norm)
    optimizer.step()
    return loss.detach()


def _rate_share(way: float, warmup_share: float) -> float:
    """Give the share of the peak learning rate at a place from 0 to 1."""
    if way < warmup_share:
        return way / warmup_share
    return 0.5 + 0.5 * math.cos(math.pi * (way - warmup_share) / (1 - warmup_share))


def _batches(
    images: ImageData, num_images: int, settings: SupernetSettings, generator: torch.Generator
) -> Iterator[NDArray[np.int64]]:
    rows = choose_rows(images.train.labels, num_images)
    size = min(settings.batch_size, len(rows))
    while True:
        order = rows[torch.randperm(len(rows), generator=generator).numpy()]
        for start in range(0, len(rows) - size + 1, size):
            yield order[start : start + size]


def _save(supernet: Supernet, optimizer: torch.optim.SGD, path: Path) -> None:
    tensors = {name: weight.detach().cpu().contiguous() for name, weight in supernet.weights.items()}
    for name, weight in supernet.weights.items():
        momentum = optimizer.state[weight].get("momentum_buffer") if weight in optimizer.state else None
        if momentum is not None:
            tensors[MOMENTUM_PREFIX + name] = momentum.cpu().contiguous()
    write_tensors(path, tensors, {})


def _load_mean(supernet: Supernet, optimizer: torch.optim.SGD | None, paths: tuple[Path, ...]) -> None:
    files = [
        read_tensors(path, what="the supernet's weights", advice="delete that folder")[0] for path in paths
    ]
    with torch.no_grad():
        for name, weight in supernet.weights.items():
            found = [file[name] for file in files if name in file]
            if len(found) != len(files) or any(one.shape != weight.shape for one in found):
                raise RunError(f"{paths[0]} holds a supernet of another space; delete that folder")
            weight.copy_(torch.stack(found).mean(0))
            momenta = [file[MOMENTUM_PREFIX + name] for file in files if MOMENTUM_PREFIX + name in file]
            if optimizer is not None and momenta:
                mean = torch.stack(momenta).sum(0) / len(files)
                layout = torch.channels_last if mean.ndim == 4 else torch.contiguous_format
                mean = mean.contiguous(memory_format=layout)
                optimizer.state[weight]["momentum_buffer"] = mean.to(weight.device)
