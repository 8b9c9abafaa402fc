import dataclasses
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from effsearch.results.ledger import Ledger, read_entries
from effsearch.results.ledger_entry import LedgerEntry, to_line
from effsearch.results.screened import from_screen_entry, read_screening, to_screen_entry
from effsearch.results.trials import trials_frame
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.errors import SpecError
from effsearch.space.outcome import Fidelity
from effsearch.space.shipped_spaces import load_shipped_space
from effsearch.space.supernet_work import ScreenScore, SupernetPlan

SPACE = load_shipped_space("nas-bench-macro")
POINT = (2, 1, 0, 1, 2, 0, 0, 1)
PLAN = SupernetPlan(
    fidelity=Fidelity(num_images=40_000, num_epochs=1, resolution=16),
    num_steps=3_000,
    num_rounds=8,
    num_replicas=2,
    sharing="sliced",
    seed=3,
)
SCORE = ScreenScore(naswot=1234.5, val_loss=0.1 + 0.2, val_accuracy=0.625, core_seconds=0.75)
AGAIN = dataclasses.replace(SCORE, is_second=True)
ZERO_COST = ScreenScore(naswot=-7.25, val_loss=None, val_accuracy=None, core_seconds=0.125)


def make_entry(point: Any = POINT, score: ScreenScore = SCORE, plan: SupernetPlan = PLAN) -> LedgerEntry:
    return to_screen_entry(
        point,
        score,
        SPACE,
        plan,
        resolution=32,
        num_classes=10,
        data_fingerprint="data-1",
        now=datetime(2025, 11, 21, tzinfo=UTC),
    )


@pytest.mark.parametrize("score", [SCORE, AGAIN, ZERO_COST], ids=["supernet", "again", "zero-cost"])
def test_a_screening_round_trips_through_the_ledger(tmp_path: Path, score: ScreenScore) -> None:
    path = tmp_path / "ledger.jsonl"
    with Ledger.open(path) as ledger:
        ledger.append(make_entry(score=score))
    (entry,) = read_entries(path)
    assert entry == make_entry(score=score)
    assert from_screen_entry(entry, SPACE) == (POINT, score)


def test_first_and_second_scores_are_told_apart() -> None:
    entries = [make_entry(), make_entry(score=AGAIN), dataclasses.replace(make_entry(), kind="trial")]
    scores = read_screening(entries, SPACE)
    assert (scores.first, scores.second) == ({POINT: SCORE}, {POINT: AGAIN})
    assert [entry.name for entry in entries[:2]] == ["screened", "screened again"]
    assert entries[0].key != entries[1].key  # by one supernet, both may stand in one ledger


def test_an_entry_says_which_network_and_what_it_costs() -> None:
    spec = SPACE.spec_at(POINT, resolution=32, num_classes=10)
    cost = count_cost(spec)
    entry = make_entry()
    assert (entry.kind, entry.network_hash, entry.seed) == ("screen", network_hash(spec), 3)
    assert (entry.multiply_adds, entry.parameters, entry.activations) == (
        cost.multiply_adds,
        cost.parameters,
        cost.activations,
    )
    assert entry.has_succeeded
    assert '"spec": {}' in to_line(entry)


@pytest.mark.parametrize(
    "changes",
    [{"num_steps": 3_001}, {"num_replicas": 1}, {"sharing": "separate"}, {"seed": 0}],
    ids=lambda changes: next(iter(changes)),
)
def test_another_supernet_is_another_key(changes: dict[str, Any]) -> None:
    assert make_entry(plan=dataclasses.replace(PLAN, **changes)).key != make_entry().key


def test_equal_networks_have_one_key_however_their_identities_stand() -> None:
    one, other = make_entry((1, 0, 0, 1, 2, 0, 0, 1)), make_entry((1, 0, 0, 1, 2, 0, 1, 0))
    assert one.point != other.point
    assert one.key == other.key


def test_an_entry_of_another_space_is_refused() -> None:
    with pytest.raises(SpecError, match="must be one of"):
        from_screen_entry(make_entry(), load_shipped_space("mbconv"))


def test_screenings_stand_in_the_table_of_trials() -> None:
    frame = trials_frame([make_entry(), make_entry(score=ZERO_COST, plan=dataclasses.replace(PLAN, seed=4))])
    assert frame["kind"].tolist() == ["screen", "screen"]
    assert frame["loss"].isna().tolist() == [False, True]
