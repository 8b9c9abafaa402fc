"""How does effsearch speak to Ray?

The one file that imports it, inside functions, so that nobody who does without Ray notices.
"""

import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any  # Ray's actors and references

from effsearch.search.placement.attempt import Reply
from effsearch.space.errors import RunError, UsageError
from effsearch.space.passwords import hide_passwords

REACH_SECONDS = 5.0  # for a first sign of life
_QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
}
_OF_OURS = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # listen on the loopback alone; the name is older than what it does
    "RAY_worker_niceness": "0",  # Ray's 15 would have anything else on this machine come first
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resources:
    """What one worker takes of a node."""

    cpus: float
    gpus: float

    def __post_init__(self) -> None:
        if self.cpus < 0 or self.gpus < 0 or not self.cpus + self.gpus:
            raise UsageError(f"a worker must take CPUs or GPUs, got {self.cpus:g} and {self.gpus:g}")
        if self.gpus > 1 and self.gpus != int(self.gpus):
            raise UsageError(f"a worker takes a share of one GPU or whole ones, got {self.gpus:g}")

    def __str__(self) -> str:
        return f"{self.cpus:g} CPU(s)" + (f" and {self.gpus:g} GPU(s)" if self.gpus else "")

    def count_room(self, nodes: Sequence[Mapping[str, float]]) -> int:
        """Give how many workers nodes have room for, by what each has in all."""
        return sum(
            min(
                int(node.get(name, 0.0) / share + 1e-6)
                for name, share in (("CPU", self.cpus), ("GPU", self.gpus))
                if share
            )
            for node in nodes
        )


@dataclass(frozen=True, slots=True)
class Gone:
    """In place of an answer: the worker is no more."""

    reason: str  # Ray's
    is_for_memory: bool = False  # its node had no more, and Ray chose this worker


class RayCluster:
    """A cluster that this process is connected to."""

    def __init__(self, *, is_ours: bool) -> None:
        self._is_ours = is_ours

    def resources_of_nodes(self) -> dict[str, dict[str, float]]:
        """Give what each living node has in all, by the node's name in Ray."""
        return {node["NodeID"]: node["Resources"] for node in _nodes() if _lives(node)}

    def has_node(self, name: str) -> bool:
        """Tell whether a node lives."""
        return any(_lives(node) for node in _nodes() if node["NodeID"] == name)

    def start_worker(self, worker: type, *arguments: object, resources: Resources) -> Any:
        """Ask for an actor, placed as soon as there is room for it."""
        import ray

        actor_class: Any = ray.remote(worker)
        placed = actor_class.options(
            num_cpus=resources.cpus,
            num_gpus=resources.gpus,
            max_restarts=0,
            max_task_retries=0,
            scheduling_strategy="SPREAD",
        )
        return placed.remote(*arguments)

    def end_worker(self, worker: Any) -> None:
        """Kill an actor, whatever it is doing, and take back the request for one that has no place yet."""
        import ray

        ray.kill(worker, no_restart=True)

    def call(self, worker: Any, method: str, *arguments: object) -> Any:
        """Have an actor begin something; the reference to its answer comes back at once."""
        return getattr(worker, method).remote(*arguments)

    def first_of(self, answers: Sequence[Any], seconds: float) -> list[Any]:
        """Wait for an answer, at the longest some seconds, and give all that are there then."""
        import ray

        if not answers:
            time.sleep(seconds)
            return []
        first, _ = ray.wait(list(answers), num_returns=1, timeout=seconds)
        return ray.wait(list(answers), num_returns=len(answers), timeout=0)[0] if first else []

    def read(self, answer: Any) -> Any:
        """Give an answer that is there: what the method gave, `Gone`, or a reply that tells of a bug."""
        import ray

        try:
            return ray.get(answer)
        except ray.exceptions.RayTaskError as error:
            return Reply("bug", f"{type(error.cause).__name__}: {error.cause}")
        except ray.exceptions.OutOfMemoryError as error:
            return Gone(_last_line(error), is_for_memory=True)
        except ray.exceptions.RayError as error:
            return Gone(_last_line(error))

    def keep(self, value: object) -> Any:
        """Put a value where every node can fetch it from."""
        import ray

        return ray.put(value)

    def close(self) -> None:
        """Leave; a cluster that was started with this connection is stopped."""
        import ray

        if self._is_ours:
            ray.shutdown()


def _nodes() -> list[dict[str, Any]]:
    import ray

    nodes: list[dict[str, Any]] = ray.nodes()  # type: ignore[no-untyped-call]  # Ray's own
    return nodes


def _lives(node: dict[str, Any]) -> bool:
    """Tell so by Ray and by the node's own answer: Ray takes up to half a minute to miss one."""
    return node["Alive"] and not _refusal(node["NodeManagerAddress"], node["NodeManagerPort"])


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[-1].strip()


def this_node() -> str:
    """Give the name in Ray of the node that this actor is on."""
    import ray

    return str(ray.get_runtime_context().get_node_id())


def fetch(kept: Any) -> Any:
    """Give, on a node, a value that was kept."""
    import ray

    return ray.get(kept)


