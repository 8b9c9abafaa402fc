"""Which scenes does a seed give?

Every image has a hardship between 0 and 1 that turns its contrast down and its noise, blur, clutter and pose up
together: small networks learn from the plain images and larger ones find more to learn in the others.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from effsearch.proxy_train.data.synthetic.classes import CLASS_NAMES, OUTLINES, SURFACES
from effsearch.proxy_train.data.synthetic.scenes import Figures, Floats, Scenes

NUM_CLUTTER = 3
NUM_RIPPLES = 3
TINT = 0.2  # how far a class leans to a hue of its own: a first hint, and far from enough

_POINTS = np.array([outline.points for outline in OUTLINES.values()])
_BEVELS = np.array([outline.bevel for outline in OUTLINES.values()])
_CYCLES = np.array([surface.cycles for surface in SURFACES.values()])
_RADIAL = np.array([surface.is_radial for surface in SURFACES.values()])
_CROSSED = np.array([surface.is_crossed for surface in SURFACES.values()])


def draw_scenes(rng: np.random.Generator, labels: NDArray[np.int64]) -> Scenes:
    """Give one scene for each label: its object, larger and nearer to the middle than clutter of all classes."""
    n = len(labels)
    hardship = rng.uniform(0, 1, n) ** 2
    ground = _draw_colours(rng, rng.uniform(0.2, 0.8, n))
    target = _draw_figures(
        rng,
        labels,
        hardship=hardship,
        ground=ground,
        centre=rng.uniform(-0.3, 0.3, (n, 2)) * (0.1 + 0.9 * hardship)[:, None],
        radius=0.7 + rng.uniform(-0.3, 0.15, n) * (0.1 + 0.9 * hardship),
    )
    clutter = [
        _draw_figures(
            rng,
            rng.integers(len(CLASS_NAMES), size=n),
            hardship=hardship,
            ground=ground,
            centre=rng.uniform(-1, 1, (n, 2)),
            radius=rng.uniform(0.05, 0.15, n) + 0.3 * hardship,
        )
        for _ in range(NUM_CLUTTER)
    ]
    bearing, reach = rng.uniform(0, 2 * np.pi, n), rng.uniform(0.6, 0.9, n)
    occluder = _draw_figures(
        rng,
        rng.integers(len(CLASS_NAMES), size=n),
        hardship=hardship,
        ground=ground,
        centre=_stack(np.cos(bearing) * reach, np.sin(bearing) * reach),
        radius=rng.uniform(0.05, 0.1, n) + 0.25 * hardship,
    )
    per_unit = np.pi * np.exp(rng.uniform(np.log(0.5), np.log(8), (n, NUM_RIPPLES)))
    heading, phase = rng.uniform(0, 2 * np.pi, (2, n, NUM_RIPPLES))
    ripple_colour = rng.normal(0, 0.8, (n, NUM_RIPPLES, 1)) + rng.normal(0, 0.3, (n, NUM_RIPPLES, 3))
    return Scenes(
        figures=(*clutter, target, occluder),
        ground=_single(ground),
        slope=_single(rng.normal(0, 0.12, (n, 3, 2))),
        ripples=_single(_stack(per_unit * np.cos(heading), per_unit * np.sin(heading), phase)),
        ripple_colour=_single(ripple_colour * (0.02 + 0.06 * hardship)[:, None, None]),
        light=_single(_stack(rng.uniform(0.75, 1.1, n), *rng.normal(0, 0.15, (2, n)))),
        defocus=_single(0.03 * hardship * rng.uniform(0, 1, n)),
        noise=_single(0.01 + 0.06 * hardship),
    )


def _draw_figures(
    rng: np.random.Generator,
    labels: NDArray[np.int64],
    *,
    hardship: NDArray[np.float64],
    ground: NDArray[np.float64],
    centre: NDArray[np.float64],
    radius: NDArray[np.float64],
) -> Figures:
    """Give objects of given classes in a random pose and in random colours that stand off the ground."""
    n = len(labels)
    outline, surface = np.divmod(labels, len(SURFACES))

    turn, shear = rng.normal(0, 0.05 + 0.4 * hardship), rng.normal(0, 0.03 + 0.1 * hardship)
    stretch = np.exp(rng.normal(0, 0.03 + 0.1 * hardship))
    cos, sin = np.cos(turn) / radius, np.sin(turn) / radius
    a, b = cos * stretch, sin * stretch
    d, e = -sin / stretch + shear * a, cos / stretch + shear * b
    shift_u, shift_v = a * centre[:, 0] + b * centre[:, 1], d * centre[:, 0] + e * centre[:, 1]

    cycles = _CYCLES[surface] * rng.uniform(0.9, 1.1, n)
    heading, phase = rng.normal(0, 0.1 + 0.8 * hardship), rng.uniform(0, 2 * np.pi, (2, n))
    per_radius = 2 * np.pi * cycles
    straight, radial = np.where(_RADIAL[surface], 0, per_radius), np.where(_RADIAL[surface], per_radius, 0)
    crossed = np.where(_CROSSED[surface], per_radius, 0)
    wave = _stack(straight * np.cos(heading), straight * np.sin(heading), radial, phase[0])
    cross_wave = _stack(
        -crossed * np.sin(heading),
        crossed * np.cos(heading),
        np.where(_CROSSED[surface], phase[1], np.pi / 2),
    )

    level = ground.mean(axis=1)
    away = np.where(level < 0.5, 1, -1) * (0.45 - 0.2 * hardship + rng.uniform(-0.1, 0.1, n))
    colour = _draw_colours(rng, np.clip(level + away, 0.15, 0.85))
    hue = 2 * np.pi * (7 * labels / len(CLASS_NAMES))[:, None] + np.array([0, 2, 4]) * np.pi / 3
    contrast = rng.uniform(0.7, 1.3, n) * (0.26 - 0.17 * hardship) * rng.choice([-1, 1], n)
    return Figures(
        to_object=_single(_stack(a, b, -shift_u, d, e, -shift_v)),
        tilt=_single(rng.uniform(-0.15, 0.15, (n, 2)) * hardship[:, None]),
        radius=_single(radius),
        points=_single(_POINTS[outline]),
        bevel=_single(_BEVELS[outline] + rng.uniform(-0.05, 0.05, n)),
        wave=_single(wave),
        cross_wave=_single(cross_wave),
        cycles=_single(cycles),
        hardness=_single(rng.uniform(1, 3, n)),
        colour=_single(colour + TINT * np.cos(hue)),
        swing=_single(contrast[:, None] * rng.normal(1, 0.35, (n, 3))),
    )


def _draw_colours(rng: np.random.Generator, level: NDArray[np.float64]) -> NDArray[np.float64]:
    """Give colours (n, 3) of given brightness."""
    return level[:, None] + rng.normal(0, 0.12, (len(level), 3))


def _stack(*columns: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.stack(columns, axis=-1)


def _single(values: ArrayLike) -> Floats:
    return np.asarray(values, dtype=np.float32)
