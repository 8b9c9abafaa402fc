"""How does a network look before it is trained by itself?

Its weights come from the supernet, its norms' statistics are computed anew, and its cross-entropy on validation
images, each capped at that of an even guess, is its score: a few images that shared weights get very wrong say little
about the network. (NAS-Bench-Macro, 120 networks between 40 and 50 M, 300 core-seconds of supernet, five draws of
1,000 images: tau .59 to .65 uncapped, .68 to .70 capped at 2.5.) NASWOT of the untrained network stands beside it. A
worker keeps the supernet it last used.
"""

import dataclasses
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

from effsearch.proxy_train.augment import to_input
from effsearch.proxy_train.batches import choose_rows, open_on, send_rows
from effsearch.proxy_train.build import Network
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.device import ON_CPU, Compute, compute_on, release_memory, resolve_device
from effsearch.proxy_train.device_names import DeviceKind
from effsearch.proxy_train.memory import memory_as_failure
from effsearch.proxy_train.score import SCORE_BATCH, Score, normalisation_of, opened_images, score_on_split
from effsearch.proxy_train.supernet import Supernet
from effsearch.proxy_train.supernet_train import (
    SupernetSettings,
    clock_of,
    load_supernet,
    path_spec,
    train_round,
)
from effsearch.proxy_train.zero_cost import zero_cost_scores
from effsearch.space.outcome import TrainingFailed
from effsearch.space.search_space import SearchSpace
from effsearch.space.spec import ModelSpec
from effsearch.space.supernet_work import RoundResult, ScoreBatch, ScreenScore, SupernetPlan, TrainRound


@dataclass(frozen=True, slots=True)
class SupernetWorker:
    """Trains rounds of a supernet and scores networks with it: what the search's screening is handed."""

    handle: Path  # of the decoded images, `ImageData.handle`
    space: SearchSpace
    settings: SupernetSettings = field(default_factory=SupernetSettings)
    device: DeviceKind = "cpu"

    def __call__(self, task: TrainRound | ScoreBatch) -> RoundResult | tuple[ScreenScore | None, ...]:
        """Do one task; a network that cannot be scored is None.

        Raises:
            TrainingFailed: The loss was not finite, or memory ran out.
            RunError: Images or weights are gone or damaged.
            UsageError: There is no such device.
        """
        images, compute = opened_images(self.handle), compute_on(resolve_device(self.device))
        release_memory(compute.device)  # of the task before, however it ended
        with memory_as_failure():
            if isinstance(task, TrainRound):
                return train_round(
                    task, space=self.space, images=images, settings=self.settings, compute=compute
                )
            supernet = None
            if task.weights:
                supernet = _supernet(self.space, task.plan, task.weights, images.num_classes, compute.device)
            return tuple(self._score(point, task, supernet, images, compute) for point in task.points)

    def _score(
        self,
        point: tuple[int, ...],
        task: ScoreBatch,
        supernet: Supernet | None,
        images: ImageData,
        compute: Compute,
    ) -> ScreenScore | None:
        clock, plan, settings = clock_of(compute), task.plan, self.settings
        if task.is_second:
            settings = dataclasses.replace(settings, num_val_images=settings.num_second_val_images)
        started = clock()
        spec = path_spec(self.space, point, plan, num_classes=images.num_classes)
        try:
            zero_cost = zero_cost_scores(
                spec,
                images,
                names=("naswot",),
                resolution=plan.fidelity.resolution,
                seed=plan.seed,
                compute=compute,
            )
            score = None
            if supernet is not None:
                score = score_inherited(
                    supernet,
                    spec,
                    images,
                    resolution=plan.fidelity.resolution,
                    settings=settings,
                    compute=compute,
                )
        except TrainingFailed:
            return None
        return ScreenScore(
            naswot=zero_cost["naswot"],
            val_loss=None if score is None else score.capped_loss,
            val_accuracy=None if score is None else score.accuracy,
            core_seconds=clock() - started,
            is_second=task.is_second,
        )


def score_inherited(
    supernet: Supernet,
    spec: ModelSpec,
    images: ImageData,
    *,
    resolution: int,
    settings: SupernetSettings,
    compute: Compute = ON_CPU,
) -> Score:
    """Score a network with the supernet's weights on validation images.

    Raises:
        TrainingFailed: The network gives scores that are not finite.
    """
    network = supernet.inherit(spec)
    compute_norm_statistics(
        network,
        images,
        resolution=resolution,
        num_images=settings.num_calibration_images,
        compute=compute,
    )
    return score_on_split(
        network,
        images.val,
        normalisation=normalisation_of(images),
        resolution=resolution,
        max_images=settings.num_val_images,
        compute=compute,
    )


def compute_norm_statistics(
    network: Network, images: ImageData, *, resolution: int, num_images: int, compute: Compute = ON_CPU
) -> None:
    """Set the running statistics of a network's norms, in place, to those of some training images."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # the mean over all batches
    train = open_on(images.train, compute)
    rows = choose_rows(images.train.labels, num_images)
    network.train()
    with torch.no_grad():
        for batch in send_rows(rows, SCORE_BATCH, images=train):
            pixels, _ = train.take(batch)
            network(to_input(pixels, normalisation=normalisation_of(images), resolution=resolution))


@lru_cache(maxsize=1)
def _supernet(
    space: SearchSpace,
    plan: SupernetPlan,
    weights: tuple[Path, ...],
    num_classes: int,
    device: torch.device,
) -> Supernet:
    return load_supernet(space, plan, weights, num_classes=num_classes, device=device)
