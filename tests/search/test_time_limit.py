import dataclasses
from collections.abc import Callable

from effsearch.search.time_limit import TimeLimit
from effsearch.space.outcome import Evaluation, Job, ProxyResult

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
