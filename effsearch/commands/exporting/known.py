"""What is known of the weights that are exported: on which images were they trained, and how good are they?

Nothing is made up: what neither the weights nor their run say is not known, and every export says that.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any  # a JSON value

from effsearch.commands.exporting.trained import best_weights
from effsearch.commands.inputs import Base
from effsearch.results.export.weights import preprocessing_of, read_about
from effsearch.results.run_files import read_report
from effsearch.space.preprocessing import Preprocessing

NO_WEIGHTS = "there are no trained weights"
NOT_SAID = "the weights do not say on which images they were trained"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of weights."""

    preprocessing: Preprocessing | None = None
    unknown: str | None = None  # why not, where it is not
    accuracy: Mapping[str, float] = field(default_factory=dict)  # in [0, 1], by what it was measured on


def known_of(base: Base, weights: Path | None) -> Known:
    """Give what is known of weights.

    Args:
        base: The network.
        weights: That are read; None where fresh ones are drawn, or none are written.

    Raises:
        UsageError: The file holds no weights.
    """
    if weights is None:
        return Known(unknown=NO_WEIGHTS)
    about = read_about(weights)
    preprocessing = preprocessing_of(about, base.spec)
    return Known(
        preprocessing=preprocessing,
        unknown=None if preprocessing is not None else NOT_SAID,
        accuracy=_of_run(base, weights) or _of_file(about),
    )


def _of_run(base: Base, weights: Path) -> dict[str, float]:
    """Give what a train run has measured of its best weights."""
    best = best_weights(base)
    if base.run is None or best is None or not best.exists() or not best.samefile(weights):
        return {}
    report = read_report(base.run) or {}
    return {
        f"{split}_{name}": report[part][key]
        for split, part in (("validation", "best"), ("test", "test"))
        for name, key in (("top1", "accuracy"), ("top5", "top5"))
        if isinstance(report.get(part, {}).get(key), int | float)
    }


def _of_file(about: Mapping[str, Any]) -> dict[str, float]:
    """Give what a training has said beside its weights."""
    try:
        return {"validation_top1": float(about["val_accuracy"])}
    except (KeyError, TypeError, ValueError):
        return {}
