"""What runs on a node of a cluster?

A worker that is prepared once and then does one task after another, with what its node was sent beforehand.
"""

import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Protocol  # Any: tasks, values, and references to pieces of a shipment

from effsearch import __version__
from effsearch.search.placement.attempt import Reply, attempt
from effsearch.search.placement.ray_cluster import fetch, this_node
from effsearch.space.errors import RunError

Piece = tuple[str, bytes]


class Shipment(Protocol):
    """What a node must have before work can begin there. It pickles as a name; what it names travels in pieces."""

    def is_here(self) -> bool:
        """Tell, on a node, whether that has it already."""

    def pack(self) -> Iterator[Piece]:
        """Give, on the driver's machine, all of it; a piece fits into memory."""

    def unpack(self, pieces: Iterable[Piece]) -> None:
        """Put it in its place on a node."""


class NoShipment:
    """Nothing: the default where every node has all it needs."""

    def is_here(self) -> bool:
        """Tell that nothing lacks."""
        return True

    def pack(self) -> Iterator[Piece]:
        """Give nothing."""
        return iter(())

    def unpack(self, pieces: Iterable[Piece]) -> None:
        """Take nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What a worker says when it has its place."""

    node: str  # in Ray
    host: str  # as people know it
    is_supplied: bool  # whether its node has what is shipped
    effsearch: str  # versions there
    torch: str


class RayWorker:
    """An actor's class; every method gives a `Reply` and raises nothing.

    Args:
        work: Called with each task.
        prepare: Called before the first one.
        shipment: What the node must have.
        has_trace: Whether failures say how they came about: the driver's `--debug` is in nobody's environment here.
    """

    def __init__(
        self, work: Callable[[Any], Any], prepare: Callable[[], None], shipment: Shipment, has_trace: bool
    ) -> None:
        self._work = work
        self._prepare = prepare
        self._shipment = shipment
        self._attempt = partial(attempt, has_trace=has_trace)

    def arrive(self) -> Reply:
        """Say where this is, and whether the node has what it needs."""
        return self._attempt(
            lambda _: Arrival(
                node=this_node(),
                host=socket.gethostname(),
                is_supplied=self._shipment.is_here(),
                effsearch=__version__,
                torch=_torch_version(),
            ),
            None,
        )

    def unpack(self, pieces: list[Any]) -> Reply:
        """Put what is shipped in its place, for all workers of this node."""
        return self._attempt(lambda _: self._shipment.unpack(fetch(piece) for piece in pieces), None)

    def prepare(self) -> Reply:
        """Get ready for tasks."""

        def run(_: object) -> None:
            if not self._shipment.is_here():
                raise RunError(
                    f"what was sent to {socket.gethostname()} is not there, though it was unpacked"
                )
            self._prepare()

        return self._attempt(run, None)

    def run(self, task: Any) -> Reply:
        """Do a task."""
        return self._attempt(self._work, task)


def _torch_version() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return "none"
