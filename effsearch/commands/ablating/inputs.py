"""What do the arms, factors and coefficients mean that a user of `effsearch ablate` gives?"""

from pathlib import Path

from effsearch.results.run_files import REPORT_FILE, is_run, read_report, read_settings
from effsearch.space.arms import ARM_NAMES, ArmName
from effsearch.space.coefficients import (
    PAPER_COEFFICIENTS,
    ScalingCoefficients,
    on_surface,
    parse_coefficients,
)
from effsearch.space.errors import RunError, SpecError, UsageError

MOST_OFF_SURFACE = 1.0  # the most that a search may be told to take; below it any triple grows a network


def parse_arms(text: str) -> tuple[ArmName, ...]:
    """Read "depth,compound", in the usual order.

    Raises:
        UsageError: One is no arm, or is named twice.
    """
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in ARM_NAMES:
            raise UsageError(f"no arm {name!r} in --arms: choose from {', '.join(ARM_NAMES)}")
        if names.count(name) > 1:
            raise UsageError(f"--arms names {name} twice")
    return tuple(arm for arm in ARM_NAMES if arm in names)


def parse_factors(text: str) -> tuple[float, ...]:
    """Read "4" or "2,4,8".

    Raises:
        UsageError: It is something else.
    """
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"cannot read --factor {text!r}: write 4 or 2,4,8") from None


def read_coefficients(text: str | None) -> ScalingCoefficients:
    """Give the coefficients that were typed, or those that a scale run found; the paper's where none are named.

    Raises:
        UsageError: They cannot be read, or the run has found none yet.
        SpecError: They are no coefficients, or off the surface.
        RunError: What the run's report has is none.
    """
    if text is None:
        return PAPER_COEFFICIENTS
    run = Path(text)
    if not run.is_dir():
        return _parse_triple(text)
    if not is_run(run) or read_settings(run).command != "scale":
        raise UsageError(f"{run} holds no scale run: give --coefficients 1.2,1.1,1.15 or the run of a search")
    found = (read_report(run) or {}).get("coefficients")
    if not isinstance(found, dict) or not {"alpha", "beta", "gamma"} <= set(found):
        raise UsageError(
            f"the run at {run} has found no coefficients yet; let it finish with effsearch scale"
        )
    triple = [found[name] for name in ("alpha", "beta", "gamma")]
    try:
        if any(type(value) not in (int, float) for value in triple):
            raise SpecError(f"alpha, beta and gamma must be numbers, got {triple}")
        coefficients = ScalingCoefficients(alpha=triple[0], beta=triple[1], gamma=triple[2])
        if not on_surface(coefficients, tolerance=MOST_OFF_SURFACE):
            product = float(coefficients.product)
            raise SpecError(f"alpha * beta^2 * gamma^2 must be above 1 and below 3, got {product:.4f}")
    except (SpecError, OverflowError) as error:
        raise RunError(f"{run / REPORT_FILE} holds no coefficients that a search finds: {error}") from error
    return coefficients


def _parse_triple(text: str) -> ScalingCoefficients:
    try:
        return parse_coefficients(text)
    except SpecError as error:  # --tolerance is that of the surface in scale, and that of the cost here
        raise SpecError(str(error).removesuffix(" or raise --tolerance")) from None
