import pytest

from effsearch.space.errors import UsageError
from effsearch.space.slot_status import SlotStatus


def test_rate_and_share_are_of_what_has_ended_and_runs() -> None:
    slot = SlotStatus(
        slot=1, task="trial 3", task_seconds=5.0, num_images=1_000, train_seconds=10.0, open_seconds=20.0
    )
    assert slot.images_per_second == 100.0
    assert slot.busy_share == 0.75


def test_a_slot_that_has_done_nothing_has_neither() -> None:
    slot = SlotStatus(slot=0)
    assert slot.images_per_second is None
    assert slot.busy_share is None


def test_no_slot_is_busier_than_always() -> None:
    assert SlotStatus(slot=0, train_seconds=9.0, task_seconds=3.0, open_seconds=10.0).busy_share == 1.0


def test_counts_below_zero_are_refused() -> None:
    with pytest.raises(UsageError, match="num_ended must be at least 0, got -1"):
        SlotStatus(slot=0, num_ended=-1)
