from collections.abc import Sequence

import pytest

from effsearch.search.failures import FailureStreak
from effsearch.space.errors import RunError
from effsearch.space.outcome import Evaluation

from .conftest import MakeJob, score


def take_all(streak: FailureStreak, make_job: MakeJob, reasons: Sequence[str]) -> None:
    """An empty reason is a training that came to a score."""
    for reason in reasons:
        result = None if reason else score(0.5)
        streak.take(Evaluation(job=make_job(), result=result, failure=reason))


@pytest.mark.parametrize(
    ("num_reasons", "message"),
    [
        (1, "10 trainings in a row failed; the last: reason 0 (as all of them)"),
        (2, "10 trainings in a row failed; the last: reason 1 (5 of them: reason 0)"),
        (10, "10 trainings in a row failed; the last: reason 9 (all of them alike: reason ...)"),
    ],
)
def test_the_tenth_failure_in_a_row_says_what_they_have_in_common(
    make_job: MakeJob, num_reasons: int, message: str
) -> None:
    streak = FailureStreak()
    reasons = [f"reason {index % num_reasons}" for index in range(10)]
    take_all(streak, make_job, reasons[:9])
    with pytest.raises(RunError) as raised:
        take_all(streak, make_job, reasons[9:])
    assert str(raised.value) == message


def test_reasons_that_differ_in_their_numbers_alone_are_alike(make_job: MakeJob) -> None:
    reasons = [f"the loss became nan in step {index} of 90 (learning rate {index}e-3)" for index in range(10)]
    alike = r"the loss became nan in step \.\.\. of \.\.\. \(learning rate \.\.\.\)"
    with pytest.raises(RunError, match=rf"10 trainings in a row failed; .* \(all of them alike: {alike}\)"):
        take_all(FailureStreak(), make_job, reasons)


def test_a_score_begins_the_count_anew(make_job: MakeJob) -> None:
    take_all(FailureStreak(), make_job, [*["out of memory"] * 9, "", *["out of memory"] * 9, ""])
