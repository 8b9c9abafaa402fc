"""How is one step of a training run: called, or captured once as a CUDA graph and replayed?

A small network launches more than a thousand kernels a step, and calling them from Python takes longer than the GPU
needs to run them. A graph is launched as a whole. Its capture has a price, so only long trainings are captured.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from effsearch.proxy_train.batches import BatchPlan, Images, ResidentImages
from effsearch.proxy_train.device import Compute, release_memory

NUM_WARM_STEPS = 3  # before a capture: libraries choose and allocate what they need in their first calls
# The shortest training that is captured. A capture costs the warm steps, one slow step that is recorded and not run,
# and copies of all weights: some ten called steps. If a replay saved but a tenth of a step, a hundred steps would pay
# that back; two hundred leave room for what was not thought of. No run has measured it yet.
MIN_GRAPH_STEPS = 200

Work = Callable[[BatchPlan], Tensor]  # takes one step at the optimizer's rate, gives its detached loss


class Stepper(Protocol):
    """Takes one step of a training."""

    def __call__(self, plan: BatchPlan, rate: float) -> Tensor:
        """Give the step's loss, on the device."""


@dataclass(frozen=True, slots=True)
class EagerStep:
    """Calls the work of a step as it is written."""

    work: Work
    optimizer: torch.optim.SGD

    def __call__(self, plan: BatchPlan, rate: float) -> Tensor:
        """Take a step at a learning rate."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return self.work(plan)


class GraphStep:
    """Replays the work of a step, captured on its construction, which leaves the training as it was.

    Args:
        work: Of a step; all that it makes lies on the device, and nothing in it waits for the host.
        model: What is trained.
        optimizer: Of its weights; it has taken no step yet.
        example: Plan of any batch, of the size of all.
    """

    def __init__(self, work: Work, model: nn.Module, optimizer: torch.optim.SGD, example: BatchPlan) -> None:
        device = example.rows.device
        self._plan = BatchPlan(*(tensor.clone() for tensor in example))
        self._rate = torch.zeros((), device=device)
        for group in optimizer.param_groups:
            group["lr"] = self._rate  # read by the graph at each replay
        with put_back(model, optimizer, device):
            stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]  # torch has not typed it
            stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(stream):
                for _ in range(NUM_WARM_STEPS):
                    work(self._plan)
            torch.cuda.current_stream(device).wait_stream(stream)
            optimizer.zero_grad()  # the graph's gradients are its own
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._loss = work(self._plan)

    def __call__(self, plan: BatchPlan, rate: float) -> Tensor:
        """Take a step at a learning rate."""
        for own, given in zip(self._plan, plan, strict=True):
            own.copy_(given)
        self._rate.fill_(rate)
        self._graph.replay()
        return self._loss.clone()  # the next replay writes over it


def make_stepper(
    work: Work,
    model: nn.Module,
    optimizer: torch.optim.SGD,
    *,
    example: BatchPlan,
    images: Images,
    compute: Compute,
    num_steps: int,
) -> Stepper:
    """Give what takes the steps of a training: a graph where that is possible and pays."""
    if not compute.has_graphs or num_steps < MIN_GRAPH_STEPS or not isinstance(images, ResidentImages):
        return EagerStep(work, optimizer)
    try:
        return GraphStep(work, model, optimizer, example)
    except RuntimeError as error:  # memory that ran out is one, too; called steps may still do with less
        reason = (str(error).splitlines() or [type(error).__name__])[0]
    release_memory(compute.device)
    warnings.warn(f"a step could not be captured as a CUDA graph ({reason}); it is called", stacklevel=2)
    return EagerStep(work, optimizer)


def look_at(losses: Sequence[Tensor]) -> list[float]:
    """Give losses that lie on a device; the host waits for it."""
    numbers: list[float] = torch.stack(list(losses)).tolist()
    return numbers


@contextmanager
def put_back(model: nn.Module, optimizer: torch.optim.SGD, device: torch.device) -> Iterator[None]:
    """Put weights, norm statistics, momenta and the device's random state back to what they were before.

    All are written in place, where a graph will find them. Momenta that were not there before become zero, from which
    the first step leads to the same place.
    """
    assert not optimizer.state, "a step was taken before"
    tensors = [*model.parameters(), *model.buffers()]
    kept = [tensor.detach().clone() for tensor in tensors]
    random_state = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
    try:
        yield
    finally:
        with torch.no_grad():
            for tensor, before in zip(tensors, kept, strict=True):
                tensor.copy_(before)
            for state in optimizer.state.values():
                for momentum in state.values():
                    if momentum is not None:
                        momentum.zero_()
        if random_state is not None:
            torch.cuda.set_rng_state(random_state, device)
