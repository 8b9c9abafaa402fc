from __future__ import annotations

import numpy as np
import pytest

from effsearch.proxy_train.data import rows
from effsearch.proxy_train.data.rows import channel_statistics, fingerprint_of, permute_rows


@pytest.mark.parametrize("seed", range(4))
def test_rows_are_permuted_in_place(seed: int) -> None:
    rng = np.random.default_rng(seed)
    array = rng.integers(0, 256, (50, 3), dtype=np.uint8)
    order = rng.permutation(50)
    expected = array[order]
    permute_rows(array, order)
    np.testing.assert_array_equal(array, expected)


def test_channel_statistics_are_those_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows, "ROWS_AT_ONCE", 3)
    images = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3), dtype=np.uint8)
    mean, deviation = channel_statistics(images)
    np.testing.assert_allclose(mean, images.mean(axis=(0, 1, 2)) / 255)
    np.testing.assert_allclose(deviation, images.std(axis=(0, 1, 2)) / 255)


def test_a_fingerprint_follows_everything_but_images_left_out() -> None:
    labels, digests = np.array([0, 1, 0, 1]), np.arange(8, dtype=np.uint8).reshape(4, 2)
    counts = {"train": 1, "val": 1, "test": 1, "left_out": 1}
    base = fingerprint_of(("a", "b"), 32, counts, labels, digests)
    assert len(base) == 64
    others = [
        fingerprint_of(("a", "c"), 32, counts, labels, digests),
        fingerprint_of(("a", "b"), 33, counts, labels, digests),
        fingerprint_of(("a", "b"), 32, counts | {"train": 2, "val": 0}, labels, digests),
        fingerprint_of(("a", "b"), 32, counts, 1 - labels, digests),
        fingerprint_of(("a", "b"), 32, counts, labels, digests[::-1]),
    ]
    assert len({base, *others}) == 6
    digests[3] = labels[3] = 0
    assert fingerprint_of(("a", "b"), 32, counts, labels, digests) == base
