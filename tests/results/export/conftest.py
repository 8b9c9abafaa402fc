"""What tests of exports share: files run as modules, rivals that import, networks drawn from the shipped spaces."""

import importlib
import sys
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from effsearch.proxy_train.build import Network
from effsearch.results.export.names import Names, inverse, rename
from effsearch.space.cost import count_cost
from effsearch.space.errors import SpecError
from effsearch.space.screening import sample_points
from effsearch.space.shipped_spaces import load_shipped_space
from effsearch.space.spec import BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec

PRESETS = ("efficientnet-b0", "efficientnet-b1", "efficientnet-b2", "efficientnetv2-s")
KEEP: list[Any] = []  # operators live as long as their library


def run_source(source: str) -> ModuleType:
    """Run an exported file."""
    module = ModuleType("exported")
    exec(compile(source, "exported.py", "exec"), module.__dict__)
    return module


def assert_same_network(model: torch.nn.Module, network: torch.nn.Module, names: Names) -> None:
    """Outputs alike with mapped weights, in double precision; parameters, multiply-adds and names exactly."""
    assert isinstance(network, Network)
    spec = network.spec
    state = network.state_dict()
    mapped = rename(state, names)
    assert set(mapped) == set(model.state_dict())
    assert all(torch.equal(tensor, state[name]) for name, tensor in rename(mapped, inverse(names)).items())
    assert len(mapped) == len(state)
    model.double().load_state_dict(mapped)
    side = min(64, spec.resolution)
    images = torch.randn(2, 3, side, side, generator=torch.Generator().manual_seed(3)).double()
    with torch.no_grad():
        wanted, found = network.eval()(images), model.eval()(images)
    assert float((wanted - found).abs().max()) <= 1e-8 * float(wanted.abs().max())
    assert sum(parameter.numel() for parameter in model.parameters()) == count_cost(spec).parameters
    assert count_multiply_adds(model, spec.resolution) == count_cost(spec).multiply_adds


def names_or_refusal(naming: Callable[[ModelSpec], Names], spec: ModelSpec) -> Names | str:
    """The names of a network's modules, or why the target cannot express it."""
    try:
        return naming(spec)
    except SpecError as error:
        return str(error)


def count_multiply_adds(model: torch.nn.Module, size: int) -> int:
    """Count with torch's own counter; nothing is computed."""
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.to("meta").float()(torch.empty(1, 3, size, size, device="meta"))
    return counter.get_total_flops() // 2


@pytest.fixture(scope="session")
def torchvision() -> ModuleType:
    """torchvision; where its compiled operators do not fit this torch, with names in the place of two of them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return importlib.import_module("torchvision")
        except RuntimeError as error:
            if "does not exist" not in str(error):
                raise
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        KEEP.append(library)
        return importlib.import_module("torchvision")


@pytest.fixture(scope="session")
def timm(torchvision: ModuleType) -> ModuleType:
    """timm, which imports torchvision."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        importlib.import_module("timm.models.efficientnet")
        return importlib.import_module("timm")


def drawn_networks(space: str, number: int, *, seed: int = 0) -> Iterator[ModelSpec]:
    """Draw networks of a shipped space, to be counted at few pixels."""
    found = load_shipped_space(space)
    for point in sample_points(found, number, rng=np.random.default_rng(seed)):
        yield found.spec_at([int(index) for index in point], resolution=32, num_classes=7)


DrawPlain = Callable[[np.random.Generator], ModelSpec]


@pytest.fixture(scope="session")
def draw_plain() -> DrawPlain:
    """Draws a network near what other libraries can express; now and then they cannot."""

    def pick(rng: np.random.Generator, *choices: Any) -> Any:
        return choices[int(rng.integers(len(choices)))]

    def draw(rng: np.random.Generator) -> ModelSpec:
        activation = pick(rng, "swish", "swish", "relu", "gelu")
        # Each is odd in one network of five, in one block of two there.
        oddities = [name for name in ("kind", "gate", "ratio", "skip", "act", "width") if rng.random() < 0.2]

        def odd(name: str) -> bool:
            return name in oddities and bool(rng.random() < 0.5)

        def block() -> BlockSpec:
            kind = pick(rng, "mbconv", "mbconv", "fused_mbconv")
            if odd("kind"):
                kind = pick(rng, "depthwise_separable", "conv", "identity", "bottleneck", "basic")
            own = pick(rng, "relu", "relu6", "hard_swish", "none") if odd("act") else activation
            has_gate = kind in ("mbconv", "depthwise_separable")
            has_gate = not has_gate if odd("gate") else has_gate
            return BlockSpec(
                kind=kind,
                kernel_size=pick(rng, 3, 5, 7),
                expand_ratio=pick(rng, 1, 3, 4, 6),
                expanded_channels=pick(rng, 19, 24) if odd("width") else 0,
                se_ratio=(pick(rng, 0.2, 0.5) if odd("ratio") else 0.25) if has_gate else 0,
                se_activation=pick(rng, "relu", own) if odd("act") else own,
                activation=own,
                skip=pick(rng, "none", "pool") if odd("skip") else "identity",
            )

        stages = []
        for _ in range(rng.integers(1, 5)):
            of_stage = block()
            blocks = [of_stage if rng.random() < 0.8 else block() for _ in range(rng.integers(1, 4))]
            stages.append(
                StageSpec(
                    out_channels=8 * int(rng.integers(1, 6)),
                    stride=pick(rng, 1, 2, 2),
                    blocks=tuple(blocks),
                )
            )
        return ModelSpec(
            stem=StemSpec(out_channels=8 * int(rng.integers(1, 4)), activation=activation),
            stages=tuple(stages),
            head=HeadSpec(out_channels=pick(rng, 24, 64), activation=activation, dropout_rate=0.3),
            resolution=int(rng.integers(20, 70)),
            num_classes=int(rng.integers(2, 9)),
            drop_path_rate=pick(rng, 0.0, 0.2),
            norm_momentum=pick(rng, 0.01, 0.1),
            norm_epsilon=pick(rng, 1e-3, 1e-5),
        )

    return draw
