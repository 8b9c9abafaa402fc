"""Which images can be had without any file?

Sixteen classes, each an outline (triangle, square, star, cog) with a surface (striped, hatched, ringed, meshed),
under pose, perspective, clutter, occlusion, light and noise. Rendered by numpy at any size, the same for a seed.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from effsearch.proxy_train.data.synthetic.classes import CLASS_NAMES
from effsearch.proxy_train.data.synthetic.draw import draw_scenes
from effsearch.proxy_train.data.synthetic.raster import render_scenes
from effsearch.proxy_train.data.synthetic.scenes import take_scenes
from effsearch.space.errors import UsageError

__all__ = ["CLASS_NAMES", "RENDERER_VERSION", "render_images"]

RENDERER_VERSION = 2  # raise it whenever the same seed would give other pixels
MIN_RESOLUTION, MAX_RESOLUTION = 16, 256

_ROUNDS = 4  # times that each class comes in a chunk
_CHUNK = _ROUNDS * len(CLASS_NAMES)  # images drawn together, from a generator of their own
_PIXELS_AT_ONCE = 1 << 16  # rendered together: what stays in a core's cache


def render_images(
    num_images: int, *, resolution: int, seed: int, num_threads: int = 2
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Render the embedded data set's images.

    The first images of more are the same ones; the same seed at another resolution shows the same scenes. The
    number of threads changes nothing but the time.

    Args:
        num_images: At least one; each run of sixteen holds every class once.
        resolution: Pixels on a side, 16 to 256.
        seed: Of scenes and noise.
        num_threads: Rendering side by side.

    Returns:
        Images (num_images, resolution, resolution, 3), and labels (num_images,), places in `CLASS_NAMES`.

    Raises:
        UsageError: The resolution or the number is out of range.
    """
    if not MIN_RESOLUTION <= resolution <= MAX_RESOLUTION:
        raise UsageError(
            f"synthetic: the resolution must be from {MIN_RESOLUTION} to {MAX_RESOLUTION} px, got {resolution}"
        )
    if num_images < 1:
        raise UsageError(f"synthetic: at least one image is needed, got {num_images}")
    images = np.empty((num_images, resolution, resolution, 3), dtype=np.uint8)
    labels = np.empty(num_images, dtype=np.int64)

    def fill(chunk: int) -> None:
        start = chunk * _CHUNK
        end = min(start + _CHUNK, num_images)
        scene_rng, noise_rng = (np.random.default_rng((seed, chunk, stream)) for stream in (0, 1))
        chunk_labels = np.concatenate([scene_rng.permutation(len(CLASS_NAMES)) for _ in range(_ROUNDS)])
        scenes = draw_scenes(scene_rng, chunk_labels)
        labels[start:end] = chunk_labels[: end - start]
        step = max(1, min(_CHUNK, _PIXELS_AT_ONCE // resolution**2))
        for first in range(0, end - start, step):
            some = take_scenes(scenes, slice(first, first + step))
            pixels = render_scenes(some, resolution=resolution, rng=noise_rng)
            images[start + first : min(start + first + step, end)] = pixels[: end - start - first]

    with ThreadPoolExecutor(num_threads) as pool:
        list(pool.map(fill, range(-(-num_images // _CHUNK))))
    return images, labels
