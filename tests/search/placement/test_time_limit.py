import dataclasses
from collections.abc import Callable

import pytest

from effsearch.search.fidelity import relative_cost
from effsearch.search.placement.time_limit import TimeLimit
from effsearch.space.outcome import ContinuedFidelity, Evaluation, Fidelity, Job, ProxyResult

LONG = Fidelity(num_images=300, num_epochs=2, resolution=64)  # 24 times the job's 100 images at 32 pixels
RESULT = ProxyResult(val_accuracy=0.5, val_loss=1.0, train_seconds=0.0, num_images_seen=1)


class Clock:
    now = 1_000.0  # a monotonic clock starts anywhere

    def __call__(self) -> float:
        return self.now


def test_without_minutes_time_is_never_up() -> None:
    clock = Clock()
    limit = TimeLimit(None, clock=clock, expected_seconds=1e9)
    clock.now += 1e9
    assert not limit.is_up(reserved_seconds=1e9)
    assert limit.seconds_to_confirm(100, num_slots=1) == 0.0


def test_time_is_up_when_one_more_training_would_end_too_late() -> None:
    clock = Clock()
    limit = TimeLimit(1.0, clock=clock, expected_seconds=20.0)
    clock.now += 40.0
    assert limit.elapsed == 40.0
    assert not limit.is_up()
    assert limit.is_up(reserved_seconds=1.0)
    clock.now += 0.5
    assert limit.is_up()


def test_the_guess_gives_way_to_the_mean_of_what_came_to_a_score(make_job: Callable[..., Job]) -> None:
    limit = TimeLimit(1.0, clock=Clock(), expected_seconds=20.0)
    evaluation = Evaluation(job=make_job(), result=RESULT, seconds=4.0)
    failed = dataclasses.replace(evaluation, result=None, failure="out of memory", seconds=0.1)
    limit.learn([failed])
    assert limit.mean_seconds == 20.0
    limit.learn([evaluation, dataclasses.replace(evaluation, seconds=8.0), failed])
    assert limit.mean_seconds == 6.0


def test_time_for_fresh_seeds_is_set_aside_in_rounds_and_at_most_two_fifths() -> None:
    limit = TimeLimit(10.0, clock=Clock(), expected_seconds=20.0)
    assert limit.seconds_to_confirm(5, num_slots=2) == 3 * 20.0 * 1.1
    assert limit.seconds_to_confirm(1000, num_slots=2) == 0.4 * 600
    assert limit.seconds_to_confirm(0, num_slots=2) == 0.0


def test_a_training_costs_what_its_images_epochs_and_pixels_say(fidelity: Fidelity) -> None:
    assert relative_cost(LONG) == 24 * relative_cost(fidelity)


def test_a_longer_training_is_expected_to_take_longer_in_proportion(fidelity: Fidelity) -> None:
    clock = Clock()
    limit = TimeLimit(10.0, clock=clock, expected_seconds=5.0, fidelity=fidelity)
    assert (limit.seconds_of(fidelity), limit.seconds_of(LONG)) == (5.0, 120.0)
    clock.now += 480.5
    assert limit.is_up(fidelity=LONG)
    assert not limit.is_up()
    assert limit.seconds_to_confirm(1, num_slots=1, fidelity=LONG) == pytest.approx(132.0)


def test_the_times_of_all_rungs_are_learned_as_one(fidelity: Fidelity, make_job: Callable[..., Job]) -> None:
    limit = TimeLimit(10.0, clock=Clock(), fidelity=fidelity)
    short = Evaluation(job=make_job(), result=RESULT, seconds=4.0)
    long = Evaluation(job=dataclasses.replace(make_job(), fidelity=LONG), result=RESULT, seconds=48.0)
    limit.learn([short, long])
    assert limit.mean_seconds == pytest.approx(3.0)  # the long one was 24 of 2 s each
    assert limit.seconds_of(LONG) == pytest.approx(72.0)


@pytest.mark.parametrize(("from_checkpoint", "share"), [(True, 3.0), (False, 4.0)])
def test_a_training_that_found_its_checkpoint_counts_as_its_last_stage_alone(
    make_job: Callable[..., Job], from_checkpoint: bool, share: float
) -> None:
    job = make_job()
    top = ContinuedFidelity(
        **{**dataclasses.asdict(job.fidelity), "num_epochs": 3 * job.fidelity.num_epochs},
        continues=job.fidelity,
    )
    limit = TimeLimit(1.0, clock=Clock(), fidelity=job.fidelity)
    result = dataclasses.replace(RESULT, from_checkpoint=from_checkpoint)
    limit.learn([Evaluation(job=dataclasses.replace(job, fidelity=top), result=result, seconds=6.0)])
    assert limit.mean_seconds == 6.0 / share
    assert limit.seconds_of(top) == 24.0 / share  # of all stages: a checkpoint may be missing
