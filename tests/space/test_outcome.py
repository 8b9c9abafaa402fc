from typing import Any

import pytest

from effsearch.space.errors import SpecError
from effsearch.space.outcome import Fidelity, derive_seed


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("num_images", 0, "num_images must be at least 1, got 0"),
        ("num_epochs", -1, "num_epochs must be at least 1, got -1"),
        ("resolution", 0, "resolution must be at least 1, got 0"),
        ("width", 0.0, "width must be above 0 and at most 8, got 0.0"),
        ("width", 9.0, "width must be above 0 and at most 8, got 9.0"),
        ("num_removed_strides", -1, "num_removed_strides must not be negative, got -1"),
    ],
)
def test_fidelities_that_train_nothing_are_refused(field: str, value: Any, message: str) -> None:
    values: dict[str, Any] = {"num_images": 1, "num_epochs": 1, "resolution": 1, field: value}
    with pytest.raises(SpecError, match=message):
        Fidelity(**values)


def test_seeds_hang_on_run_network_and_replicate_alone() -> None:
    seeds = {
        derive_seed(run_seed, network, replicate)
        for run_seed in range(3)
        for network in ("a1b2", "c3d4")
        for replicate in range(3)
    }
    assert len(seeds) == 18
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert derive_seed(0, "a1b2", 0) == 1_313_535_414  # stored in ledgers: a change makes resumes train anew
