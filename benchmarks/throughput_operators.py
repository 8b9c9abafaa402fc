"""Where does the time of a training step go, and how far is each kind of operator from the limit?

One process, one thread, our loop: once on the kernels, once on torch's operators alone. Steps are timed as they are;
then the kernels are given names, a few steps more are profiled, and the profile shares out the time that a step takes
without either. Nothing else should run.

The kernels do at once what torch does one after another, so parts of the two are not the same work: on the kernels
`depthwise` holds the norm and activation before it, and backward those after it too; where there is a gate, `gate and
pooling` holds those before the gate.
"""

import contextlib
import itertools
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal
from unittest import mock

from macro_data import load_cifar
from matrix_limit import limit_of, measure_products
from recording import append_record
from throughput_loops import NAME, backward_multiply_adds, networks, prepare, train
from torch.autograd.profiler_util import FunctionEvent
from torch.profiler import ProfilerActivity, profile, record_function

from effsearch.proxy_train.kernels.switch import is_on, turned_off
from effsearch.proxy_train.train import TrainSettings
from effsearch.space.cost import layer_cost
from effsearch.space.layer import Layer
from effsearch.space.layers import layers
from effsearch.space.spec import ModelSpec

Context = contextlib.AbstractContextManager[None]
Operators = Literal["kernels", "torch"]
Part = Literal[
    "pointwise",
    "depthwise",
    "stem",
    "norm and activation",
    "gate and pooling",
    "classifier and loss",
    "optimizer",
    "rest",
]

NUM_FIRST_STEPS = 5  # that do not count
NUM_STEPS = 20  # that are timed
NUM_PROFILED = 5

# What the profiler calls them; convolutions are told apart by their shapes. The innermost name decides.
KERNEL = "kernel "
NAMES: tuple[tuple[Part, tuple[str, ...]], ...] = (
    ("optimizer", ("Optimizer.", "_foreach_", "linalg_vector_norm", "AccumulateGrad")),
    ("classifier and loss", ("cross_entropy", "aten::linear", "Addmm", "NllLoss", "LogSoftmax")),
    ("gate and pooling", ("aten::mean", "MeanBackward", "MulBackward0", "sigmoid", "Sigmoid")),
    ("gate and pooling", tuple(KERNEL + name for name in ("pool_", "scale_", "sum_gated", "combine_"))),
    (
        "norm and activation",
        ("batch_norm", "BatchNorm", "silu", "Silu", "relu", "Relu", "hardtanh", "Hardtanh"),
    ),
    ("depthwise", (KERNEL + "to_blocks", KERNEL + "from_blocks")),
    ("norm and activation", ("hardswish", "Hardswish", "_NormActivate", KERNEL)),
    ("depthwise", ("_DepthwiseChain",)),
    ("pointwise", ("_Pointwise",)),
)
WEIGHT_PLACE = {"aten::mkldnn_convolution": 1, "aten::convolution_backward": 2}  # among an operator's inputs


def part_of_event(name: str, shapes: Sequence[Sequence[int]]) -> Part | None:
    """Give what an operator is a part of by its own name and shapes, or None where they do not say."""
    shape = list(shapes[0]) if shapes else []
    if name in WEIGHT_PLACE:
        _, in_channels, size, _ = shapes[WEIGHT_PLACE[name]]
        if shape[2:] == [1, 1]:
            return "gate and pooling"
        if size == 1:
            return "pointwise"
        return "depthwise" if in_channels == 1 else "stem"
    if name in ("aten::add", "aten::add_", "aten::mul"):
        if len(shape) != 4:
            return None
        return "gate and pooling" if name == "aten::mul" else "norm and activation"
    for part, words in NAMES:
        if any(word in name for word in words):
            is_in_gate = part == "norm and activation" and shape[2:] == [1, 1]
            return "gate and pooling" if is_in_gate else part
    return None


