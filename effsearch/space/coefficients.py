"""Which compound coefficients are allowed?

The surface is |alpha * beta^2 * gamma^2 - 2| < tolerance with all three at least 1, decided in exact arithmetic on
the decimals as they are written.
"""

import math
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from effsearch.space.errors import SpecError
from effsearch.space.scaling import Multipliers

DEFAULT_TOLERANCE = 0.1
MAX_ALPHA = 2.0  # the grid's upper ends, as in the facts of the design
MAX_BETA_GAMMA = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalingCoefficients:
    """Compound coefficients: alpha for depth, beta for width, gamma for resolution; each at least 1."""

    alpha: float
    beta: float
    gamma: float

    def __post_init__(self) -> None:
        for name in ("alpha", "beta", "gamma"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 1:
                raise SpecError(f"{name} must be a finite number of at least 1, got {value:g}")
            if value > 10:
                raise SpecError(f"{name} must be at most 10, got {value:g}")

    @property
    def product(self) -> Fraction:
        """Alpha * beta^2 * gamma^2, exact for the decimals as they are written."""
        alpha, beta, gamma = (Fraction(repr(value)) for value in (self.alpha, self.beta, self.gamma))
        return alpha * beta**2 * gamma**2

    def multipliers(self, phi: float) -> Multipliers:
        """Give alpha^phi, beta^phi, gamma^phi (the rule called `strict`)."""
        return Multipliers(depth=self.alpha**phi, width=self.beta**phi, resolution=self.gamma**phi)

    def __str__(self) -> str:
        return f"alpha {self.alpha:g}, beta {self.beta:g}, gamma {self.gamma:g}"


PAPER_COEFFICIENTS = ScalingCoefficients(alpha=1.2, beta=1.1, gamma=1.15)


def on_surface(coefficients: ScalingCoefficients, *, tolerance: float = DEFAULT_TOLERANCE) -> bool:
    """Tell whether |alpha * beta^2 * gamma^2 - 2| < tolerance, strictly and exactly."""
    return abs(coefficients.product - 2) < Fraction(repr(tolerance))


def parse_coefficients(text: str, *, tolerance: float = DEFAULT_TOLERANCE) -> ScalingCoefficients:
    """Read "1.2,1.1,1.15".

    Raises:
        SpecError: Not three numbers, one below 1 or not finite, or off the surface.
    """
    if not 0 < tolerance <= 10:
        raise SpecError(f"--tolerance must be above 0 and at most 10, got {tolerance:g}")
    try:
        alpha, beta, gamma = (float(part) for part in text.split(","))
    except ValueError:
        raise SpecError(
            f"cannot read the coefficients {text!r}: write alpha,beta,gamma like 1.2,1.1,1.15"
        ) from None
    coefficients = ScalingCoefficients(alpha=alpha, beta=beta, gamma=gamma)
    if not on_surface(coefficients, tolerance=tolerance):
        raise SpecError(
            f"alpha * beta^2 * gamma^2 must be within {tolerance:g} of 2, got {float(coefficients.product):.4f} "
            f"for {text}; change a coefficient or raise --tolerance"
        )
    return coefficients


def coefficient_grid(
    *, step: float = 0.05, tolerance: float = DEFAULT_TOLERANCE
) -> list[ScalingCoefficients]:
    """Give the grid points on the surface: alpha from 1 to 2, beta and gamma from 1 to 1.5.

    Raises:
        SpecError: The step is not from 0.01 to 0.5.
    """
    if not 0.01 <= step <= 0.5:
        raise SpecError(f"the grid step must be from 0.01 to 0.5, got {step:g}")

    def axis(high: float) -> list[float]:
        exact = Fraction(repr(step))
        return [float(1 + exact * index) for index in range(int((Fraction(repr(high)) - 1) / exact) + 1)]

    points = (
        ScalingCoefficients(alpha=alpha, beta=beta, gamma=gamma)
        for alpha in axis(MAX_ALPHA)
        for beta in axis(MAX_BETA_GAMMA)
        for gamma in axis(MAX_BETA_GAMMA)
    )
    return [point for point in points if on_surface(point, tolerance=tolerance)]


def draw_coefficients(
    rng: np.random.Generator, *, tolerance: float = DEFAULT_TOLERANCE
) -> ScalingCoefficients:
    """Draw a point of the surface: beta and gamma uniform, alpha solved for, four decimals each."""
    while True:
        beta, gamma = (round(float(value), 4) for value in rng.uniform(1, MAX_BETA_GAMMA, size=2))
        alpha = round(2 / (beta**2 * gamma**2), 4)
        if 1 <= alpha <= MAX_ALPHA:
            point = ScalingCoefficients(alpha=alpha, beta=beta, gamma=gamma)
            if on_surface(point, tolerance=tolerance):
                return point
