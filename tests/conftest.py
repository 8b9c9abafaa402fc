"""What tests of several rooms share."""

import json
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import numpy as np
import pytest
from PIL import Image

from effsearch import cli
from effsearch.space.anchors import anchor_sizes
from effsearch.space.cost import layers_cost
from effsearch.space.latency_table import Block, LatencyConditions, LatencyTable
from effsearch.space.search_space import SearchSpace
from effsearch.space.space_blocks import blocks_of, space_blocks
from effsearch.space.spec import BLOCK_KINDS, Activation, BlockSpec, HeadSpec, ModelSpec, StageSpec, StemSpec

ACTIVATIONS: tuple[Activation, ...] = get_args(Activation)
_SE = {"se_ratio": 0.25}
# Every kind of block that the two libraries' EfficientNets have: without expansion, with, fused without, fused with.
LIBRARY_SPEC = ModelSpec(
    stem=StemSpec(out_channels=8),
    stages=(
        StageSpec(out_channels=8, stride=1, blocks=(BlockSpec(kind="fused_mbconv"),)),
        StageSpec(out_channels=12, stride=2, blocks=(BlockSpec(kind="fused_mbconv", expand_ratio=2),)),
        StageSpec(out_channels=12, stride=1, blocks=(BlockSpec(**_SE), BlockSpec(expand_ratio=2, **_SE))),
    ),
    head=HeadSpec(out_channels=16),
    resolution=16,
    num_classes=3,
)
T = TypeVar("T")


@pytest.fixture(scope="session", autouse=True)
def hears_control_c() -> Iterator[None]:
    """A shell that runs the tests in the background has them, and all they start, ignore SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(autouse=True)
def ends_by_sigterm() -> Iterator[None]:
    """What a command answers SIGTERM with would else stay when it has ended, and a test could swallow it."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture(autouse=True)
def finds_modules_as_a_shell_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command sets for its workers would else reach the programs that later tests start."""
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)


@pytest.fixture(scope="session")
def random_spec() -> Callable[[np.random.Generator], ModelSpec]:
    """Draws a small network anywhere in the schema: every kind, squeeze-excite, skip, stem, head and odd sizes."""
    return _draw_spec


MakeTable = Callable[..., LatencyTable]


def formula_nanoseconds(block: Block) -> int:
    """What a block takes in tables by formula: not by its multiply-adds, so that bounds on the two differ."""
    cost = layers_cost(block)
    return 1_000 * len(block) + cost.activations + cost.multiply_adds // 50


@pytest.fixture(scope="session")
def make_table() -> MakeTable:
    """Makes the latency table of a space, or of specs, by `formula_nanoseconds`."""

    def make(
        space: SearchSpace | None = None,
        *,
        resolution: int = 32,
        num_classes: int = 10,
        specs: Iterable[ModelSpec] = (),
        error: float = 0.05,
        machine: str = "a machine",
    ) -> LatencyTable:
        blocks = blocks_of(specs)
        if space is not None:
            blocks |= space_blocks(space, resolution=resolution, num_classes=num_classes)
            blocks |= blocks_of(anchor_sizes(resolution=resolution, num_classes=num_classes))
        return LatencyTable(
            nanoseconds={name: formula_nanoseconds(block) for name, block in blocks.items()},
            error=error,
            mean_error=0.04,
            raw_error=0.2,
            num_networks=20,
            conditions=LatencyConditions(
                runtime="torch", version="1", device="cpu", num_threads=1, batch_size=1, machine=machine
            ),
            time="2026-01-02T03:04:05+00:00",
            seconds=30.0,
            processor_share=1.0,
        )

    return make


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


Effsearch = Callable[..., Done]


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of decoded images, one for all tests of commands."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def effsearch(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path, cache: Path
) -> Effsearch:
    """Runs a command in this process, in an empty folder."""
    monkeypatch.setenv("EFFSEARCH_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> Done:
        monkeypatch.setattr(sys, "argv", ["effsearch", *words])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capfd.readouterr()
        return Done(ended.value.code if isinstance(ended.value.code, int) else 0, out, err)

    return call


def refuses(ended: Done, code: int, *words: str) -> None:
    """One line on stderr that names what is wrong, the right exit code, and nothing on stdout."""
    last = ended.err.strip().splitlines()[-1]
    assert ended.code == code, ended.err
    assert last.startswith("effsearch: ")
    assert "Traceback" not in ended.err
    assert ended.out == ""
    for word in words:
        assert word in last


def write_colours(
    folder: Path, *, side: int = 12, num_images: int = 60, names: Sequence[str] = ("red", "green", "blue")
) -> None:
    """Write an image folder that a small network can learn: noise with the channel of the class raised."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(names):
        (folder / name).mkdir(parents=True)
        for index in range(num_images):
            pixels = rng.integers(0, 180, (side, side, 3), dtype=np.uint8)
            pixels[:, :, label] += 60
            Image.fromarray(pixels).save(folder / name / f"{index}.png")


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Gives torch one thread, as a worker has it; only then is training the same to the bit."""
    import torch

    num_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(num_threads)


def _draw_spec(rng: np.random.Generator) -> ModelSpec:
    stages = tuple(
        StageSpec(
            out_channels=int(rng.integers(1, 25)),
            stride=int(rng.choice([1, 1, 2, 2, 3])),
            blocks=tuple(_draw_block(rng) for _ in range(rng.integers(1, 4))),
        )
        for _ in range(rng.integers(1, 5))
    )
    return ModelSpec(
        stem=StemSpec(
            out_channels=int(rng.integers(1, 17)),
            kernel_size=int(rng.choice([1, 3, 5, 7])),
            stride=int(rng.integers(1, 5)),
            activation=_pick(rng, ACTIVATIONS),
            has_max_pool=bool(rng.integers(2)),
        ),
        stages=stages,
        head=HeadSpec(
            out_channels=int(rng.choice([0, 1, 24])),
            hidden_features=int(rng.choice([0, 13])),
            activation=_pick(rng, ACTIVATIONS),
            dropout_rate=float(rng.choice([0.0, 0.3])),
        ),
        resolution=int(rng.integers(1, 48)),
        num_classes=int(rng.integers(1, 12)),
        drop_path_rate=float(rng.choice([0.0, 0.2])),
    )


def _draw_block(rng: np.random.Generator) -> BlockSpec:
    return BlockSpec(
        kind=_pick(rng, BLOCK_KINDS),
        kernel_size=int(rng.choice([1, 3, 5, 7])),
        expand_ratio=float(rng.choice([0.25, 0.5, 1, 1, 2.3, 3, 6])),
        expanded_channels=int(rng.choice([0, 0, 0, 19])),
        se_ratio=float(rng.choice([0.0, 0.25, 0.5, 1.0])),
        se_of=_pick(rng, ["input", "expanded"]),
        se_divisor=int(rng.choice([1, 8])),
        se_activation=_pick(rng, ACTIVATIONS),
        se_gate=_pick(rng, ["sigmoid", "hard_sigmoid"]),
        activation=_pick(rng, ACTIVATIONS),
        projection_activation=_pick(rng, ACTIVATIONS),
        skip=_pick(rng, ["none", "identity", "pool"]),
    )


def _pick(rng: np.random.Generator, choices: Sequence[T]) -> T:
    return choices[int(rng.integers(len(choices)))]
