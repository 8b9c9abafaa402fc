"""How is work spread over many machines?

Each slot is an actor somewhere in a Ray cluster: placed and prepared once, it does one task after another. A task
that is lost with its node is done again elsewhere; a worker that died or hung while its node lives on is replaced and
its task's failure told. What a task comes to is made by the same `attempt` as on this machine.
"""

import contextlib
import math
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Literal  # Any: Ray's actors and references

from effsearch import __version__
from effsearch.search.placement.attempt import ended_by, hung_words, unprepared_words, wants_traces
from effsearch.search.placement.pool import Ended, FailureCause, SecondsAllowed, T, V, no_limit
from effsearch.search.placement.ray_cluster import Gone, RayCluster, Resources, connect
from effsearch.search.placement.ray_worker import Arrival, NoShipment, RayWorker, Shipment
from effsearch.search.placement.retrying_pool import say_nothing
from effsearch.space.errors import RunError, UsageError

MOST_LOST = 3  # times that a task is done again because its node was lost
MOST_FAILED_STARTS = 3  # in a row, in one slot
DOUBT_SECONDS = 3.0  # after a worker's end, until its node is believed to live
PLACE_SECONDS = 300.0  # without a single worker, until the run gives up
POLL_SECONDS = 2.0

Doing = Literal["arriving", "waiting for files", "unpacking", "preparing", "resting", "working"]


@dataclass(slots=True, eq=False)
class _Handed(Generic[T]):
    """A task that was handed in, and how often it was lost since."""

    task: T
    num_lost: int = 0


@dataclass(slots=True, eq=False)
class _Slot(Generic[T]):
    worker: Any
    doing: Doing
    answer: Any = None  # what it is doing will give this; None where it does nothing
    node: str = ""  # "" until it has a place
    host: str = ""
    handed: _Handed[T] | None = None
    started: float = 0.0  # of the task
    allowed: float = math.inf  # seconds of the task
    num_failed_starts: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Doubt(Generic[T]):
    """A task whose worker is gone: with its node, or by itself?"""

    handed: _Handed[T]
    node: str
    host: str
    seconds: float
    until: float


