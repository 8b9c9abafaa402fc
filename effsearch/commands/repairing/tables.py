"""What does a repair look like on a terminal?"""

from collections.abc import Mapping
from typing import Any

from effsearch.commands.tables import say


def print_repair(report: Mapping[str, Any]) -> None:
    """Print what was found in a run, and what was done or would be."""
    found = report["findings"]
    if not found:
        say(f"{report['run']}: nothing is damaged")
        return
    for one in found:
        say(f"{one['file']}: {one['problem']}")
        say(f"    {'done' if report['is_done'] and one['can_be_mended'] else 'to do'}: {one['action']}")
    num_left = sum(not one["can_be_mended"] for one in found)
    if num_left == len(found):
        say("nothing was changed: that is left to you")
    elif report["is_done"] and num_left:
        say("what is still to do is left to you")
    elif report["is_done"]:
        say(f"the run's command with --run {report['run']} goes on")
    else:
        say(f"nothing was changed; effsearch repair {report['run']} --yes does it")
