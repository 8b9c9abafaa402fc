"""Which images can be had without any file?"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from effsearch.space.errors import UsageError

from .raster import render_scenes
from .classes import CLASS_NAMES
from .draw import draw_scenes
from .scenes import take_scenes

__all__ = ["CLASS_NAMES", "RENDERER_VERSION", "render_images"]

RENDERER_VERSION = 1

_CHUNK = 4 * len(CLASS_NAMES)
_PIXELS_AT_ONCE = 1 << 16


def render_images(num_images, *, resolution, seed, num_threads=2):
    images = np.empty((num_images, resolution, resolution, 3), dtype=np.uint8)
    labels = np.empty(num_images, dtype=np.int64)

    def fill(chunk):
        start = chunk * _CHUNK
        count = min(_CHUNK, num_images - start)
        rng = np.random.default_rng((seed, chunk, 0))
        lab = np.concatenate([rng.permutation(len(CLASS_NAMES)) for _ in range(4)])
        scenes = draw_scenes(rng, lab)
        labels[start : start + count] = lab[:count]
        step = max(1, min(_CHUNK, _PIXELS_AT_ONCE // resolution**2))
        noise_rng = np.random.default_rng((seed, chunk, 1))
        for first in range(0, count, step):
            pix = render_scenes(take_scenes(scenes, slice(first, first + step)), resolution=resolution, rng=noise_rng)
            images[start + first : start + min(first + step, count)] = pix[: count - first]

    with ThreadPoolExecutor(num_threads) as pool:
        list(pool.map(fill, range(-(-num_images // _CHUNK))))
    return images, labels