def part_of_layer(layer: Layer) -> Part:
    """Give what a layer with multiply-adds is a part of."""
    if layer.kind == "linear":
        return "classifier and loss"
    if layer.branch == "gate":
        return "gate and pooling"
    if layer.kernel_size == 1:
        return "pointwise"
    return "depthwise" if layer.groups > 1 else "stem"


def multiply_adds_by_part(spec: ModelSpec, batch: int) -> dict[Part, tuple[int, int]]:
    """Count the multiply-adds of a step, forward and backward."""
    forward: Counter[Part] = Counter()
    backward: Counter[Part] = Counter()
    for layer in layers(spec):
        if cost := layer_cost(layer).multiply_adds:
            part = part_of_layer(layer)
            forward[part] += batch * cost
            backward[part] += batch * backward_multiply_adds(layer)
    return {part: (number, backward[part]) for part, number in forward.items()}


@contextlib.contextmanager
def kernels_named() -> Iterator[None]:
    """Let the profiler see the kernels that operators are made of, but for the depthwise convolution's own."""
    # Not above: numba takes long to load, and every process of the other measurements imports this file.
    from effsearch.proxy_train.kernels import depthwise_operator, norm_kernels, norm_operator

    def named(name: str, kernel: Any) -> Any:  # a compiled function, which numba has not typed
        def call(*arguments: int) -> None:
            with record_function(KERNEL + name):
                kernel(*arguments)

        return call

    def named_of(name: str, make: Any) -> Any:  # what gives the kernel for maps of some types
        return lambda *sizes: named(name, make(*sizes))

    with contextlib.ExitStack() as stack:
        for module in (depthwise_operator, norm_operator):
            for name, value in list(vars(module).items()):
                if hasattr(value, "py_func"):
                    stack.enter_context(mock.patch.object(module, name, named(name, value)))
                elif name.endswith("_kernel") and value.__module__ == norm_kernels.__name__:
                    kernel = named_of(name.removesuffix("_kernel"), value)
                    stack.enter_context(mock.patch.object(module, name, kernel))
        yield


class ProfiledSteps:
    """Asked before each step: lets the first pass, times some, profiles some more, and stops the training.

    Args:
        naming: Holds while steps are profiled, and not while they are timed.
    """

    def __init__(self, naming: Context) -> None:
        self._while_profiled = contextlib.ExitStack()
        self._naming = naming
        self._times: list[float] = []  # of this process, at each call
        self._profile_started = 0.0
        self.profiler = profile(activities=[ProfilerActivity.CPU], record_shapes=True)
        self.profiled_seconds = 0.0  # by the clock, as the profiler's

    def __call__(self) -> bool:
        """Tell whether all is known."""
        self._times.append(time.process_time())
        num_before = len(self._times) - 1
        if num_before == NUM_FIRST_STEPS + NUM_STEPS:
            self._while_profiled.enter_context(self._naming)
            self.profiler.start()
            self._profile_started = time.perf_counter()
        elif num_before == NUM_FIRST_STEPS + NUM_STEPS + NUM_PROFILED:
            self.profiled_seconds = time.perf_counter() - self._profile_started
            self.profiler.stop()
            self._while_profiled.close()
            return True
        return False

    @property
    def step_seconds(self) -> float:
        """Core-seconds of a step that is not profiled."""
        timed = self._times[NUM_FIRST_STEPS : NUM_FIRST_STEPS + NUM_STEPS + 1]
        return statistics.median(later - earlier for earlier, later in itertools.pairwise(timed))

    def shares(self) -> dict[tuple[Part, bool], float]:
        """Give the share of the profiled time by part, forward and (True) backward; all add up to 1."""
        seconds: defaultdict[tuple[Part, bool], float] = defaultdict(float)
        events = self.profiler.events() or ()  # type: ignore[no-untyped-call]  # torch has not typed it
        for event in events:
            if event.cpu_parent is None:
                _add_times(event, "rest", False, seconds)
        # What is not inside any operator is Python's.
        seconds["rest", False] += max(0.0, self.profiled_seconds - sum(seconds.values()))
        total = sum(seconds.values())
        return {key: one / total for key, one in seconds.items()}


