"""How is said what was found of latencies?"""

from collections.abc import Mapping
from typing import Any

from effsearch.space.budget import short_time


def latency_warnings(report: Mapping[str, Any]) -> list[str]:
    """Say it where a winner does not keep to the bound, or was not measured."""
    if report["latency"] is None:
        return []
    limit = short_time(report["latency"]["limit_nanoseconds"])
    lines = [
        f"{winner['name']} does NOT keep to {limit}: it takes {short_time(winner['measured_nanoseconds'])} measured "
        "whole, and so it is with every network that has a score; search longer, or anew with a lower --max-latency"
        for winner in report["winners"]
        if winner["keeps_latency"] is False
    ]
    if report["best"]["measured_nanoseconds"] is None:
        lines.append(
            "no network was measured whole: latencies are those of another machine, runtime or version; on that one, "
            "effsearch profile SPEC --latency measures the winner"
        )
    return lines
