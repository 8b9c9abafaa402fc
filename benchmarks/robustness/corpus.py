"""Which sound files and runs do fuzzed ones begin from?

Runs are made by the commands themselves, trained by a formula, so that making them takes seconds.
"""

import contextlib
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from effsearch import cli
from effsearch.search.placement.executor import Executor, SerialExecutor
from effsearch.space.cost import count_cost
from effsearch.space.outcome import Fidelity, ProxyResult
from effsearch.space.presets import load_preset
from effsearch.space.spec import ModelSpec
from effsearch.space.text import to_json, to_yaml

SPACE = """\
schema_version: 1
name: fuzzed
resolution: 32
tied: {activation: [relu, swish]}
defaults: {kind: mbconv, se_ratio: [0, 0.25]}
stem: {out_channels: 16, stride: 1, activation: $activation}
stages:
  - {stride: 1, base: {channels: 16, repeats: 2}, channels: [x.75, x1], repeats: [-1, 0, +1], kernel_size: [3, 5]}
  - {stride: 2, channels: 24, repeats: [1, 2], any_of: [{kernel_size: 3, expand_ratio: [3, 6]}, {kernel_size: 5}]}
  - {stride: 2, channels: 32, layers: [{any_of: [{kind: identity}, {kind: conv}]}, {kind: mbconv}]}
head: {out_channels: 64, activation: $activation}
"""
SETTINGS = """\
trials: 60
minutes: 12.5
budget: 60M-FLOPs
space: nas-bench-macro
screen: zero-cost
anchors: false
seed: 7
"""


def _score(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
    accuracy = 0.3 + 0.4 * (count_cost(spec).parameters % 997) / 997 + 0.01 * (seed % 7)
    return ProxyResult(val_accuracy=min(1.0, accuracy), val_loss=1.0, train_seconds=1.0, num_images_seen=64)


@contextmanager
def _open_executor(*_: object, **__: object) -> Iterator[Executor]:
    yield SerialExecutor(_score)


def call(*words: str) -> tuple[int, str]:
    """Run a command in this process; give its exit code and all that it has said on stderr."""
    said, printed = io.StringIO(), io.StringIO()
    to_these = contextlib.redirect_stderr(said), contextlib.redirect_stdout(printed)
    with patch.object(sys, "argv", ["effsearch", *words]), to_these[0], to_these[1]:
        try:
            cli.main()
        except SystemExit as ended:
            return (ended.code if isinstance(ended.code, int) else 1), said.getvalue()
    return 0, said.getvalue()


SMALL = ("--images", "64", "--epochs", "1", "--workers", "1")
_QUICK = ("--screen", "off", "--finalists", "2", "--seeds", "2", "--rungs", "2")
SEARCH = ("--budget", "9M-FLOPs", "--trials", "12", *_QUICK, *SMALL)


def make_runs(root: Path) -> list[Path]:
    """Make one run of each kind in a folder, and give their directories."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "space.yaml").write_text(SPACE)
    base = str(root / "baseline")
    calls = [
        (
            "baseline",
            "--space",
            str(root / "space.yaml"),
            *SEARCH,
            "--run",
            base,
        ),
        ("scale", "--base", base, "--phi", "1..2", "--coefficients", "1.2,1.1,1.15"),
        ("explain", base),
        (
            "scale",
            "--base",
            base,
            "--phi",
            "1",
            "--trials",
            "4",
            "--seeds",
            "1",
            "--out",
            str(root / "family"),
            "--run",
            str(root / "scale"),
            *SMALL,
        ),
        ("validate", base, "--networks", "4", "--workers", "1"),
        (
            "ablate",
            "--base",
            base,
            "--factor",
            "2",
            "--arms",
            "depth,width",
            "--seeds",
            "2",
            "--run",
            str(root / "ablate"),
            *SMALL,
        ),
    ]
    before = Path.cwd()
    os.chdir(root)
    try:
        with patch("effsearch.commands.pools.open_executor", _open_executor):
            for words in calls:
                code, said = call(*words)
                assert code == 0, f"{' '.join(words)}: {said}"
    finally:
        os.chdir(before)
    return [root / name for name in ("baseline", "scale", "ablate")]


def sound_specs() -> list[str]:
    """Give spec files as they are written."""
    names = ("efficientnet-b0", "mobilenet-v3-large", "resnet-18", "efficientnetv2-s")
    return [write(load_preset(name)) for name in names for write in (to_json, to_yaml)]
