"""How far can the proxy of a run be trusted, as its validation has left it on disk?

`validation.json` in the run directory holds the certificate of the proxy's trainings, and
`validation-screening.json` that of its screening: the networks that were trained longer, how alike the two rankings
are, and what trusting the proxy would cost.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal  # Any: a JSON value

from effsearch.results.json_files import read_json, write_json
from effsearch.results.user_names import to_field_names, to_user_names
from effsearch.space.errors import RunError

SCHEMA_VERSION = 2
Grade = Literal["good", "fair", "poor", "unknown"]
Judged = Literal["trainings", "screening"]

CERTIFICATE_FILES: dict[Judged, str] = {
    "trainings": "validation.json",
    "screening": "validation-screening.json",
}

# A proxy orders (1 + tau) / 2 of all pairs right: 17 of 20 at .7, 7 of 10 at .4. On the networks of NAS-Bench-Macro
# (arXiv:2103.11922) one full training has tau .90 with the mean of two others; a minute of training had .54 with the
# true accuracy, and what needs no training .48 (the number of blocks) or .27 (FLOPs). Below .4 a proxy tells no more
# than such counts do.
GOOD_TAU = 0.7
FAIR_TAU = 0.4

_ADVICE: dict[Grade, str] = {
    "good": "its ranking can be trusted",
    "fair": "trust its best handful, not the order in it; more --seeds or a dearer proxy tell more",
    "poor": "do not trust small differences; give more --minutes or a dearer proxy",
    "unknown": "so few networks prove nothing; validate more --networks",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A rank correlation in [-1, 1] with its 95 per cent interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CertifiedNetwork:
    """A network of the sample with both its scores."""

    name: str
    network_hash: str
    multiply_adds: int
    proxy_score: float  # mean accuracy over `num_seeds` trainings, in [0, 1]; a screening's in its deviations
    num_seeds: int  # 1 for a screening
    longer_accuracy: float  # of one training, in [0, 1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """What longer training of a sample says about a proxy."""

    factor: int  # epochs of the longer training for each of the proxy's
    networks: tuple[CertifiedNetwork, ...]  # the proxy's best first
    num_planned: int
    num_failed: int
    kendall: Interval
    spearman: Interval
    regret: float  # accuracy lost by taking the proxy's first choice
    top_regret: float  # mean of it over the proxy's top three
    stopped_by: Literal["networks", "minutes", "sure"]
    stop_at: float | None  # the correlation it was told to stop at
    verdict: Literal["above", "below"] | None  # tau beside `stop_at`, where it stopped because it was sure
    confidence: float | None  # of the wider interval that the verdict was read off
    proxy_fidelity: dict[str, int | float]
    longer_fidelity: dict[str, int | float]
    seed: int
    of: Judged = "trainings"

    @property
    def grade(self) -> Grade:
        """Good, fair or poor by tau, where its interval says so too; unknown where it may be either.

        A good one is surely no worse than fair, a fair one surely better than drawing lots, a poor one surely not
        good.
        """
        if self.kendall.value >= GOOD_TAU and self.kendall.low >= FAIR_TAU:
            return "good"
        if self.kendall.value >= FAIR_TAU and self.kendall.low > 0:
            return "fair"
        return "unknown" if self.kendall.high >= GOOD_TAU else "poor"

    @property
    def choice(self) -> CertifiedNetwork:
        """The network that the proxy likes best."""
        return self.networks[0]

    @property
    def best(self) -> CertifiedNetwork:
        """The network that longer training likes best."""
        return max(self.networks, key=lambda network: network.longer_accuracy)

    def to_json(self) -> dict[str, Any]:
        """The content of `validation.json`."""
        record = dataclasses.asdict(self)
        for name in ("proxy_fidelity", "longer_fidelity"):
            record[name] = to_user_names(record[name])
        return {"schema_version": SCHEMA_VERSION, "grade": self.grade, **record}


def write_certificate(run: Path, certificate: Certificate) -> Path:
    """Write the certificate into its run, atomically.

    Raises:
        RunError: The file cannot be written.
    """
    path = run / CERTIFICATE_FILES[certificate.of]
    write_json(path, certificate.to_json())
    return path


def read_certificate(run: Path, of: Judged = "trainings") -> Certificate | None:
    """The certificate of a run's proxy, or of its screening; None while it has none.

    Raises:
        RunError: There is one that cannot be read.
    """
    path = run / CERTIFICATE_FILES[of]
    if not path.exists():
        return None
    record = read_json(path)
    version = record.pop("schema_version", None)
    if version != SCHEMA_VERSION:
        raise RunError(
            f"{path}: schema_version {version!r:.60} cannot be read, this effsearch knows {SCHEMA_VERSION}; run "
            "effsearch validate again, or use a newer one"
        )
    record.pop("grade", None)  # follows from the rest
    try:
        for row in [record, *record["networks"], record["kendall"], record["spearman"]]:
            _check_types(row)
        record["networks"] = tuple(CertifiedNetwork(**network) for network in record["networks"])
        if not record["networks"]:
            raise KeyError("networks")
        record["kendall"] = Interval(**record["kendall"])
        record["spearman"] = Interval(**record["spearman"])
        for name in ("proxy_fidelity", "longer_fidelity"):
            record[name] = to_field_names(record[name])
        return Certificate(**record)
    except (KeyError, TypeError, AttributeError) as error:
        raise RunError(f"{path} is no certificate ({error}); run effsearch validate again") from error


_TEXTS = {"name", "network_hash", "stopped_by", "verdict", "of"}
_NESTED = {"networks", "kendall", "spearman", "proxy_fidelity", "longer_fidelity"}


def _check_types(row: Mapping[str, Any]) -> None:
    for name, value in row.items():
        wanted: Any = str if name in _TEXTS else (dict, list) if name in _NESTED else (int, float)
        is_open = value is None and name in ("stop_at", "verdict", "confidence")
        if not is_open and (isinstance(value, bool) or not isinstance(value, wanted)):
            raise TypeError(f"{name} cannot be {value!r:.60}")


def certificate_words(certificate: Certificate) -> str:
    """Say in one line how far a proxy can be trusted."""
    advice = _ADVICE[certificate.grade]
    what = "certificate of the screening" if certificate.of == "screening" else "certificate"
    return (
        f"{what}: {certificate.grade}, tau {interval_words(certificate.kendall)} with {certificate.factor} x "
        f"longer training over {len(certificate.networks)} networks: {advice}"
    )


def words_of_run(run: Path) -> str | None:
    """Say how far a run's proxy and its screening can be trusted, None where nobody has validated them."""
    found = [read_certificate(run, of) for of in CERTIFICATE_FILES]
    return "; ".join(certificate_words(one) for one in found if one is not None) or None


def interval_words(interval: Interval) -> str:
    """Write a correlation and its interval as ".31 (.02 to .55)"."""
    return f"{_short(interval.value)} ({_short(interval.low)} to {_short(interval.high)})"


def _short(correlation: float) -> str:
    text = f"{correlation + 0.0:.2f}"
    return "0" if float(text) == 0 else text.replace("0.", ".", 1)
