from collections.abc import Callable
from typing import Any

import pytest

from effsearch.results.certificate import Certificate, CertifiedNetwork, Interval
from effsearch.results.ledger import LedgerEntry

MakeEntry = Callable[..., LedgerEntry]
MakeCertificate = Callable[..., Certificate]


@pytest.fixture
def make_entry() -> MakeEntry:
    def make(**changes: Any) -> LedgerEntry:
        values: dict[str, Any] = {
            "kind": "trial",
            "name": "trial 12",
            "network_hash": "a1b2",
            "data_fingerprint": "data-1",
            "settings_hash": "settings-1",
            "fidelity": {
                "num_images": 5000,
                "num_epochs": 2,
                "resolution": 32,
                "width": 1.0,
                "num_removed_strides": 2,
            },
            "seed": 2**63 + 11,  # seeds are hashes and may need all 64 bits
            "replicate": 0,
            "multiply_adds": 385_814_752,
            "parameters": 5_288_548,
            "activations": 6_600_000,
            "val_accuracy": 0.1 + 0.2,  # not a short decimal
            "val_loss": 1.25,
            "train_seconds": 12.5,
            "failure": "",
            "point": {"stage3.kernel_size": 5, "activation": "swish", "stage1.se_ratio": 0.25},
            "coefficients": {},
            "spec": {"schema_version": 1, "resolution": 224},
            "time": "2025-11-21T09:00:00+00:00",
        }
        if changes.get("failure"):
            values |= {"val_accuracy": None, "val_loss": None}
        return LedgerEntry(**(values | changes))

    return make


@pytest.fixture
def make_certificate() -> MakeCertificate:
    def certified(
        name: str, network: str, proxy: float, longer: float, num_seeds: int = 1
    ) -> CertifiedNetwork:
        return CertifiedNetwork(
            name=name,
            network_hash=network,
            multiply_adds=40_000_000,
            proxy_score=proxy,
            num_seeds=num_seeds,
            longer_accuracy=longer,
        )

    def make(**changes: Any) -> Certificate:
        fidelity = {
            "num_images": 500,
            "num_epochs": 1,
            "resolution": 32,
            "width": 1.0,
            "num_removed_strides": 2,
        }
        values: dict[str, Any] = {
            "factor": 4,
            "networks": (
                certified("trial 7", "a1", 0.52, 0.60, num_seeds=3),
                certified("trial 2", "b2", 0.50, 0.64),
                certified("efficientnet-b0", "c3", 0.41, 0.47),
            ),
            "num_planned": 3,
            "num_failed": 0,
            "kendall": Interval(value=0.31, low=0.02, high=0.55),
            "spearman": Interval(value=0.5, low=-0.1, high=0.9),
            "regret": 0.04,
            "top_regret": 0.07,
            "stopped_by": "networks",
            "stop_at": None,
            "verdict": None,
            "confidence": None,
            "proxy_fidelity": fidelity,
            "longer_fidelity": fidelity | {"num_epochs": 4},
            "seed": 0,
        }
        return Certificate(**(values | changes))

    return make
