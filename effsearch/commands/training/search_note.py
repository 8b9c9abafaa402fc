"""Where is noted what a search's winner came to, trained fully?

In the search's own run, whose page shows it beside the accuracy of the short trainings.
"""

from typing import Any  # JSON

from effsearch.commands.training.settled import Winner
from effsearch.commands.watching import Watcher
from effsearch.results.json_files import read_json, write_json
from effsearch.results.run_files import FULL_TRAININGS_FILE
from effsearch.space.errors import EffsearchError


def measured_fields(report: dict[str, Any]) -> dict[str, Any]:
    """Give what a training came to, as searches and families note it; `accuracy` is on validation images."""
    return {
        "accuracy": report["best"]["accuracy"],
        "test_accuracy": report["test"]["accuracy"],
        "test_top5": report["test"]["top5"],
        "recipe": report["recipe"],
        "epochs": report["epochs"],
        "trained_in": report["run"],
    }


def note_in_search(winner: Winner, report: dict[str, Any], watcher: Watcher) -> None:
    """Note a training of a search's winner, in place of what was noted of the same run; where it fails, that is said.

    Args:
        winner: What was trained.
        report: Of the training.
        watcher: Is told where it cannot be noted.
    """
    path = winner.search / FULL_TRAININGS_FILE
    try:
        noted = read_json(path).get("trainings") if path.exists() else []
        rows = [row for row in noted if isinstance(row, dict)] if isinstance(noted, list) else []
        mine = measured_fields(report) | {
            "network_hash": winner.network_hash,
            "multiply_adds": report["multiply_adds"],
            "resolution": report["resolution"],
        }
        others = [row for row in rows if row.get("trained_in") != mine["trained_in"]]
        write_json(path, {"trainings": [*others, mine]})
    except EffsearchError as error:
        watcher.say(f"the training has ended well, but it is not noted in {winner.search}: {error}")
