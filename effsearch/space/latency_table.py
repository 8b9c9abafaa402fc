"""How long does a network take, by a table of what its blocks take?

A block is known by its layers alone, as the one layer walk gives them, so the table knows nothing of kinds of blocks.
Times are whole nanoseconds: parts add up to the network's, to the last one.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

from effsearch.space.errors import UsageError
from effsearch.space.layer import Layer
from effsearch.space.layers import layers
from effsearch.space.spec import ModelSpec
from effsearch.space.strict_json import parse_json

SCHEMA_VERSION = 1
MOST_NANOSECONDS = 10**15  # of a block, eleven days; sums of thousands stay inside 64 bits
HEADROOM_DEVIATIONS = 1.28  # of a prediction's error; nine in ten are below, where errors are normal

Block = tuple[Layer, ...]  # the layers of one scope: a stem, a block or a head


@dataclass(frozen=True, slots=True, kw_only=True)
class LatencyConditions:
    """What was timed on what: times compare under the same conditions only."""

    runtime: str  # "torch" or "onnxruntime"
    version: str  # of the runtime
    device: str  # "cpu" or "cuda"
    num_threads: int
    batch_size: int
    machine: str  # the processor's or the GPU's name

    def __str__(self) -> str:
        threads = f", {self.num_threads} thread{'s' if self.num_threads > 1 else ''}"
        return (
            f"{self.runtime} {self.version}, {self.machine}"
            f"{threads if self.device == 'cpu' else ''}, batch {self.batch_size}"
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class LatencyTable:
    """What each block adds to a network's time, corrected so that sums meet whole networks."""

    nanoseconds: Mapping[str, int]  # by `block_signature`
    error: float  # deviation of measured over predicted, of whole networks left out of the correction
    mean_error: float  # the same as the mean of its absolute value
    raw_error: float  # the mean absolute error of adding up blocks as they were timed, without a correction
    num_networks: int  # measured whole, for the correction
    conditions: LatencyConditions
    time: str  # when it was measured, ISO 8601
    seconds: float  # that measuring took
    processor_share: float  # of these, what the machine's other programs left to it; 1: it was quiet

    def of_block(self, block: Sequence[Layer]) -> int:
        """Give what a block adds, in nanoseconds; one that changes nothing adds nothing.

        Raises:
            UsageError: The table lacks it.
        """
        if not block:
            return 0
        signature = block_signature(block)
        if signature not in self.nanoseconds:
            raise UsageError(
                f"the latency table has no time for {signature}: measure one for this space, resolution and "
                "number of classes"
            )
        return self.nanoseconds[signature]

    def knows(self, spec: ModelSpec) -> bool:
        """Tell whether every block of a network was timed."""
        return all(block_signature(block) in self.nanoseconds for _, block in network_blocks(spec))

    def predict(self, spec: ModelSpec) -> int:
        """Give the nanoseconds of one pass of a network.

        Raises:
            UsageError: The table lacks a block.
        """
        return sum(self.of_block(block) for _, block in network_blocks(spec))

    def held_to(self, limit: int) -> int:
        """Give what predictions are held to, so that a network measured keeps to a limit nine times in ten."""
        return max(1, int(limit / (1 + HEADROOM_DEVIATIONS * self.error)))

    @cached_property
    def fingerprint(self) -> str:
        """What tells this table from others, 16 hexadecimal digits."""
        return hashlib.sha256(json.dumps(to_record(self), sort_keys=True).encode()).hexdigest()[:16]


def block_signature(block: Iterable[Layer]) -> str:
    """Give the text that a block is known by: all of its layers that its time can hang on."""
    return "; ".join(_layer_text(layer) for layer in block)


def network_blocks(spec: ModelSpec) -> Iterator[tuple[str, Block]]:
    """Yield scope and layers of each block of a network, stem to head; identities that do nothing are left out."""
    for scope, of_scope in groupby(layers(spec), key=lambda layer: layer.scope):
        yield scope, tuple(of_scope)


def part_of(scope: str) -> str:
    """Give the part that a scope belongs to: "stem", "stage1", ..., "head"."""
    kind, _, rest = scope.partition(".")
    return f"stage{int(rest.partition('.')[0]) + 1}" if kind == "stages" else kind


def part_latencies(spec: ModelSpec, table: LatencyTable) -> dict[str, int]:
    """Give the nanoseconds of each part; they add up to the prediction.

    Raises:
        UsageError: The table lacks a block.
    """
    found = {"stem": 0} | {f"stage{number}": 0 for number in range(1, len(spec.stages) + 1)} | {"head": 0}
    for scope, block in network_blocks(spec):
        found[part_of(scope)] += table.of_block(block)
    return found


def to_record(table: LatencyTable) -> dict[str, Any]:
    """Give a table as JSON values."""
    record = asdict(table)
    return (
        {"schema_version": SCHEMA_VERSION} | record | {"nanoseconds": dict(sorted(table.nanoseconds.items()))}
    )


def to_json(table: LatencyTable) -> str:
    """Give a table as text."""
    return json.dumps(to_record(table), indent=1) + "\n"


def from_json(text: str, *, source: str) -> LatencyTable:
    """Read a table.

    Args:
        text: What `to_json` gave.
        source: Where it is from, for errors.

    Raises:
        UsageError: It is no latency table, or one of another version.
    """
    try:
        record = parse_json(text)
        version = record.pop("schema_version")
        if version != SCHEMA_VERSION:
            raise UsageError(f"{source}: schema_version must be {SCHEMA_VERSION}, got {version!r}")
        conditions = LatencyConditions(**record.pop("conditions"))
        table = LatencyTable(conditions=conditions, **record)
        _check(table)
    except UsageError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{source} is no latency table ({error}); effsearch profile --space SPACE --latency --out FILE makes one"
        ) from error
    return table


def _check(table: LatencyTable) -> None:
    values = table.nanoseconds.values()
    if not values or any(type(value) is not int or not 1 <= value <= MOST_NANOSECONDS for value in values):
        raise ValueError("nanoseconds must be whole numbers by block, above zero and at most eleven days")
    for name in ("error", "mean_error", "raw_error", "seconds", "processor_share"):
        if not 0 <= getattr(table, name) < math.inf:
            raise ValueError(f"{name} must be at least 0, got {getattr(table, name)}")
    conditions = table.conditions
    for name in ("num_threads", "batch_size"):
        if type(value := getattr(conditions, name)) is not int or value < 1:
            raise ValueError(f"{name} must be a whole number above zero, got {value!r}")
    if type(table.num_networks) is not int:
        raise ValueError(f"num_networks must be a whole number, got {table.num_networks!r}")
    for text in (
        conditions.runtime,
        conditions.version,
        conditions.device,
        conditions.machine,
        table.time,
    ):
        if not isinstance(text, str):
            raise ValueError(f"what was timed on what, and when, must be texts, got {text!r}")


def _layer_text(layer: Layer) -> str:
    words = [layer.kind if layer.branch == "main" else f"{layer.branch} {layer.kind}"]
    words.append(f"{layer.in_channels}>{layer.out_channels}")
    if layer.kind in ("conv", "max_pool"):
        words.append(f"k{layer.kernel_size}")
    if layer.stride > 1:
        words.append(f"s{layer.stride}")
    if layer.groups > 1:
        words.append(f"g{layer.groups}")
    if layer.activation != "none":
        words.append(layer.activation)
    return " ".join([*words, f"{layer.in_size}>{layer.out_size}"])
