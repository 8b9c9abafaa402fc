"""A cluster without Ray: nodes, workers and a clock that moves when the pool waits."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from effsearch import __version__
from effsearch.search.placement.attempt import Reply
from effsearch.search.placement.ray_cluster import Gone
from effsearch.search.placement.ray_worker import Arrival


@dataclass(frozen=True)
class Nap:
    """A task of some seconds."""

    number: int
    seconds: float = 1.0
    reply: Reply | None = None

    @property
    def name(self) -> str:
        return f"nap {self.number}"


@dataclass(eq=False)
class Worker:
    node: str | None = None
    is_gone: bool = False
    gone: Gone = field(default_factory=lambda: Gone("it died"))


@dataclass(eq=False)
class Answer:
    worker: Worker
    method: str
    arguments: tuple[Any, ...]
    due: float | None = None  # None: not begun


class FakeCluster:
    """The methods of `RayCluster`, on nodes that are names with a number of cores."""

    def __init__(self, **cores: int) -> None:
        self.now = 0.0
        self.cores = cores
        self.supplied = set(cores)  # nodes that have what is shipped
        self.workers: list[Worker] = []
        self.events: list[tuple[float, Callable[[], None]]] = []
        self.calls: list[tuple[str, str]] = []  # of methods, with the node
        self.kept: list[object] = []
        self.version = __version__
        self.torches: dict[str, str] = {}
        self.prepared = Reply("value", None)
        self.is_closed = False
        self._open: list[Answer] = []

    def clock(self) -> float:
        return self.now

    def resources_of_nodes(self) -> dict[str, dict[str, float]]:
        return {node: {"CPU": float(cores)} for node, cores in self.cores.items()}

    def has_node(self, name: str) -> bool:
        return name in self.cores

    def start_worker(self) -> Worker:
        self.workers.append(Worker())
        return self.workers[-1]

    def end_worker(self, worker: Worker) -> None:
        worker.is_gone = True

    def call(self, worker: Worker, method: str, *arguments: object) -> Answer:
        self._open.append(Answer(worker, method, arguments))
        return self._open[-1]

    def first_of(self, answers: list[Answer], seconds: float) -> list[Answer]:
        until = self.now + seconds
        while True:
            self._begin()
            ready = [
                one for one in answers if one.worker.is_gone or (one.due is not None and one.due <= self.now)
            ]
            if ready or self.now >= until:
                return ready
            times = [one.due for one in answers if one.due is not None] + [time for time, _ in self.events]
            self.now = min([until, *(time for time in times if time > self.now)])
            for event in [event for event in self.events if event[0] <= self.now]:
                self.events.remove(event)
                event[1]()

    def read(self, answer: Answer) -> Any:
        self._open.remove(answer)
        worker = answer.worker
        if worker.is_gone:
            return worker.gone
        self.calls.append((answer.method, worker.node or ""))
        if answer.method == "arrive":
            assert worker.node is not None
            torch = self.torches.get(worker.node, "2")
            return Reply(
                "value",
                Arrival(
                    node=worker.node,
                    host=f"host-{worker.node}",
                    is_supplied=worker.node in self.supplied,
                    effsearch=self.version,
                    torch=torch,
                ),
            )
        if answer.method == "unpack":
            self.supplied.add(worker.node or "")
        if answer.method == "run":
            (task,) = answer.arguments
            return task.reply or Reply("value", (task.number, worker.node))
        return self.prepared if answer.method == "prepare" else Reply("value", None)

    def keep(self, value: object) -> object:
        self.kept.append(value)
        return value

    def close(self) -> None:
        self.is_closed = True

    def pass_time(self, seconds: float) -> None:
        """Let workers go on while the driver does something else."""
        self._begin()
        self.now += seconds

    def at(self, time: float, event: Callable[[], None]) -> None:
        self.events.append((time, event))

    def lose(self, node: str) -> None:
        """Take a node away, with all that runs there."""
        self.cores.pop(node, None)
        self.kill(node)

    def kill(self, node: str, gone: Gone | None = None) -> None:
        """Have all workers of a node die."""
        for worker in self.workers:
            if worker.node == node:
                worker.is_gone = True
                worker.gone = gone or worker.gone

    def _begin(self) -> None:
        for worker in self.workers:
            if worker.node is None and not worker.is_gone:
                worker.node = next(
                    (
                        node
                        for node, cores in self.cores.items()
                        if cores > sum(one.node == node and not one.is_gone for one in self.workers)
                    ),
                    None,
                )
        for answer in self._open:
            if answer.due is None and answer.worker.node is not None:
                seconds = answer.arguments[0].seconds if answer.method == "run" else 0.1
                answer.due = self.now + seconds
