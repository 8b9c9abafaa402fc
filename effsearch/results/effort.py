"""What does a fidelity cost, so that several stand in order?"""

from collections.abc import Mapping
from typing import Any  # a JSON value

from effsearch.results.ledger_entry import CONTINUES


def fidelity_effort(fidelity: Mapping[str, Any]) -> float:
    """Give what a fidelity costs, but for a factor; 0 where what it says is no number.

    Pixels seen in all its stages, times the square of the width: a stage that goes on from another's weights costs
    what both do.
    """
    effort = 0.0
    stage: object = fidelity
    try:
        while isinstance(stage, Mapping):
            num_images = stage.get("num_images", 1) * stage.get("num_epochs", 1)
            effort += float(num_images * stage.get("resolution", 1) ** 2 * stage.get("width", 1.0) ** 2)
            stage = stage.get(CONTINUES)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return effort
