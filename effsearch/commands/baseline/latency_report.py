"""What does a search under a bound on latency tell of it at its end?"""

from collections.abc import Sequence
from typing import Any

from effsearch.commands.baseline.latency_check import LatencyCheck
from effsearch.search.ranking import Ranked


def latency_record(check: LatencyCheck) -> dict[str, Any]:
    """Give the bound and what stands behind it, as JSON values."""
    plan, table = check.plan, check.plan.table
    return {
        "limit_nanoseconds": plan.limit,
        "held_to_nanoseconds": plan.held_to,
        "conditions": str(table.conditions),
        "table": table.fingerprint,
        "measured_at": table.time,
        "table_seconds": plan.settled.seconds,
        "mean_error": table.mean_error,
    }


def latency_fields(one: Ranked, check: LatencyCheck | None) -> dict[str, Any]:
    """Give what a network was predicted to take and takes measured whole; nothing where nothing is bounded."""
    if check is None:
        return {}
    measured = check.measured(one.spec)
    return {
        "predicted_nanoseconds": one.cost.latency_nanoseconds,
        "measured_nanoseconds": measured,
        "keeps_latency": None if measured is None else measured <= check.limit,
    }


def front_seconds(ranked: Sequence[Ranked], check: LatencyCheck) -> list[float]:
    """Give what networks take: all measured whole, or, where one cannot be, all as they are predicted."""
    measured = [nanoseconds for one in ranked if (nanoseconds := check.measured(one.spec)) is not None]
    if len(measured) < len(ranked):
        measured = [check.plan.table.predict(one.spec) for one in ranked]
    return [nanoseconds / 1e9 for nanoseconds in measured]
