"""Which training scores a candidate?"""

import dataclasses

from effsearch.search.coefficients.candidates import Candidate
from effsearch.space.outcome import Fidelity, Job, derive_seed

CHECK_FACTOR = 4  # in epochs


def candidate_job(candidate: Candidate, *, replicate: int, run_seed: int) -> Job:
    """Give one training of a candidate at the search's fidelity."""
    coefficients = candidate.coefficients
    network = f"{candidate.network}@{candidate.fidelity.resolution}"  # those that differ in pixels are two
    return Job(
        kind="coefficient",
        name=candidate.name,
        spec=candidate.spec,
        network=candidate.network,
        cost=candidate.cost,
        fidelity=candidate.fidelity,
        seed=derive_seed(run_seed, network, replicate),
        replicate=replicate,
        coefficients=(coefficients.alpha, coefficients.beta, coefficients.gamma),
        phi=candidate.exponent,
    )


def longer_job(candidate: Candidate, *, replicate: int, run_seed: int) -> Job:
    """Give one training of a candidate with four times the epochs."""
    job = candidate_job(candidate, replicate=replicate, run_seed=run_seed)
    return dataclasses.replace(job, kind="final", fidelity=longer(job.fidelity))


def longer(fidelity: Fidelity) -> Fidelity:
    """Give a fidelity with four times the epochs."""
    return dataclasses.replace(fidelity, num_epochs=CHECK_FACTOR * fidelity.num_epochs)
