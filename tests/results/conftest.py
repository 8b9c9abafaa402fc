from collections.abc import Callable
from typing import Any

import pytest

from effsearch.results.ledger import LedgerEntry

MakeEntry = Callable[..., LedgerEntry]


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
