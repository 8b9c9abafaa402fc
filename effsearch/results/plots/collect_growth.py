"""What does the record of a family hold of its costs?"""

from pathlib import Path

from effsearch.results.json_files import read_json
from effsearch.results.plots.growth import Growth
from effsearch.results.plots.rows import int_of, number_of, rows_in
from effsearch.results.run_files import FAMILY_RECORD
from effsearch.space.errors import RunError


def collect_growth(folder: Path) -> Growth:
    """The costs of a family, from the folder that `effsearch scale` wrote it to.

    Raises:
        RunError: The record cannot be read, or holds no family.
    """
    path = folder / FAMILY_RECORD
    content = read_json(path)
    rows = rows_in(content, "family", path)
    if not rows:
        raise RunError(f"{path} holds no family; write it anew with effsearch scale")
    steps = content.get("between") or []
    if not isinstance(steps, list) or not all(isinstance(step, list) for step in steps):
        raise RunError(f"{path}: between must be a list of lists, got {steps!r:.60}")
    between = [dict(zip(("phi", "nominal", "built"), step, strict=False)) for step in steps]
    coefficients = content.get("coefficients")
    coefficients = coefficients if isinstance(coefficients, dict) else {}
    words = [str(content.get("rule", "scaled")), *(f"{name} {value}" for name, value in coefficients.items())]
    return Growth(
        title=f"{content.get('base', 'its base')} scaled: {', '.join(words)}",
        phis=tuple(number_of(row, "phi", path) for row in rows),
        nominal=tuple(number_of(row, "nominal_multiply_adds", path) for row in rows),
        built=tuple(int_of(row, "multiply_adds", path) for row in rows),
        between=tuple(
            (number_of(step, "phi", path), number_of(step, "nominal", path), int_of(step, "built", path))
            for step in between
        ),
    )
