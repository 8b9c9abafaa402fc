import dataclasses
from pathlib import Path
from typing import Any

import pytest

from effsearch.space.errors import UsageError
from effsearch.space.outcome import Fidelity
from effsearch.space.supernet_work import ScoreBatch, ScreenScore, SupernetPlan, TrainRound

PLAN = SupernetPlan(
    fidelity=Fidelity(num_images=64, num_epochs=1, resolution=16),
    num_steps=10,
    num_rounds=3,
    num_replicas=2,
    sharing="sliced",
    seed=0,
)


@pytest.mark.parametrize(("num_steps", "num_rounds"), [(10, 3), (7, 7), (1, 1), (1000, 7), (5, 1)])
def test_rounds_share_the_steps_out_in_order_and_evenly(num_steps: int, num_rounds: int) -> None:
    plan = dataclasses.replace(PLAN, num_steps=num_steps, num_rounds=num_rounds)
    rounds = [plan.steps_of(index) for index in range(num_rounds)]
    assert [step for steps in rounds for step in steps] == list(range(num_steps))
    sizes = {len(steps) for steps in rounds}
    assert min(sizes) >= 1
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_steps": 0}, "num_steps must be at least 1, got 0"),
        ({"num_rounds": 0}, "num_rounds must be at least 1, got 0"),
        ({"num_replicas": -1}, "num_replicas must be at least 1, got -1"),
        ({"num_rounds": 11}, "11 rounds need as many steps, got 10"),
        ({"rate_share": 0.0}, "rate_share must be above 0 and at most 1, got 0.0"),
        ({"rate_share": 1.5}, "rate_share must be above 0 and at most 1, got 1.5"),
    ],
)
def test_plans_that_do_not_hold_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        dataclasses.replace(PLAN, **changes)


def test_tasks_are_named_for_people() -> None:
    task = TrainRound(plan=PLAN, round_index=0, replica=1, paths=((0,),), inputs=(), output=Path("x"))
    assert task.name == "supernet round 1, replica 2"
    assert ScoreBatch(plan=PLAN, points=((0,), (1,)), weights=()).name == "screening of 2 networks"


def test_a_score_ranks_by_the_loss_where_there_is_one() -> None:
    score = ScreenScore(naswot=12.0, val_loss=1.5, val_accuracy=0.4, core_seconds=0.1)
    assert score.value == -1.5
    assert dataclasses.replace(score, val_loss=None, val_accuracy=None).value == 12.0
