"""What do the arms, factors and coefficients mean that a user of `effsearch ablate` gives?"""

from pathlib import Path

from effsearch.results.run_files import is_run, read_report, read_settings
from effsearch.space.arms import ARM_NAMES, ArmName
from effsearch.space.coefficients import PAPER_COEFFICIENTS, ScalingCoefficients, parse_coefficients
from effsearch.space.errors import UsageError


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
    """
    if text is None:
        return PAPER_COEFFICIENTS
    run = Path(text)
    if not run.is_dir():
        return parse_coefficients(text)
    if not is_run(run) or read_settings(run).command != "scale":
        raise UsageError(f"{run} holds no scale run: give --coefficients 1.2,1.1,1.15 or the run of a search")
    report = read_report(run) or {}
    found = report.get("coefficients") or next(iter(report.get("candidates", ())), None)
    if not isinstance(found, dict) or not {"alpha", "beta", "gamma"} <= set(found):
        raise UsageError(
            f"the run at {run} has found no coefficients yet; let it finish with effsearch scale"
        )
    return ScalingCoefficients(**{name: found[name] for name in ("alpha", "beta", "gamma")})
