"""What is in a synthetic picture, before it has pixels?

Coordinates are continuous (x to the right and y down, the picture reaching from -1 to 1), so a scene can be rendered
at any resolution.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """One object in each of n images; arrays are (n,) but for those noted."""

    to_object: (
        Floats  # (n, 6): u = a x + b y + c and v = d x + e y + f; the object's tips lie on u^2 + v^2 = 1
    )
    tilt: Floats  # (n, 2): perspective, u and v are divided by 1 + g u + h v
    radius: Floats  # of the tips, in scene units
    points: Floats
    bevel: Floats
    wave: Floats  # (n, 4): phase of the surface's wave = a u + b v + c sqrt(u^2 + v^2) + d, radians
    cross_wave: Floats  # (n, 3): phase of its second wave = a u + b v + c; constant where there is none
    cycles: Floats  # per object radius
    hardness: Floats  # of the wave: 1 is a sine, more is nearer to two flat tones
    colour: Floats  # (n, 3): middle tone, 0 to 1
    swing: Floats  # (n, 3): what the wave adds at its crest


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenes:
    """All that is seen in n images but for the pixel noise, which depends on the resolution."""

    figures: tuple[Figures, ...]  # back to front
    ground: Floats  # (n, 3): background colour
    slope: Floats  # (n, 3, 2): how it changes with x and y
    ripples: Floats  # (n, num_ripples, 3): wave vector in radians per unit, and phase
    ripple_colour: Floats  # (n, num_ripples, 3)
    light: Floats  # (n, 3): gain in the middle, and its change with x and y
    defocus: Floats  # (n,): width of the blur, in scene units
    noise: Floats  # (n,): standard deviation, as a share of full scale


def take_scenes(scenes: Scenes, images: slice) -> Scenes:
    """Some of the images."""
    figures = tuple(
        Figures(**{name: getattr(each, name)[images] for name in Figures.__slots__})
        for each in scenes.figures
    )
    others = {name: getattr(scenes, name)[images] for name in Scenes.__slots__ if name != "figures"}
    return Scenes(figures=figures, **others)
