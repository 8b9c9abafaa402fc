"""What does Optuna see of a coefficient search? One trial per distinct network, told at its first training."""

import optuna
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState

from effsearch.search.study import NETWORK_ATTRIBUTE
from effsearch.space.coefficients import MAX_ALPHA, MAX_BETA_GAMMA
from effsearch.space.outcome import Evaluation

STUDY_NAME = "coefficients"
DISTRIBUTIONS = {
    "alpha": FloatDistribution(1, MAX_ALPHA),
    "beta": FloatDistribution(1, MAX_BETA_GAMMA),
    "gamma": FloatDistribution(1, MAX_BETA_GAMMA),
}


def coefficient_trial(evaluation: Evaluation) -> FrozenTrial | None:
    """Give the trial of a network's first training at the search's own fidelity, None for any other training."""
    job = evaluation.job
    if job.kind != "coefficient" or job.replicate or job.coefficients is None:
        return None
    result = evaluation.result
    return optuna.trial.create_trial(
        params=dict(zip(DISTRIBUTIONS, job.coefficients, strict=True)),
        distributions=dict(DISTRIBUTIONS),
        value=None if result is None else result.val_accuracy,
        state=TrialState.FAIL if result is None else TrialState.COMPLETE,
        # networks that differ in their pixels alone are two
        user_attrs={NETWORK_ATTRIBUTE: f"{job.network}@{job.fidelity.resolution}"},
    )
