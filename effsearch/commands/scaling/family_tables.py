"""What does a family look like on a terminal?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from effsearch.commands.scaling.coefficient_tables import print_coefficients
from effsearch.commands.tables import print_table, say
from effsearch.space.budget import short_count


def print_family(report: Mapping[str, Any]) -> None:
    """Print a family, nominal beside built cost."""
    coefficients = report["coefficients"]
    if "candidates" in report:
        print_coefficients(report)
    rows = [
        (
            f"{member['phi']:.3g}",
            f"{member['depth_coefficient']:.3f}",
            f"{member['width_coefficient']:.3f}",
            member["resolution"],
            short_count(member["nominal_multiply_adds"]),
            short_count(member["multiply_adds"]),
            f"{member['off']:+.1%}",
            f"{member['multiply_adds'] / report['base_multiply_adds']:.2f}",
            short_count(member["params"]),
            short_count(member["activations"]),
        )
        for member in report["family"]
    ]
    by = {"official": "as published", "dwr": f"dwr {report['dwr_exponent']}"}.get(report["rule"])
    if by is None:
        by = f"{report['rule']}, " + ", ".join(f"{name} {value:g}" for name, value in coefficients.items())
    columns = (
        "phi",
        "depth",
        "width",
        "pixels",
        "nominal FLOPs",
        "built FLOPs",
        "off",
        "x base",
        "params",
        "activations",
    )
    print_table(f"{report['base']} scaled: {by}", columns, rows)
    say(f"family: {Path(report['family'][0]['spec_path']).parent}")
    if report["certificate"]:
        say(f"the base's run: {report['certificate']}")
    for note in report["notes"]:
        say(note)
