"""Does a network keep to a bound on latency when it is measured whole?"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast, get_args

from effsearch.commands.baseline.latency_plan import LatencyPlan
from effsearch.commands.watching import Watcher
from effsearch.proxy_train.latency.measure import time_network
from effsearch.proxy_train.latency.target import DeviceName, LatencyTarget, Runtime, require_target
from effsearch.results.json_files import read_json, write_json
from effsearch.results.run_files import LATENCY_CHECK_FILE
from effsearch.space.budget import short_time
from effsearch.space.canonical import network_hash
from effsearch.space.errors import RunError, UsageError
from effsearch.space.latency_table import LatencyTable
from effsearch.space.spec import ModelSpec

MAX_ROUNDS = 3  # of measuring a network that seems too slow: what disturbs only ever adds time

Measure = Callable[[ModelSpec], int]  # nanoseconds


class LatencyCheck:
    """Measures networks of a run whole, each once, and remembers it in the run's directory.

    Args:
        run: Directory of the run.
        plan: The bound, and what networks were predicted by.
        watcher: Is told of networks that are too slow.
        measure: Gives the nanoseconds of a network; None where this machine is not the table's.
    """

    def __init__(self, run: Path, plan: LatencyPlan, watcher: Watcher, measure: Measure | None) -> None:
        self.limit = plan.limit
        self.plan = plan
        self._path = run / LATENCY_CHECK_FILE
        self._watcher = watcher
        self._measure = measure
        self._measured: dict[str, int] = self._read()

    def measured(self, spec: ModelSpec) -> int | None:
        """Give the nanoseconds of a network, measured now if it was not before; None where it cannot be measured."""
        network = network_hash(spec)
        if network not in self._measured and self._measure is not None:
            nanoseconds = self._measure(spec)
            for _ in range(MAX_ROUNDS - 1):
                if nanoseconds > self.limit:
                    nanoseconds = min(nanoseconds, self._measure(spec))
            self._measured[network] = nanoseconds
            write_json(self._path, {"nanoseconds": self._measured})
        return self._measured.get(network)

    def keeps(self, spec: ModelSpec) -> bool:
        """Tell whether a network keeps to the bound; one that cannot be measured is taken to."""
        is_new = network_hash(spec) not in self._measured
        nanoseconds = self.measured(spec)
        if nanoseconds is None or nanoseconds <= self.limit:
            return True
        if is_new:
            self._watcher.say(
                f"latency: a network takes {short_time(nanoseconds)} measured whole, {short_time(self.limit)} are "
                f"allowed and {short_time(self.plan.table.predict(spec))} were predicted: it is no finalist"
            )
        return False

    def _read(self) -> dict[str, int]:
        found: Any = read_json(self._path).get("nanoseconds") if self._path.is_file() else {}
        if not isinstance(found, dict) or any(type(one) is not int or one < 1 for one in found.values()):
            raise RunError(f"{self._path} is damaged; delete it, and networks are measured again")
        return found


def measure_like(table: LatencyTable) -> Measure | None:
    """Give what measures networks under a table's conditions; None where they are not this machine's."""
    wanted = table.conditions
    if wanted.runtime not in get_args(Runtime) or wanted.device not in get_args(DeviceName):
        return None
    target = LatencyTarget(
        runtime=cast(Runtime, wanted.runtime),
        device=cast(DeviceName, wanted.device),
        num_threads=wanted.num_threads,
        batch_size=wanted.batch_size,
    )
    try:
        if require_target(target) != wanted:
            return None
    except UsageError:
        return None
    return lambda spec: time_network(spec, target).nanoseconds
