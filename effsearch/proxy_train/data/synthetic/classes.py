"""What makes a class of the synthetic pictures?

A class is an outline together with a surface. Neither tells it alone, and everything else in a picture (where the
object is, its colours, what lies around it) is drawn from the same ranges for all classes but for a faint tint.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import pi


@dataclass(frozen=True, slots=True, kw_only=True)
class Outline:
    """A regular figure with its tips on the unit circle, made of straight edges from tip to notch."""

    points: int
    bevel: float  # radians between a tip and the normal of the edge beside it: pi / points is a polygon, more a star


@dataclass(frozen=True, slots=True, kw_only=True)
class Surface:
    """A wave over an object, across it or outwards from its centre, times a second across the first."""

    cycles: float  # per radius of the object
    is_radial: bool = False
    is_crossed: bool = False


OUTLINES: dict[str, Outline] = {
    "triangle": Outline(points=3, bevel=pi / 3),
    "square": Outline(points=4, bevel=pi / 4),
    "star": Outline(points=5, bevel=1.10),
    "cog": Outline(points=9, bevel=0.95),
}

# Seen at 16 pixels the last three are finer than the grid and look alike; their rendering at 64 keeps them apart.
SURFACES: dict[str, Surface] = {
    "striped": Surface(cycles=1.5),
    "hatched": Surface(cycles=2.6),
    "ringed": Surface(cycles=2.6, is_radial=True),
    "meshed": Surface(cycles=2.0, is_crossed=True),
}

CLASS_NAMES: tuple[str, ...] = tuple(f"{surface}-{outline}" for outline in OUTLINES for surface in SURFACES)
