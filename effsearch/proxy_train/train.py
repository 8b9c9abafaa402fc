"""How is one network trained for a short while, the same way every time?

A training depends on network, images, settings and seed alone: on one CPU thread the same four give the same weights
to the last bit. Weights, order of the images, augmentation, dropout and stochastic depth all follow the seed; which
images are trained on does not, so that all candidates see the same ones.

The loop is one for all devices: an epoch is drawn on the CPU and sent, its steps are taken one after another, and the
losses are looked at now and then. On a GPU that is the only place where the host waits.
"""

import dataclasses
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from effsearch.proxy_train.augment import AugmentSettings, Normalisation, augment, draw_augmentation
from effsearch.proxy_train.batches import BatchPlan, Images, choose_rows, open_on, send_plans
from effsearch.proxy_train.build import Network
from effsearch.proxy_train.data.datasets import Split
from effsearch.proxy_train.device import ON_CPU, Compute
from effsearch.proxy_train.steps import Stepper, Work, look_at, make_stepper
from effsearch.space.errors import UsageError
from effsearch.space.outcome import TrainingFailed

Schedule = Literal["one_cycle", "cosine"]

REFERENCE_BATCH = 128  # the batch size that learning rates are quoted for


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainSettings:
    """How every candidate is trained: SGD with Nesterov momentum, label smoothing, one warm-up, one descent.

    Dropout, stochastic depth and the norms' momentum are these, not the spec's: a spec's are meant for hundreds of
    epochs. Few epochs underfit, so nothing is dropped; and few steps would leave a momentum of .01 half at its start.

    Source:
        Rate and clipping are the best of five settings tried, one seed each: B0 at half width, two strides removed,
        16 px, CIFAR-10, 4 epochs of 5,000 images, 2,000 validation images, where one accuracy is known to 1.1 points.
        38.1 per cent; rate .1 without clipping 36.9, with a cosine 35.7, in batches of 32 37.0; rate .04 28.0.
    """

    batch_size: int = 64
    learning_rate: float = 0.2  # peak, for a batch of 128; other batches train at it in proportion
    momentum: float = 0.9
    weight_decay: float = 5e-5  # on the weights of convolutions and linear layers; none on norms and biases
    label_smoothing: float = 0.1
    schedule: Schedule = "one_cycle"  # descent to zero in a straight line; "cosine" along half a cosine
    warmup_share: float = 0.2  # of all steps, from zero in a straight line
    max_gradient_norm: float = 2.0  # gradients are clipped to it; 0 means never
    dropout_rate: float = 0.0
    drop_path_rate: float = 0.0
    norm_momentum: float = 0.1
    max_val_images: int = 5_000  # a score takes at most so many
    augment: AugmentSettings = field(default_factory=AugmentSettings)

    def __post_init__(self) -> None:
        for name, low, high in (
            ("batch_size", 2, 65_536),
            ("learning_rate", 0, 100),
            ("momentum", 0, 0.999),
            ("weight_decay", 0, 1),
            ("label_smoothing", 0, 0.9),
            ("warmup_share", 0, 0.9),
            ("max_gradient_norm", 0, math.inf),
            ("dropout_rate", 0, 0.99),
            ("drop_path_rate", 0, 0.99),
            ("norm_momentum", 1e-6, 1),
            ("max_val_images", 1, 10**9),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise UsageError(f"{name} must be from {low:g} to {high:g}, got {value}")
        if self.schedule not in get_args(Schedule):
            raise UsageError(f"schedule must be one_cycle or cosine, got {self.schedule!r}")


def with_batch_share(settings: TrainSettings, share: float) -> TrainSettings:
    """Give settings whose batch is a share of what it was; the learning rate follows the batch by itself."""
    return dataclasses.replace(settings, batch_size=max(2, int(settings.batch_size * share)))


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochLog:
    """What one epoch of training came to."""

    epoch: int  # from 1
    train_loss: float  # nats, mean over the epoch's batches, with label smoothing
    num_images_seen: int  # since the training began


class TrainingStopped(Exception):  # noqa: N818 - the caller's wish, not an error
    """The caller asked a training to stop; it has no outcome."""


def never_stop() -> bool:
    """False: the default where nobody stops a training."""
    return False


def no_log(log: EpochLog) -> None:
    """Nothing: the default where nobody watches."""


def train_model(
    model: nn.Module,
    split: Split,
    *,
    settings: TrainSettings,
    normalisation: Normalisation,
    resolution: int,
    num_images: int,
    num_epochs: int,
    seed: int,
    compute: Compute = ON_CPU,
    should_stop: Callable[[], bool] = never_stop,
    on_epoch: Callable[[EpochLog], None] = no_log,
) -> tuple[EpochLog, ...]:
    """Train a network in place, and give what each epoch came to.

    Args:
        model: Network with fresh weights on the device; it is left in training mode.
        split: Stored training images, of any size.
        settings: How to train.
        normalisation: Statistics of the training images.
        resolution: Side that images are resized to.
        num_images: How many of the split's images to train on, at most; always the same ones.
        num_epochs: Times each of them is seen, but for those that fill no batch.
        seed: Of order, augmentation, dropout and stochastic depth.
        compute: Device, and by which means it computes.
        should_stop: Asked before each step.
        on_epoch: Called after each epoch.

    Raises:
        TrainingFailed: The loss was not finite.
        TrainingStopped: `should_stop` said so.
        UsageError: There are fewer than two images.
    """
    rows = choose_rows(split.labels, num_images)
    batch_size = min(settings.batch_size, len(rows))
    if batch_size < 2:
        raise UsageError(f"training needs at least 2 images, got {len(rows)}")
    steps_per_epoch = len(rows) // batch_size
    num_steps = num_epochs * steps_per_epoch
    peak = settings.learning_rate * batch_size / REFERENCE_BATCH
    images = open_on(split, compute)
    optimizer = make_optimizer(model, settings)
    work = _work_of_step(
        model,
        optimizer,
        images=images,
        settings=settings,
        normalisation=normalisation,
        resolution=resolution,
        compute=compute,
    )
    stepper: Stepper | None = None
    generator = torch.Generator().manual_seed(seed)
    model.train()
    logs: list[EpochLog] = []
    with seeded_globally(seed, compute.device):
        for epoch in range(num_epochs):
            order = rows[torch.randperm(len(rows), generator=generator).numpy()]
            batches = order[: steps_per_epoch * batch_size].reshape(steps_per_epoch, batch_size)
            size = split.images.shape[1]
            draws = [
                draw_augmentation(batch_size, size=size, settings=settings.augment, generator=generator)
                for _ in batches
            ]
            plans = send_plans(batches, draws, images=images, device=compute.device)
            stepper = stepper or make_stepper(
                work,
                model,
                optimizer,
                example=plans[0],
                images=images,
                compute=compute,
                num_steps=num_steps,
            )
            sum_losses, waiting = 0.0, list[Tensor]()  # those that were not looked at
            for index, plan in enumerate(plans):
                if should_stop():
                    raise TrainingStopped
                step = epoch * steps_per_epoch + index
                waiting.append(stepper(plan, peak * rate_share(step, num_steps, settings)))
                if len(waiting) < compute.steps_per_look and index + 1 < steps_per_epoch:
                    continue
                for looked_at, loss in enumerate(look_at(waiting), start=step + 1 - len(waiting)):
                    if not math.isfinite(loss):
                        rate = peak * rate_share(looked_at, num_steps, settings)
                        raise TrainingFailed(
                            f"the loss became {loss} in step {looked_at + 1} of {num_steps} "
                            f"(epoch {epoch + 1}, learning rate {rate:.3g})"
                        )
                    sum_losses += loss
                waiting.clear()
            logs.append(
                EpochLog(
                    epoch=epoch + 1,
                    train_loss=sum_losses / steps_per_epoch,
                    num_images_seen=(epoch + 1) * steps_per_epoch * batch_size,
                )
            )
            on_epoch(logs[-1])
    return tuple(logs)


def narrow_classifier(model: Network) -> None:
    """Shrink a fresh classifier's weights, in place, to within 1/sqrt(in_features).

    The reference draws them within 1/sqrt(classes), meant for 1000 classes: with ten a network starts out sure of
    wrong answers, and a short training does not get over it.

    Source:
        B0 at half width, two strides removed, 16 px, CIFAR-10, 4 epochs of 5,000 images, one seed: 31.1 per cent with
        the reference's weights, 36.9 with these (2,000 validation images).
    """
    classifier = model.head.get_submodule("classifier")
    assert isinstance(classifier, nn.Linear)
    with torch.no_grad():
        classifier.weight.mul_(min(1.0, math.sqrt(classifier.out_features / classifier.in_features)))


def rate_share(step: int, num_steps: int, settings: TrainSettings) -> float:
    """Give the share of the peak learning rate in a step, from 0; it is never quite zero.

    The steps stand in the middle of their share of the way: up over `warmup_share` of it, then down to the end.
    """
    way = (step + 0.5) / num_steps
    if way < settings.warmup_share:
        return way / settings.warmup_share
    left = (1 - way) / (1 - settings.warmup_share)
    return left if settings.schedule == "one_cycle" else 0.5 - 0.5 * math.cos(math.pi * left)


def make_optimizer(model: nn.Module, settings: TrainSettings) -> torch.optim.SGD:
    """Give the optimizer of a network; vectors (norms and biases) do not decay."""
    parameters = list(model.parameters())
    groups = [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    has_momentum = settings.momentum > 0
    return torch.optim.SGD(groups, lr=0.0, momentum=settings.momentum, nesterov=has_momentum, fused=True)


@contextmanager
def seeded_globally(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators that dropout draws from, and put them back as they were afterwards."""
    gpus = [torch.cuda.current_device()] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus):
        torch.default_generator.manual_seed(seed)
        if gpus:
            torch.cuda.manual_seed(seed)
        yield


def _work_of_step(
    model: nn.Module,
    optimizer: torch.optim.SGD,
    *,
    images: Images,
    settings: TrainSettings,
    normalisation: Normalisation,
    resolution: int,
    compute: Compute,
) -> Work:
    """Give what a step does from its plan to its loss; on a device that holds the images, nothing in it waits."""

    def work(plan: BatchPlan) -> Tensor:
        pixels, labels = images.take(plan.rows)
        inputs = augment(
            pixels,
            settings=settings.augment,
            normalisation=normalisation,
            resolution=resolution,
            draws=plan.draws,
        )
        optimizer.zero_grad()
        with compute.autocast():
            loss = functional.cross_entropy(model(inputs), labels, label_smoothing=settings.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]  # torch has not typed it
        if settings.max_gradient_norm:
            nn.utils.clip_grad_norm_(model.parameters(), settings.max_gradient_norm)
        optimizer.step()
        return loss.detach()

    return work
