import dataclasses
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from effsearch.search.coefficients.jobs import candidate_job, longer_job
from effsearch.search.coefficients.trial import STUDY_NAME, coefficient_trial
from effsearch.search.study import JournalStudy
from effsearch.space.outcome import Evaluation, ProxyResult

from .conftest import MakeList

RESULT = ProxyResult(val_accuracy=0.4, val_loss=1.0, train_seconds=1.0, num_images_seen=100)


def test_a_first_training_is_a_trial_with_its_triple(make_list: MakeList) -> None:
    job = candidate_job(make_list(1).candidates[0], replicate=0, run_seed=0)
    trial = coefficient_trial(Evaluation(job=job, result=RESULT))
    assert trial is not None
    assert trial.params == {"alpha": 1.2, "beta": 1.1, "gamma": 1.15}
    assert (trial.value, trial.state) == (0.4, TrialState.COMPLETE)
    failed = coefficient_trial(Evaluation(job=job, result=None, failure="out of memory"))
    assert failed is not None
    assert failed.state == TrialState.FAIL


@pytest.mark.parametrize("kind", ["again", "longer"])
def test_other_trainings_are_no_trials(make_list: MakeList, kind: str) -> None:
    candidate = make_list(1).candidates[0]
    again = candidate_job(candidate, replicate=1, run_seed=0)
    job = again if kind == "again" else longer_job(candidate, replicate=0, run_seed=0)
    assert coefficient_trial(Evaluation(job=job, result=RESULT)) is None


def test_networks_that_differ_in_pixels_alone_are_two_trials(make_list: MakeList, tmp_path: Path) -> None:
    one = make_list(1).candidates[0]
    larger = dataclasses.replace(one, fidelity=dataclasses.replace(one.fidelity, resolution=9))
    study = JournalStudy(tmp_path / "study.journal", study_name=STUDY_NAME)
    for candidate in (one, larger, one):
        trial = coefficient_trial(
            Evaluation(job=candidate_job(candidate, replicate=0, run_seed=0), result=RESULT)
        )
        assert trial is not None
        study.add(trial)
    storage = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend(str(tmp_path / "study.journal"))
    )
    assert len(optuna.load_study(study_name=STUDY_NAME, storage=storage).trials) == 2
