"""How long does a network's training step take, beside that of others?"""

from effsearch.search.problem import Problem
from effsearch.space.errors import RunError
from effsearch.space.outcome import Evaluation, Fidelity, Job
from effsearch.space.proxy import fidelity_for


class StepTimes:
    """The training time that others of the same rung are measured against: that of the first which came to a score.

    All trainings of a rung take the same number of steps, of as many images, so that the time of one over that of
    another is the share of their steps. It is the time of the training itself, as the ledger has it: without
    building, scoring and waiting, at the proxy's size, on whatever else the machine did meanwhile. Which training
    is the reference changes a rung's scores by one factor and so no ranking, and being the ledger's first it is the
    same one whenever a run goes on.
    """

    def __init__(self) -> None:
        self._seconds: dict[Fidelity, float] = {}

    def note(self, seconds: float, fidelity: Fidelity) -> None:
        """Take a training that came to a score; to be called in the ledger's order."""
        self._seconds.setdefault(fidelity, seconds)

    def share(self, seconds: float, fidelity: Fidelity) -> float:
        """Give a training's time over the reference's, 1 for the reference itself.

        Raises:
            RunError: One of the two has no time to compare.
        """
        reference = self._seconds[fidelity]
        if not (seconds > 0 and reference > 0):
            raise RunError(
                f"a training of {fidelity.num_images} images is recorded with no time, so that the reward cannot "
                "weigh step times: leave out --step-time-exponent"
            )
        return seconds / reference


def rung_of(job: Job, problem: Problem) -> int | None:
    """Give the rung that a training belongs to, or None for a training of another run."""
    for rung, fidelity in enumerate(problem.rungs):
        if job.fidelity == fidelity_for(job.spec, fidelity, target_resolution=problem.resolution):
            return rung
    return None


def rung_fidelity(evaluation: Evaluation, problem: Problem) -> Fidelity:
    """Give the fidelity that a training's time is compared at: its rung's, else its own.

    A network at another resolution than the run's trains at a size of its own, and its time counts as it is.
    """
    rung = rung_of(evaluation.job, problem)
    return evaluation.job.fidelity if rung is None else problem.rungs[rung]
