"""Which channels of a network can only go together?

torch-pruning follows a built network and finds which layers lose a channel with which. What a spec says once is tied
on top of that: both inner convolutions of a bottleneck have one width, and those of a basic block have its output's.
A unit is what can be made narrower by itself.
"""

import importlib.util
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from effsearch.proxy_train.build import Block, Network
from effsearch.space.errors import SpecError, UsageError
from effsearch.space.narrowing import TIED

CLASSIFIER = "head.classifier"


@dataclass(frozen=True, slots=True)
class Group:
    """Layers that lose the same channels."""

    width: int
    handle: Any  # torch-pruning's group of all these channels, which has no types
    outputs: frozenset[str]  # names of layers whose output channels these are
    inputs: frozenset[str]  # and of those whose input channels they are


@dataclass(frozen=True, slots=True)
class Unit:
    """Groups that have one width; each chooses for itself which channels these are."""

    name: str  # of its first layer
    width: int
    groups: tuple[Group, ...]

    @property
    def outputs(self) -> frozenset[str]:
        """Names of the layers that are as wide as this unit."""
        return frozenset().union(*(group.outputs for group in self.groups))

    @property
    def inputs(self) -> frozenset[str]:
        """Names of the layers that read so many channels."""
        return frozenset().union(*(group.inputs for group in self.groups))


@dataclass(frozen=True, slots=True)
class Units:
    """All that of a network can be made narrower, and what stays as it is."""

    units: tuple[Unit, ...]
    kept: tuple[str, ...]  # lines for people: what is left whole, and why
    graph: Any  # torch-pruning's, which has no types


def require_torch_pruning() -> None:
    """Refuse where the library is missing.

    Raises:
        UsageError: It is.
    """
    if importlib.util.find_spec("torch_pruning") is None:
        raise UsageError("effsearch prune needs the torch-pruning package: pip install 'effsearch[prune]'")


def find_units(model: Network) -> Units:
    """Find which channels of a network go together.

    Args:
        model: On the CPU, in eval mode; it is run once.

    Raises:
        SpecError: Channels are coupled in a way that is not known here.
    """
    import torch_pruning  # loads slowly

    names = {module: name for name, module in model.named_modules()}
    size = model.spec.resolution
    with warnings.catch_warnings(), _without_pooled_shortcuts(model), torch.enable_grad():
        warnings.simplefilter("ignore")  # of its own code and torch's tracer; they are not about the network
        graph = torch_pruning.DependencyGraph().build_dependency(
            model,
            example_inputs=torch.zeros(1, 3, size, size, device=next(model.parameters()).device),
            verbose=False,
        )
        handles = list(
            graph.get_all_groups(
                ignored_layers=[model.get_submodule(CLASSIFIER)], root_module_types=[nn.Conv2d, nn.Linear]
            )
        )
    groups = [_read_group(handle, graph, names) for handle in handles]
    place = {name: index for index, name in enumerate(names.values())}
    units = sorted((_unit(some, place) for some in _tied(groups, model)), key=lambda unit: place[unit.name])
    held = _held(model)
    kept = []
    for block, reason in held.items():
        kept.append(f"{block}: {reason}")
    free = [unit for unit in units if not any(_touches(unit, model, block) for block in held)]
    return Units(tuple(free), tuple(kept), graph)


def _read_group(handle: Any, graph: Any, names: dict[nn.Module, str]) -> Group:
    """Read a group of torch-pruning's by our names."""
    root = handle[0].dep.target.module
    width = int(graph.get_out_channels(root))
    outputs, inputs = set[str](), set[str]()
    for dependency, channels in handle:
        module = dependency.target.module
        if module not in names or not isinstance(module, nn.Conv2d | nn.Linear):
            continue
        name = names[module]
        if sorted(channels) != list(range(width)):
            raise SpecError(f"{name} cannot be pruned: it reads channels in an order that is not known here")
        is_output = graph.is_out_channel_pruning_fn(dependency.handler)
        (outputs if is_output else inputs).add(name)
    return Group(width, handle, frozenset(outputs), frozenset(inputs))


def _tied(groups: Sequence[Group], model: Network) -> list[list[Group]]:
    """Put together the groups that a spec gives one width."""
    sets = [[group] for group in groups]
    for scope, module in model.named_modules():
        if not isinstance(module, Block):
            continue
        layers = {layer.name for layer in module.layers}
        for pair in TIED.values():
            if not layers.issuperset(pair):
                continue
            ends = [f"{scope}.{name}" for name in pair]
            found = [some for some in sets if any(end in group.outputs for group in some for end in ends)]
            sets = [some for some in sets if not any(some is one for one in found)]
            sets.append([group for some in found for group in some])
    return sets


def _unit(groups: list[Group], place: dict[str, int]) -> Unit:
    first = min((name for group in groups for name in group.outputs), key=lambda name: place[name])
    return Unit(first, groups[0].width, tuple(groups))


def _held(model: Network) -> dict[str, str]:
    """Give the blocks whose ends must keep their widths, and why."""
    return {
        name: "its shortcut is a pool with channels of zeros after it, so what it joins keeps its width"
        for name, block in model.named_modules()
        if isinstance(block, Block) and any(layer.kind == "pool_and_pad" for layer in block.layers)
    }


def _touches(unit: Unit, model: Network, scope: str) -> bool:
    """Tell whether a unit is what comes into a block or what leaves it."""
    block = model.get_submodule(scope)
    assert isinstance(block, Block)
    main = [layer.name for layer in block.layers if layer.kind == "conv" and layer.branch == "main"]
    first, last = f"{scope}.{main[0]}", f"{scope}.{main[-1]}"
    is_depthwise = next(layer for layer in block.layers if layer.name == main[0]).groups > 1
    return last in unit.outputs or first in (unit.outputs if is_depthwise else unit.inputs)


@contextmanager
def _without_pooled_shortcuts(model: Network) -> Iterator[None]:
    """Leave shortcuts that append channels of zeros out for a while; torch-pruning cannot follow them."""
    changed = []
    for block in model.modules():
        if isinstance(block, Block) and any(layer.kind == "pool_and_pad" for layer in block.layers):
            changed.append((block, block.layers))
            block.layers = tuple(layer for layer in block.layers if layer.kind not in ("pool_and_pad", "add"))
    try:
        yield
    finally:
        for block, layers in changed:
            block.layers = layers
