"""What is kept of a validation?"""

import dataclasses

from effsearch.results.certificate import Certificate, CertifiedNetwork, Interval, Judged
from effsearch.search.validating.correlation import Correlation
from effsearch.search.validating.validation import Pair, Validation, ValidationSettings
from effsearch.space.outcome import Fidelity


def make_certificate(
    validation: Validation, settings: ValidationSettings, fidelity: Fidelity, *, of: Judged = "trainings"
) -> Certificate:
    """Give what is kept of a validation."""
    return Certificate(
        of=of,
        factor=settings.factor,
        networks=tuple(_certified(pair) for pair in validation.pairs),
        num_planned=validation.num_planned,
        num_failed=validation.num_failed,
        kendall=_interval(validation.kendall),
        spearman=_interval(validation.spearman),
        regret=validation.regret,
        top_regret=validation.top_regret,
        stopped_by=validation.stopped_by,
        stop_at=settings.stop_at,
        verdict=validation.verdict,
        confidence=validation.confidence,
        proxy_fidelity=dataclasses.asdict(fidelity),
        longer_fidelity=dataclasses.asdict(validation.fidelity),
        seed=settings.seed,
    )


def _certified(pair: Pair) -> CertifiedNetwork:
    job = pair.network.job
    return CertifiedNetwork(
        name=job.name,
        network_hash=job.network,
        multiply_adds=job.cost.multiply_adds,
        proxy_score=pair.network.score,
        num_seeds=len(pair.network.scores),
        longer_accuracy=pair.longer_accuracy,
    )


def _interval(correlation: Correlation) -> Interval:
    return Interval(value=correlation.value, low=correlation.low, high=correlation.high)
