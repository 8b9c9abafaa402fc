"""What does a scene look like in pixels?

Each pixel averages what falls into it, in closed form: edges are ramps as wide as the pixel, and a wave loses
amplitude as its period nears the pixel. So detail finer than a pixel is lost, rather than turned into a coarser
pattern that is not in the scene.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from effsearch.proxy_train.data.synthetic.scenes import Figures, Floats, Scenes


def render_scenes(scenes: Scenes, *, resolution: int, rng: np.random.Generator) -> NDArray[np.uint8]:
    """The scenes as images (n, resolution, resolution, 3); `rng` gives the pixel noise."""
    centres = ((np.arange(resolution, dtype=np.float32) + 0.5) * (2 / resolution) - 1).astype(np.float32)
    x, y = centres[None, None, :], centres[None, :, None]
    spot = np.hypot(np.float32(2 / resolution), scenes.defocus)  # what one pixel averages, in scene units

    canvas = _paint_ground(scenes, x, y, spot)  # (3, n, resolution, resolution)
    for figures in scenes.figures:
        _paint_figures(canvas, figures, x, y, spot)

    gain = _at(scenes.light[:, 1]) * x + _at(scenes.light[:, 2]) * y
    gain += _at(scenes.light[:, 0])
    pixels = np.empty((*canvas.shape[1:], 3), dtype=np.uint8)
    noise = rng.standard_normal((canvas.shape[1], 3, *canvas.shape[2:]), dtype=np.float32)
    noise *= scenes.noise[:, None, None, None]
    for channel in range(3):
        plane = canvas[channel]
        plane *= gain
        plane += noise[:, channel]
        plane *= 255
        plane += 0.5
        np.clip(plane, 0, 255, out=plane)
        pixels[..., channel] = plane
    return pixels


def _at(values: NDArray[np.floating]) -> Floats:
    """One number an image, ready to meet (n, resolution, resolution)."""
    return values[:, None, None].astype(np.float32, copy=False)


def _fade(cycles: Floats) -> Floats:
    """Share of a sine's amplitude left after averaging over a window of so many of its cycles."""
    return np.where(cycles < 1, np.sinc(np.minimum(cycles, 1)), 0).astype(np.float32)


def _paint_ground(scenes: Scenes, x: Floats, y: Floats, spot: Floats) -> Floats:
    n, side = len(spot), x.shape[-1]
    canvas = np.empty((3, n, side, side), dtype=np.float32)
    for channel in range(3):
        plane = canvas[channel]
        np.multiply(_at(scenes.slope[:, channel, 0]), x, out=plane)
        plane += _at(scenes.slope[:, channel, 1]) * y + _at(scenes.ground[:, channel])
    for index in range(scenes.ripples.shape[1]):
        a, b, phase = scenes.ripples[:, index].T
        left = _fade(np.hypot(a, b) / (2 * np.pi) * spot)
        wave = _at(a) * x + (_at(b) * y + _at(phase))
        np.sin(wave, out=wave)
        for channel in range(3):
            canvas[channel] += wave * _at(scenes.ripple_colour[:, index, channel] * left)
    return canvas


def _paint_figures(canvas: Floats, figures: Figures, x: Floats, y: Floats, spot: Floats) -> None:
    """Draw one object over each image of the canvas."""
    a, b, c, d, e, f = figures.to_object.T
    u = _at(a) * x + (_at(b) * y + _at(c))
    v = _at(d) * x + (_at(e) * y + _at(f))
    depth = _at(figures.tilt[:, 0]) * u
    depth += _at(figures.tilt[:, 1]) * v
    depth += 1
    np.maximum(depth, 0.25, out=depth)
    u /= depth
    v /= depth
    rho = np.sqrt(u * u + v * v)
    spot = spot / figures.radius  # in object radii
    cover = _cover(figures, u, v, rho, spot)
    tone = _tone(figures, u, v, rho, spot)
    for channel in range(3):
        plane = canvas[channel]
        paint = tone * _at(figures.swing[:, channel])
        paint += _at(figures.colour[:, channel])
        paint -= plane
        paint *= cover
        plane += paint


def _cover(figures: Figures, u: Floats, v: Floats, rho: Floats, spot: Floats) -> Floats:
    """How much of each pixel lies inside the outline, in [0, 1].

    All tips are folded onto one, so that a single edge, from tip to notch, decides.
    """
    sector = np.float32(2 * np.pi) / figures.points
    fold = np.arctan2(v, u)
    fold *= _at(1 / sector)
    fold -= np.rint(fold)
    np.abs(fold, out=fold)
    fold *= _at(sector)
    fold -= _at(figures.bevel)
    np.cos(fold, out=fold)
    fold *= rho
    fold -= _at(np.cos(figures.bevel))
    fold *= _at(-1 / spot)
    fold += 0.5
    return np.clip(fold, 0, 1, out=fold)


def _tone(figures: Figures, u: Floats, v: Floats, rho: Floats, spot: Floats) -> Floats:
    """The surface's wave, in [-1, 1]."""
    a, b, c, phase = figures.wave.T
    tone = _at(a) * u
    tone += _at(b) * v
    tone += _at(c) * rho
    tone += _at(phase)
    np.sin(tone, out=tone)
    a, b, phase = figures.cross_wave.T
    cross = _at(a) * u
    cross += _at(b) * v
    cross += _at(phase)
    tone *= np.sin(cross, out=cross)
    tone *= _at(figures.hardness)
    np.clip(tone, -1, 1, out=tone)
    tone *= _at(_fade(figures.cycles * spot))
    return tone