class RayPool(Generic[T, V]):
    """Actors of a cluster that each do one task at a time.

    Args:
        cluster: Has the actors.
        start_worker: Asks for one.
        num_slots: Actors.
        seconds_allowed: Of a task, from hand-out on; a worker that takes longer is killed and replaced.
        shipment: Put on every node that lacks it, by one of its workers.
        say: Is told what happens to nodes.
        clock: Seconds, monotonic.
    """

    def __init__(
        self,
        cluster: RayCluster,
        start_worker: Callable[[], Any],
        *,
        num_slots: int,
        seconds_allowed: SecondsAllowed[T] = no_limit,
        shipment: Shipment | None = None,
        say: Callable[[str], None] = say_nothing,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cluster = cluster
        self._start_worker = start_worker
        self._seconds_allowed = seconds_allowed
        self._shipment = NoShipment() if shipment is None else shipment
        self._pieces: list[Any] | None = None  # of the shipment, where any node lacks it
        self._say = say
        self._clock = clock
        self._waiting: deque[_Handed[T]] = deque()
        self._doubts: list[_Doubt[T]] = []
        self._ended: deque[Ended[T, V]] = deque()
        self._torches: dict[str, str] = {}  # a host with each version
        self._alone_since = clock()
        self._slots: list[_Slot[T]] = [self._new_slot() for _ in range(num_slots)]

    @property
    def num_slots(self) -> int:
        """Number of workers, those among them that still wait for a place."""
        return len(self._slots)

    @property
    def num_running(self) -> int:
        """Tasks handed in and not yet taken out."""
        num_working = sum(slot.handed is not None for slot in self._slots)
        return num_working + len(self._waiting) + len(self._doubts) + len(self._ended)

    def submit(self, task: T) -> None:
        """Hand in a task, for the first worker that is free."""
        assert self.num_running < self.num_slots, "there must be a free slot"
        self._waiting.append(_Handed(task))
        self._hand_out()

    def wait(self) -> Ended[T, V]:
        """Block until a task has ended; one that was lost with its node has not.

        Raises:
            RunError: The work itself broke, no worker can be prepared, or none finds a place.
        """
        assert self.num_running, "there is nothing to wait for"
        while not self._ended:
            self._hand_out()
            busy = [slot for slot in self._slots if slot.answer is not None]
            answers = self._cluster.first_of([slot.answer for slot in busy], self._patience())
            for slot in busy:
                if any(slot.answer is answer for answer in answers):
                    self._take(slot)
            self._stop_hung()
            self._settle_doubts()
            self._check_place()
        return self._ended.popleft()

    def close(self) -> None:
        """Kill every worker and leave the cluster."""
        try:
            for slot in self._slots:
                self._end_worker(slot)
        finally:
            self._cluster.close()

    def _new_slot(self, *, num_failed_starts: int = 0) -> _Slot[T]:
        worker = self._start_worker()
        arrival = self._cluster.call(worker, "arrive")
        return _Slot(worker, "arriving", arrival, num_failed_starts=num_failed_starts)

    def _replace(self, slot: _Slot[T], *, num_failed_starts: int = 0) -> None:
        self._end_worker(slot)
        self._slots[self._slots.index(slot)] = self._new_slot(num_failed_starts=num_failed_starts)
        if not any(slot.node for slot in self._slots):
            self._alone_since = self._clock()

    def _end_worker(self, slot: _Slot[T]) -> None:
        with contextlib.suppress(Exception):  # it may be gone already, and all of its cluster
            self._cluster.end_worker(slot.worker)

    def _hand_out(self) -> None:
        """Give every worker that has nothing to do the next thing to do."""
        for slot in self._slots:
            if slot.doing == "waiting for files":
                self._have_files(slot)
            if slot.doing == "resting" and self._waiting:
                handed = self._waiting.popleft()
                allowed = self._seconds_allowed(handed.task)
                slot.allowed = math.inf if allowed is None else allowed
                slot.handed, slot.started = handed, self._clock()
                self._begin(slot, "working", "run", handed.task)

    def _have_files(self, slot: _Slot[T]) -> None:
        """Have one worker of each node put what is shipped there; the others of the node wait."""
        if any(other.node == slot.node and other.doing == "unpacking" for other in self._slots):
            return
        if self._pieces is None:
            self._pieces = [self._cluster.keep(piece) for piece in self._shipment.pack()]
        self._say(f"sending the data to {slot.host}")
        self._begin(slot, "unpacking", "unpack", self._pieces)

    def _begin(self, slot: _Slot[T], doing: Doing, method: str, *arguments: object) -> None:
        slot.doing = doing
        slot.answer = self._cluster.call(slot.worker, method, *arguments)

    def _take(self, slot: _Slot[T]) -> None:
        """Take what a worker has answered, and let it go on."""
        reply, slot.answer = self._cluster.read(slot.answer), None
        if isinstance(reply, Gone):
            self._lose(slot, reply)
        elif slot.doing == "working":
            handed, slot.handed, slot.doing = slot.handed, None, "resting"
            assert handed is not None
            self._ended.append(ended_by(reply, handed.task, self._clock() - slot.started))
        elif reply.kind != "value":
            raise RunError(unprepared_words(reply, slot.host))
        elif slot.doing == "arriving":
            self._welcome(slot, reply.content)
        elif slot.doing == "unpacking":
            for other in self._slots:
                if other is slot or (other.node == slot.node and other.doing == "waiting for files"):
                    self._begin(other, "preparing", "prepare")
        else:
            slot.doing, slot.num_failed_starts = "resting", 0

    def _welcome(self, slot: _Slot[T], arrival: Arrival) -> None:
        slot.node, slot.host = arrival.node, arrival.host
        if arrival.effsearch != __version__:
            raise RunError(
                f"{arrival.host} has effsearch {arrival.effsearch} and this machine {__version__}; "
                "install the same on every node"
            )
        if arrival.torch not in self._torches:
            self._torches[arrival.torch] = arrival.host
            if len(self._torches) > 1:
                found = ", ".join(f"{torch} on {host}" for torch, host in self._torches.items())
                self._say(f"nodes differ in their torch ({found}): so may scores, in the last digits")
        if arrival.is_supplied:
            self._begin(slot, "preparing", "prepare")
        else:
            slot.doing = "waiting for files"

    def _lose(self, slot: _Slot[T], gone: Gone) -> None:
        """Replace a worker that is gone, and find out what that means for its task."""
        handed, now = slot.handed, self._clock()
        if handed is None:
            num_failed = slot.num_failed_starts + 1
            if num_failed >= MOST_FAILED_STARTS:
                where = f"on {slot.host} " if slot.host else ""
                raise RunError(
                    f"{num_failed} workers in a row ended before their first task, the last one {where}while "
                    f"{slot.doing} ({gone.reason}); can every node import effsearch, and does it have the memory?"
                )
            self._replace(slot, num_failed_starts=num_failed)
            return
        seconds = now - slot.started
        self._replace(slot)
        if gone.is_for_memory:
            self._fail(handed, f"memory ran out on {slot.host}, and its worker was ended", seconds, "memory")
        else:
            self._doubts.append(_Doubt(handed, slot.node, slot.host, seconds, now + DOUBT_SECONDS))

    def _settle_doubts(self) -> None:
        """Hand tasks that were lost with their node out again; other deaths are told."""
        for doubt in list(self._doubts):
            handed = doubt.handed
            if not self._cluster.has_node(doubt.node):
                self._doubts.remove(doubt)
                handed.num_lost += 1
                if handed.num_lost > MOST_LOST:
                    failure = f"lost with its node {handed.num_lost} times, the last time with {doubt.host}"
                    self._fail(handed, failure, doubt.seconds, "died")
                else:
                    self._say(f"{handed.task.name}: lost with {doubt.host}; again elsewhere")
                    self._waiting.appendleft(handed)
            elif self._clock() >= doubt.until:
                self._doubts.remove(doubt)
                self._fail(handed, f"the worker on {doubt.host} died", doubt.seconds, "died")

    def _stop_hung(self) -> None:
        for slot in list(self._slots):
            seconds = self._clock() - slot.started
            if slot.handed is not None and seconds >= slot.allowed:
                handed = slot.handed
                self._replace(slot)
                self._fail(handed, hung_words(slot.allowed), seconds, "hung")

    def _fail(self, handed: _Handed[T], failure: str, seconds: float, cause: FailureCause) -> None:
        self._ended.append(Ended(handed.task, None, failure, seconds, cause))

    def _patience(self) -> float:
        """Give how long nothing but an answer can change anything."""
        now = self._clock()
        ends = [slot.started + slot.allowed for slot in self._slots if slot.handed is not None]
        if self._doubts:
            ends.append(now + DOUBT_SECONDS / 10)
        return max(0.0, min([now + POLL_SECONDS, *ends]) - now)

    def _check_place(self) -> None:
        """Give up where no worker has found a place for long: what waits might wait for ever."""
        if any(slot.node for slot in self._slots) or self._clock() - self._alone_since < PLACE_SECONDS:
            return
        raise RunError(
            f"no worker has found a place in the cluster within {PLACE_SECONDS:.0f} s: its nodes are gone, or others "
            "use them; see: ray status"
        )


def start_ray_pool(
    work: Callable[[T], V],
    *,
    prepare: Callable[[], None],
    address: str | None,
    num_workers: int,
    cpus_per_task: float = 1,
    gpus_per_task: float = 0.0,
    seconds_allowed: SecondsAllowed[T] = no_limit,
    ship: Shipment | None = None,
    say: Callable[[str], None] = say_nothing,
) -> RayPool[T, V]:
    """Start workers on a Ray cluster.

    Args:
        work: Picklable; called in the workers with a task.
        prepare: Picklable; called once in each worker before its first task.
        address: Of a running cluster, "host:port" or "auto"; None starts one on this machine, stopped at the end.
        num_workers: At the most; fewer where there is not room for so many.
        cpus_per_task: Cores that a worker takes.
        gpus_per_task: GPUs that a worker takes, .25 for a quarter of one.
        seconds_allowed: Of a task, from hand-out on.
        ship: What every node needs.
        say: Is told what a user may want to know.

    Raises:
        UsageError: Ray is not installed, or no node has room for a worker.
        RunError: There is no cluster at the address.
    """
    resources = Resources(cpus=cpus_per_task, gpus=gpus_per_task)
    cluster = connect(address, num_local_cpus=math.ceil(num_workers * cpus_per_task))
    try:
        nodes = list(cluster.resources_of_nodes().values())
        room = resources.count_room(nodes)
        if not room:
            raise UsageError(
                f"no node of the cluster has room for a worker, which takes {resources}; there are {_total(nodes)}"
            )
        if num_workers > room:
            say(
                f"{num_workers} workers were asked for, and there is room for {room}: each takes {resources}, and "
                f"there are {_total(nodes)}"
            )
        shipment = NoShipment() if ship is None else ship
        return RayPool(
            cluster,
            lambda: cluster.start_worker(
                RayWorker, work, prepare, shipment, wants_traces(), resources=resources
            ),
            num_slots=min(num_workers, room),
            seconds_allowed=seconds_allowed,
            shipment=shipment,
            say=say,
        )
    except BaseException:
        cluster.close()
        raise


def count_workers(address: str, *, cpus_per_task: float = 1, gpus_per_task: float = 0.0) -> int:
    """Give how many workers a running cluster has room for, at least one.

    Raises:
        UsageError: Ray is not installed, or that is no address.
        RunError: There is no cluster at the address.
    """
    cluster = connect(address, num_local_cpus=1)
    try:
        nodes = list(cluster.resources_of_nodes().values())
        return max(1, Resources(cpus=cpus_per_task, gpus=gpus_per_task).count_room(nodes))
    finally:
        cluster.close()


def _total(nodes: list[dict[str, float]]) -> str:
    cpus, gpus = (sum(node.get(name, 0.0) for node in nodes) for name in ("CPU", "GPU"))
    return f"{cpus:g} CPU(s) and {gpus:g} GPU(s) on {len(nodes)} node(s)"