def connect(address: str | None, *, num_local_cpus: int) -> RayCluster:
    """Connect to the cluster at an address, or start one on this machine, which listens to this machine alone.

    Args:
        address: "host:port" of the head node, "auto" for the cluster that this machine is part of, None to start one.
        num_local_cpus: Cores that one started here counts, so many workers it has room for.

    Raises:
        UsageError: Ray is not installed.
        RunError: There is no cluster at the address.
    """
    try:
        import ray
    except ImportError as error:
        raise UsageError("--engine ray needs Ray: pip install 'effsearch[ray]'") from error
    if address is not None:
        _check_reachable(_noted_address(ray) if address == "auto" else address)
    _hush(ray)
    if ray.is_initialized():  # by whoever called us, or by a pool around this one
        return RayCluster(is_ours=False)
    try:
        if address is None:
            with _restored(_QUIET | _OF_OURS), _only_loopback(ray), _without_passwords(ray):
                ray.init(
                    address="local",
                    num_cpus=num_local_cpus,
                    include_dashboard=False,
                    log_to_driver=False,
                    logging_level=logging.CRITICAL,
                )
        else:
            with _restored(_QUIET), _without_passwords(ray):
                ray.init(address=address, log_to_driver=False, logging_level=logging.CRITICAL)
    except (OSError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        if address == "auto" and isinstance(error, ConnectionError):
            raise RunError(
                "--address auto: this machine is no node of a running Ray cluster; start one, as by: ray start --head"
            ) from error
        reason = str(error).strip().splitlines()[0]
        if address is None:
            raise RunError(f"no Ray cluster could be started: {reason}") from error
        hint = (
            "" if "RAY_AUTH_MODE" in os.environ else "; does it ask for a token? Then set RAY_AUTH_MODE=token"
        )
        raise RunError(f"no Ray cluster at {address}: {reason}{hint}") from error
    return RayCluster(is_ours=True)


def _hush(ray: Any) -> None:
    """Have Ray's driver print nothing of what its nodes report: it would print among results, and knows no switch."""
    printer = "print_to_stdstream"
    module = getattr(
        ray._private, "worker", None
    )  # another version may do it another way, and is then not silent
    if hasattr(module, printer):
        setattr(module, printer, lambda *_, **__: None)


def _noted_address(ray: Any) -> str:
    """Give the address that Ray would take "auto" for: of a variable, or of a file that may outlive its cluster.

    Where Ray finds none, or another version looks for it in another way, that is "auto".
    """
    find = getattr(getattr(ray._private, "services", None), "get_ray_address_from_environment", None)
    try:
        return str(find("auto", None)) if find else "auto"
    except (
        OSError,
        RuntimeError,
        ValueError,
        TypeError,
    ):  # Ray says it in its own words when it is asked to connect
        return "auto"


def _check_reachable(address: str) -> None:
    """Refuse what no driver can run on, at once and in one line; Ray itself takes a minute and many lines.

    Raises:
        UsageError: That is no address of a cluster.
        RunError: Nobody answers there.
    """
    if address == "auto":
        return
    host, colon, port = address.rpartition(":")
    if "://" in address or not colon or not port.isdecimal():
        raise UsageError(
            f"--address must be host:port of Ray's head node, or auto, got {address}"
            + ("; run effsearch on a node of the cluster" if address.startswith("ray:") else "")
        )
    if refusal := _refusal(host.strip("[]"), int(port)):
        raise RunError(
            f"no Ray cluster answers at {address} ({refusal}); is it started there, as by: ray start --head?"
        )


def _refusal(host: str, port: int) -> str:
    """Give why nobody takes a connection there; "" where somebody does."""
    try:
        socket.create_connection((host, port), timeout=REACH_SECONDS).close()
    except (OSError, OverflowError) as error:
        return str(error)
    return ""


def _only_loopback(ray: Any) -> AbstractContextManager[None]:
    """Have this process take the loopback's address for a node's, as those it starts do by the variable."""
    return _replaced(getattr(ray._private, "ray_constants", None), "ENABLE_RAY_CLUSTER", lambda _: False)


def _without_passwords(ray: Any) -> AbstractContextManager[None]:
    """Have Ray note this process's command line without passwords: all who use the cluster can read it there."""

    def hiding(command_line: Callable[[], str]) -> Callable[[], str]:
        return lambda: hide_passwords(command_line())

    return _replaced(getattr(ray._private, "utils", None), "get_entrypoint_name", hiding)


@contextmanager
def _replaced(owner: Any, name: str, make: Callable[[Any], Any]) -> Iterator[None]:
    """Have something of Ray's own be another thing, made of it; another version may not have it, and keeps it."""
    if not hasattr(owner, name):
        yield
        return
    before = getattr(owner, name)
    setattr(owner, name, make(before))
    try:
        yield
    finally:
        setattr(owner, name, before)


@contextmanager
def _restored(environment: Mapping[str, str]) -> Iterator[None]:
    """Set variables that Ray and what it starts read, and undo these and Ray's answer to SIGTERM at the end."""
    before = {name: os.environ.get(name) for name in environment}
    is_main = threading.current_thread() is threading.main_thread()
    on_sigterm = signal.getsignal(signal.SIGTERM)
    os.environ.update(environment)
    try:
        yield
    finally:
        if is_main and on_sigterm is not None:
            signal.signal(signal.SIGTERM, on_sigterm)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
