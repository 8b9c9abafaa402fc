"""What does the work of a command, as its placement says?"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch

from effsearch.commands.placement import Placement
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.proxy_train.data.shipping import AtNode, ImageShipment, WorkAtNode, ship_images
from effsearch.proxy_train.device import gpu_of_worker, visible_gpus
from effsearch.proxy_train.evaluator import ProxyEvaluator
from effsearch.proxy_train.own_training import OwnEvaluator
from effsearch.proxy_train.shared_folder import share_with_workers
from effsearch.proxy_train.train import TrainSettings
from effsearch.proxy_train.worker import prepare_worker
from effsearch.search.placement.executor import Evaluator, Executor, SerialExecutor
from effsearch.search.placement.local_pool import ProcessPool
from effsearch.search.placement.pool import Pool, SecondsAllowed, T, V, no_limit
from effsearch.search.placement.pool_executor import PoolExecutor
from effsearch.search.placement.watched_pool import WatchedPool
from effsearch.space.outcome import Fidelity, ProxyResult
from effsearch.space.slot_status import SlotStatus
from effsearch.space.supernet_work import RoundResult, ScreenScore

ShowSlots = Callable[[tuple[SlotStatus, ...]], None]


def show_no_slots(slots: tuple[SlotStatus, ...]) -> None:
    """Nothing: the default where nobody watches."""


def open_pool(
    work: Callable[[T], V],
    placement: Placement,
    *,
    seconds_allowed: SecondsAllowed[T] = no_limit,
    shipment: ImageShipment | None = None,
    shared_file: Path | None = None,
    say: Callable[[str], None],
    show_slots: ShowSlots = show_no_slots,
) -> Pool[T, V]:
    """Start workers; whoever opens a pool closes it.

    Args:
        work: Picklable; called in the workers with a task.
        placement: Where they are, and how many.
        seconds_allowed: Of a task; a worker that takes longer is stopped.
        shipment: Images that other machines need; None where `work` needs none, or all is done on this machine.
        shared_file: In a folder that tasks leave files in; workers that do not see it say so. None: they leave none.
        say: Is told what a user may want to know of the workers.
        show_slots: Is told what every worker does, whenever that changes.
    """
    if placement.engine == "ray":
        from effsearch.search.placement.ray_pool import start_ray_pool

        pool: Pool[T, V] = start_ray_pool(
            work,
            address=placement.address or None,
            num_workers=placement.num_workers,
            prepare=prepare_worker
            if shared_file is None
            else share_with_workers(shared_file, prepare_worker),
            cpus_per_task=placement.cpus_per_trial,
            gpus_per_task=placement.gpu_share if placement.device == "cuda" else 0.0,
            seconds_allowed=seconds_allowed,
            ship=shipment,
            say=say,
        )
    else:
        num_gpus = visible_gpus() if placement.device == "cuda" else 0
        pool = ProcessPool(
            work,
            num_workers=placement.num_workers,
            prepare=partial(prepare_local_worker, num_gpus=num_gpus),
            seconds_allowed=seconds_allowed,
        )
    return WatchedPool(pool, measure=images_and_seconds, clock=time.monotonic, notify=show_slots, say=say)


def prepare_local_worker(slot: int, *, num_gpus: int = 0) -> None:
    """Prepare a worker process of this machine.

    Args:
        slot: Of the worker, from 0.
        num_gpus: Of this machine, to be shared by the slots; 0 trains on the CPU.
    """
    prepare_worker()
    if num_gpus:
        torch.cuda.set_device(gpu_of_worker(slot, num_gpus=num_gpus))


def images_and_seconds(value: object) -> tuple[int, float]:
    """Give how many images a worker's answer was trained on, and the seconds that it took."""
    if isinstance(value, ProxyResult):
        return value.num_images_seen, value.train_seconds
    if isinstance(value, RoundResult):
        return value.num_images_seen, value.core_seconds
    if isinstance(value, tuple):  # scores of a screening
        return 0, sum(score.core_seconds for score in value if isinstance(score, ScreenScore))
    return 0, 0.0


def ship_for(images: ImageData, placement: Placement) -> ImageShipment | None:
    """Give what makes images travel; None where all is done on this machine."""
    return ship_images(images) if placement.engine == "ray" else None


def make_evaluator(images: ImageData, placement: Placement) -> Evaluator:
    """Give what a worker calls: effsearch's own training, or the user's."""
    if placement.train_function is not None:
        return OwnEvaluator(images.handle, placement.train_function)
    return ProxyEvaluator(
        handle=images.handle, settings=TrainSettings(), device=placement.device, precision=placement.precision
    )


@contextmanager
def open_executor(
    images: ImageData,
    placement: Placement,
    *,
    expected_seconds: float,
    fidelity: Fidelity,
    say: Callable[[str], None],
    show_slots: ShowSlots = show_no_slots,
) -> Iterator[Executor]:
    """Give workers that train on some images, and stop them at the end.

    Args:
        images: The data.
        placement: Where the workers are, and how many.
        expected_seconds: Of one training; see `Placement.seconds_allowed`.
        fidelity: Of that training.
        say: Is told of each training that is tried again, and of the workers.
        show_slots: Is told what every worker does, whenever that changes.
    """
    seconds_allowed = placement.seconds_allowed(expected_seconds, fidelity)
    evaluate = make_evaluator(images, placement)
    if placement.engine == "inline":
        yield SerialExecutor(evaluate)
        return
    shipment = ship_for(images, placement)
    if shipment is not None:
        at_node = AtNode if placement.train_function is None else WorkAtNode
        evaluate = at_node(evaluate, shipment)
    start_pool = partial(
        open_pool,
        placement=placement,
        seconds_allowed=seconds_allowed,
        shipment=shipment,
        say=say,
        show_slots=show_slots,
    )
    executor = PoolExecutor(evaluate, start_pool, say=say)
    try:
        yield executor
    finally:
        executor.close()
