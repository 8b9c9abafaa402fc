"""How far can the proxy be trusted, and what was found out without training?"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any  # JSON

from effsearch.results.certificate import Certificate, certificate_words
from effsearch.results.report.contents import RunContents
from effsearch.results.report.json_values import mapping_of, number_or_none, whole_or_none
from effsearch.results.report.networks import NetworkIndex
from effsearch.results.report.wording import fidelity_words
from effsearch.results.screened import SECOND


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateView:
    """A certificate with its words, and the longer training's order."""

    certificate: Certificate
    words: str
    places: tuple[int, ...]  # of its networks by the longer training, from 1
    ends: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Screening:
    """What a search found out of its networks before it trained any."""

    num_scored: int
    num_failed: int
    num_second: int  # scored again on more images
    by: str
    proxy: str
    supernet_seconds: float
    losses: tuple[tuple[int, float], ...]  # round and mean training loss


_ENDS = {
    "networks": "all that were asked for",
    "minutes": "the time was up",
    "sure": "it was sure enough",
}


def make_certificates(contents: RunContents) -> tuple[CertificateView, ...]:
    """Give the certificates of a run's trainings and of its screening, as far as there are any."""
    views = []
    for one in contents.certificates:
        order = sorted(one.networks, key=lambda network: network.longer_accuracy, reverse=True)
        num_ended = len(one.networks) + one.num_failed
        failed = f", {one.num_failed} of them failed" if one.num_failed else ""
        views.append(
            CertificateView(
                certificate=one,
                words=certificate_words(one),
                places=tuple(1 + order.index(network) for network in one.networks),
                ends=f"{num_ended} of {one.num_planned} networks trained longer{failed}; {_ENDS[one.stopped_by]}",
            )
        )
    return tuple(views)


def certificate_json(certificate: Certificate, networks: NetworkIndex) -> dict[str, Any]:
    """Give the agreement of two rankings to the page's script, accuracies in per cent, a screening's as they are."""
    is_screening = certificate.of == "screening"
    unit = 1 if is_screening else 100
    best, choice = certificate.best, certificate.choice
    return {
        "x_title": "Score of the screening (deviations)" if is_screening else "Accuracy with the proxy (%)",
        "y_title": f"Accuracy with {number_or_none(certificate.factor) or 0:g} x the epochs (%)",
        "points": [
            [unit * one.proxy_score, 100 * one.longer_accuracy, one.name, one.multiply_adds, one.num_seeds]
            for one in certificate.networks
        ],
        "choice": certificate.networks.index(choice),
        "best": certificate.networks.index(best),
        "numbers": [networks.number(one.network_hash, one.multiply_adds) for one in certificate.networks],
    }


def make_screening(contents: RunContents) -> Screening | None:
    """Say what was screened; None where nothing was."""
    entries = [entry for entry in contents.entries if entry.kind == "screen"]
    plan = mapping_of(contents.settings.get("screen"))
    if not entries and not contents.supernet_seconds:
        return None
    first = [entry for entry in entries if not entry.features.get(SECOND)]
    has_supernet = any(entry.val_loss is not None for entry in entries) or contents.supernet_seconds > 0
    return Screening(
        num_scored=len({entry.network_hash for entry in first}),
        num_failed=sum(not entry.has_succeeded for entry in entries),
        num_second=len(entries) - len(first),
        by=_by(plan, has_supernet),
        proxy=fidelity_words(entries[0].fidelity) if entries and has_supernet else "",
        supernet_seconds=contents.supernet_seconds,
        losses=contents.supernet_losses,
    )


def _by(plan: Mapping[str, Any], has_supernet: bool) -> str:
    if not has_supernet:
        return "NASWOT of the untrained network"
    supernet = mapping_of(plan.get("supernet"))
    replicas, rounds = whole_or_none(supernet.get("num_replicas")), whole_or_none(supernet.get("num_rounds"))
    text = "a supernet, whose weights all networks of the space share"
    if replicas and rounds:
        text += f" (in {replicas} replica(s) and {rounds} round(s), as planned)"
    return f"{text}, and NASWOT of the untrained network"
