"""What tests of the Python API share: a space, images that tell classes by their colour, and an empty folder."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

SPACE = {
    "schema_version": 1,
    "name": "tiny",
    "defaults": {"kind": "mbconv"},
    "stem": {"out_channels": 8},
    "stages": [
        {"stride": 1, "channels": [8, 16], "repeats": 1, "expand_ratio": [1, 2]},
        {"stride": 2, "channels": [16, 24], "repeats": [1, 2], "kernel_size": [3, 5]},
    ],
    "head": {"out_channels": 16},
}


def colours(num_images: int = 60, *, side: int = 12) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images whose class is the channel that is raised."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 180, (num_images, side, side, 3), dtype=np.uint8)
    labels = np.arange(num_images) % 3
    for image, label in zip(images, labels, strict=True):
        image[:, :, label] += 60
    return images, labels


def count_kernels(spec: Any, fidelity: Any, seed: int, images: Any) -> float:
    """A formula in place of a training."""
    kernels = [block.kernel_size for stage in spec.stages for block in stage.blocks]
    return kernels.count(5) / 4


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cache: Path) -> Path:
    """An empty folder to work in, with the tests' cache."""
    monkeypatch.setenv("EFFSEARCH_CACHE", str(cache))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def options() -> Callable[..., dict[str, Any]]:
    """Options of a search by a formula, in this very process, without a sound."""

    def give(**more: Any) -> dict[str, Any]:
        own = {
            "space": SPACE,
            "budget": "40M-FLOPs",
            "resolution": 32,
            "data": colours(),
            "trials": 6,
            "finalists": 2,
            "seeds": 1,
            "anchors": False,
            "train_fn": count_kernels,
            "engine": "inline",
            "progress": False,
        }
        return {**own, **more}

    return give