def _add_times(
    event: FunctionEvent, part: Part, is_backward: bool, seconds: defaultdict[tuple[Part, bool], float]
) -> None:
    part = part_of_event(event.name, event.input_shapes or ()) or part  # type: ignore[arg-type]  # typed as flat
    is_backward = is_backward or event.name.startswith("autograd::engine")
    seconds[part, is_backward] += event.self_cpu_time_total / 1e6
    for child in event.cpu_children:
        _add_times(child, part, is_backward, seconds)


def measure_operators(folder: Path, *, names: Sequence[str]) -> None:
    """Profile every network that was asked for on the kernels and on torch, and append a record of each."""
    images, batch = load_cifar(), TrainSettings().batch_size
    prepare("ours", num_threads=1)
    if not is_on():
        raise SystemExit(
            "the kernels are off in this process, so there are no operators of theirs to measure"
        )
    for name in names:
        spec = networks()[name]
        counts = multiply_adds_by_part(spec, batch)
        products = measure_products(1)
        product, limit = limit_of(products)
        both: tuple[tuple[Operators, Context, Context], ...] = (
            ("kernels", contextlib.nullcontext(), kernels_named()),
            ("torch", turned_off(), contextlib.nullcontext()),
        )
        for operators, context, naming in both:
            steps = ProfiledSteps(naming)
            with context:
                train("ours", spec, images, folder, num_epochs=None, seed=0, should_stop=steps)
            shares = steps.shares()
            record = {
                "what": "operators",
                "network": name,
                "operators": operators,
                "batch": batch,
                "step_core_seconds": round(steps.step_seconds, 5),
                "profiled_step_seconds": round(steps.profiled_seconds / NUM_PROFILED, 5),
                "parts": {
                    part: {
                        "core_seconds": [
                            round(shares.get((part, is_backward), 0.0) * steps.step_seconds, 6)
                            for is_backward in (False, True)
                        ],
                        "multiply_adds": counts.get(part, (0, 0)),
                    }
                    for part in dict.fromkeys(part for part, _ in sorted(shares))
                },
                "matrix_multiply_adds_per_second": round(limit),
                "matrix_product": product,
                "matrix_products": {one: round(rate) for one, rate in products.items()},
            }
            append_record(NAME, record)
            print_operators(record)


def print_operators(record: dict[str, Any]) -> None:
    """Print a record: of each part its time, its share of what a step takes beyond the limit, and its rate."""
    limit, step = record["matrix_multiply_adds_per_second"], record["step_core_seconds"]
    at_limit = sum(sum(part["multiply_adds"]) for part in record["parts"].values()) / limit
    print(
        f"{record['network']} on {record['operators']}: {1000 * step:.0f} core-ms a step of {record['batch']}, "
        f"{1000 * at_limit:.0f} if every multiply-add ran at the limit ({at_limit / step:.0%})"
    )
    print(
        "                       ms forward  backward  of the step  of the gap  of the limit forward, backward"
    )
    parts = record["parts"].items()
    for name, part in sorted(parts, key=lambda item: -sum(item[1]["core_seconds"])):
        forward, backward = part["core_seconds"]
        excess = (forward + backward - sum(part["multiply_adds"]) / limit) / (step - at_limit)
        rates = [
            f"{number / (seconds * limit):.0%}" if number and seconds else "-"
            for seconds, number in zip(part["core_seconds"], part["multiply_adds"], strict=True)
        ]
        print(
            f"  {name:20} {1000 * forward:10.1f} {1000 * backward:9.1f} {(forward + backward) / step:12.0%} "
            f"{excess:11.0%} {rates[0]:>21} {rates[1]:>9}"
        )
