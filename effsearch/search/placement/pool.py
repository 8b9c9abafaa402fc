"""Where is work done, one task a slot?

The one interface that the driver knows. `local_pool` has worker processes behind it, `ray_pool` a cluster;
`retrying_pool` gives a task a second chance on either.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Literal, Protocol, TypeVar


class Task(Protocol):
    """What a worker is sent: anything that pickles and has a name for people."""

    @property
    def name(self) -> str:
        """As users see it."""


T = TypeVar("T", bound=Task)
V = TypeVar("V")

FailureCause = Literal["", "training", "memory", "crash", "died", "hung"]
SecondsAllowed = Callable[[T], float | None]  # None: as long as it takes


@dataclass(frozen=True, slots=True)
class Ended(Generic[T, V]):
    """A task that has ended: with a value, or with the reason why there is none."""

    task: T
    value: V | None
    failure: str  # "" where there is a value
    seconds: float  # from hand-out to end, by the driver's clock
    cause: FailureCause = (
        ""  # "training" and "crash" are the task's own doing, "died" and "hung" may be the machine's
    )
    trace: str = ""  # how the failure came about, where `--debug` asks for it


class Pool(Protocol, Generic[T, V]):
    """Does tasks, one per slot; none is lost, none is done twice, and they end in any order."""

    @property
    def num_slots(self) -> int:
        """Tasks that can run at once."""

    @property
    def num_running(self) -> int:
        """Tasks handed in and not yet taken out."""

    def submit(self, task: T) -> None:
        """Hand in a task; there must be a free slot."""

    def wait(self) -> Ended[T, V]:
        """Block until a task has ended, well or badly, and take it out: the very object that was handed in.

        Raises:
            RunError: The work found something that no other task could do without, such as images that are gone.
        """

    def close(self) -> None:
        """Stop the workers; tasks still running are dropped."""


def no_limit(task: object) -> None:
    """None: the default where a task may take as long as it takes."""
