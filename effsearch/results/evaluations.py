"""How does an ended training become a line of the ledger, and a line an ended training again?"""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from effsearch.results.ledger_entry import LedgerEntry
from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.errors import SpecError
from effsearch.space.latency_table import LatencyTable
from effsearch.space.outcome import Evaluation, Job, ProxyResult, fidelity_from
from effsearch.space.text import from_json, to_dict


def settings_hash(settings: Mapping[str, Any]) -> str:
    """Give the hash of training settings, 16 hexadecimal digits."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]


def to_entry(
    evaluation: Evaluation, *, data_fingerprint: str, settings_hash: str, now: datetime
) -> LedgerEntry:
    """Give the ledger's entry for an ended training.

    Args:
        evaluation: The training.
        data_fingerprint: Of the images.
        settings_hash: Of the settings it was trained with; another where it had only a share of the batch.
        now: The present.
    """
    job, result = evaluation.job, evaluation.result
    coefficients: dict[str, float] = {}
    if job.coefficients is not None:
        coefficients = dict(zip(("alpha", "beta", "gamma"), job.coefficients, strict=True))
        coefficients["phi"] = job.phi
    return LedgerEntry(
        kind=job.kind,
        name=job.name,
        network_hash=job.network,
        data_fingerprint=data_fingerprint,
        settings_hash=settings_hash,
        fidelity=dataclasses.asdict(job.fidelity),
        seed=job.seed,
        replicate=job.replicate,
        multiply_adds=job.cost.multiply_adds,
        parameters=job.cost.parameters,
        activations=job.cost.activations,
        val_accuracy=None if result is None else result.val_accuracy,
        val_loss=None if result is None else result.val_loss,
        train_seconds=evaluation.seconds if result is None else result.train_seconds,
        failure=evaluation.failure,
        point=dict(job.choices),
        coefficients=coefficients,
        spec=to_dict(job.spec),
        time=now.isoformat(),
        batch_share=job.batch_share,
        used_kernels=None if result is None else result.used_kernels,
        precision=None if result is None else result.precision,
        from_checkpoint=None if result is None else result.from_checkpoint,
    )


def from_entry(entry: LedgerEntry, table: LatencyTable | None = None) -> Evaluation:
    """Give the ended training behind an entry, for a search that goes on; its cost has the latency of a table.

    Raises:
        SpecError: The entry's network or fidelity does not hold.
    """
    spec = from_json(json.dumps(entry.spec), source=f"ledger, {entry.name}")
    fidelity = fidelity_from(entry.fidelity)
    stages = fidelity.stages[-1:] if entry.from_checkpoint else fidelity.stages
    result = None
    if entry.val_accuracy is not None:
        result = ProxyResult(
            val_accuracy=entry.val_accuracy,
            val_loss=entry.val_loss,
            train_seconds=entry.train_seconds,
            num_images_seen=sum(stage.num_images * stage.num_epochs for stage in stages),
            used_kernels=entry.used_kernels,
            precision=entry.precision,
            from_checkpoint=entry.from_checkpoint,
        )
    coefficients = entry.coefficients
    if coefficients and not {"alpha", "beta", "gamma"} <= set(coefficients):
        raise SpecError(f"ledger, {entry.name}: coefficients must have alpha, beta and gamma")
    triple = (coefficients["alpha"], coefficients["beta"], coefficients["gamma"]) if coefficients else None
    job = Job(
        kind=entry.kind,
        name=entry.name,
        spec=spec,
        network=network_hash(spec),
        cost=count_cost(spec, table),
        fidelity=fidelity,
        seed=entry.seed,
        replicate=entry.replicate,
        choices=entry.point,
        coefficients=triple,
        phi=coefficients.get("phi", 0.0),
        batch_share=entry.batch_share,
    )
    return Evaluation(job=job, result=result, failure=entry.failure, seconds=entry.train_seconds)
