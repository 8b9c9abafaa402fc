"""How does a score that cost no training become a line of the ledger, and a line a score again?"""

import dataclasses
from collections.abc import Iterable
from datetime import datetime

from effsearch.results.evaluations import settings_hash
from effsearch.results.ledger_entry import LedgerEntry
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.screen_scores import ScreenScores
from effsearch.space.search_space import Point, SearchSpace
from effsearch.space.supernet_work import ScreenScore, SupernetPlan

SECOND = "second"  # a feature that only second scores have


def to_screen_entry(
    point: Point,
    score: ScreenScore,
    space: SearchSpace,
    plan: SupernetPlan,
    *,
    resolution: int,
    num_classes: int,
    data_fingerprint: str,
    now: datetime,
) -> LedgerEntry:
    """Give the ledger's entry for a network that was screened; its spec is left out, the point says all."""
    spec = space.spec_at(point, resolution=resolution, num_classes=num_classes)
    cost = count_cost(spec)
    return LedgerEntry(
        kind="screen",
        name="screened again" if score.is_second else "screened",
        network_hash=network_hash(spec),
        data_fingerprint=data_fingerprint,
        settings_hash=settings_hash(dataclasses.asdict(plan) | ({SECOND: True} if score.is_second else {})),
        fidelity=dataclasses.asdict(plan.fidelity),
        seed=plan.seed,
        replicate=0,
        multiply_adds=cost.multiply_adds,
        parameters=cost.parameters,
        activations=cost.activations,
        val_accuracy=score.val_accuracy,
        val_loss=score.val_loss,
        train_seconds=score.core_seconds,
        failure="",
        point=space.labels_at(point),
        coefficients={},
        spec={},
        time=now.isoformat(),
        features={"naswot": score.naswot} | ({SECOND: 1} if score.is_second else {}),
    )


def from_screen_entry(entry: LedgerEntry, space: SearchSpace) -> tuple[Point, ScreenScore]:
    """Give the point and the score behind an entry."""
    score = ScreenScore(
        naswot=entry.features["naswot"],
        val_loss=entry.val_loss,
        val_accuracy=entry.val_accuracy,
        core_seconds=entry.train_seconds,
        is_second=bool(entry.features.get(SECOND)),
    )
    return space.point_of(entry.point), score


def read_screening(entries: Iterable[LedgerEntry], space: SearchSpace) -> ScreenScores:
    """Give the scores of the screening that a ledger holds."""
    scores = ScreenScores()
    for entry in entries:
        if entry.kind == "screen":
            point, score = from_screen_entry(entry, space)
            scores.add(point, score)
    return scores
