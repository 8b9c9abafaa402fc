from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image


def draw_pixels(key: str, width: int, height: int) -> NDArray[np.uint8]:
    """Pixels that no other key gives."""
    return np.random.default_rng(list(key.encode())).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def make_image_folder(tmp_path: Path) -> Callable[..., Path]:
    """A function that writes PNG images, `{"train/cat": 3}` giving three, and a folder for each zero."""

    def make(counts: Mapping[str, int], *, name: str = "pets", width: int = 12, height: int = 12) -> Path:
        root = tmp_path / name
        for folder, count in counts.items():
            (root / folder).mkdir(parents=True)
            for i in range(count):
                path = root / folder / f"{i:03d}.png"
                Image.fromarray(draw_pixels(f"{folder}/{i}", width, height)).save(path)
                os.utime(path, ns=(10**18, 10**18))
        return root

    return make


@pytest.fixture
def shared_data() -> Path:
    folder = os.environ.get("EFFSEARCH_SHARED_DATA", "")
    if not folder or not (Path(folder) / "cifar10-images.tar.xz").is_file():
        pytest.skip("EFFSEARCH_SHARED_DATA does not name a folder with cifar10-images.tar.xz")
    return Path(folder)
