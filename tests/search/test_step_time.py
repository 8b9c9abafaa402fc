import dataclasses
from collections.abc import Callable

import pytest

from effsearch.search.problem import Problem
from effsearch.search.step_time import StepTimes, rung_fidelity, rung_of
from effsearch.space.errors import RunError
from effsearch.space.outcome import Evaluation, Fidelity, Job
from effsearch.space.search_space import SearchSpace

SHORT = Fidelity(num_images=100, num_epochs=1, resolution=16)
LONG = Fidelity(num_images=300, num_epochs=2, resolution=32)

MakeJob = Callable[..., Job]
MakeProblem = Callable[..., Problem]


@pytest.fixture
def problem(widths: SearchSpace, make_problem: MakeProblem) -> Problem:
    return make_problem(widths, rungs=(SHORT, LONG))


def test_times_are_measured_against_the_first_of_their_rung() -> None:
    times = StepTimes()
    for seconds in (4.0, 2.0, 8.0):
        times.note(seconds, SHORT)
    times.note(30.0, LONG)
    assert [times.share(seconds, SHORT) for seconds in (4.0, 2.0, 8.0)] == [1.0, 0.5, 2.0]
    assert times.share(15.0, LONG) == 0.5


@pytest.mark.parametrize(("first", "second"), [(0.0, 1.0), (1.0, 0.0)])
def test_no_time_is_no_share(first: float, second: float) -> None:
    times = StepTimes()
    times.note(first, SHORT)
    with pytest.raises(RunError, match="a training of 100 images is recorded with no time"):
        times.share(second, SHORT)


def test_a_network_at_another_resolution_is_compared_at_its_rung(problem: Problem, make_job: MakeJob) -> None:
    job = make_job()  # at 8 pixels, where the run counts at 32
    own = dataclasses.replace(job, fidelity=dataclasses.replace(LONG, resolution=8))
    assert rung_of(own, problem) == 1
    assert rung_fidelity(Evaluation(job=own, result=None), problem) == LONG


def test_a_training_of_another_run_is_compared_at_its_own_fidelity(
    problem: Problem, make_job: MakeJob, fidelity: Fidelity
) -> None:
    job = make_job()
    assert rung_of(job, problem) is None
    assert rung_fidelity(Evaluation(job=job, result=None), problem) == fidelity
