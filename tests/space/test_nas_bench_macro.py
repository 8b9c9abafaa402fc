"""The space file alone has to give what the published table has: see the README of the shared data."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from effsearch.space.canonical import network_hash
from effsearch.space.cost import count_cost
from effsearch.space.screening import all_points, screen
from effsearch.space.shipped_spaces import load_shipped_space

TABLE = (
    Path(os.environ.get("EFFSEARCH_SHARED_DATA", "/nonexistent"))
    / "nas-bench-macro"
    / "nas-bench-macro_cifar10.json"
)

SPACE = load_shipped_space("nas-bench-macro")


@pytest.fixture(scope="module")
def table() -> dict[str, dict[str, Any]]:
    if not TABLE.exists():
        pytest.skip("EFFSEARCH_SHARED_DATA has no nas-bench-macro/nas-bench-macro_cifar10.json")
    read: dict[str, dict[str, Any]] = json.loads(TABLE.read_text())
    return read


def test_all_entries_of_the_table_have_its_flops_and_params(table: dict[str, dict[str, Any]]) -> None:
    points = all_points(SPACE)
    keys = ["".join(str(label) for label in SPACE.labels_at(point).values()) for point in points]
    assert sorted(keys) == sorted(table)
    assert len(keys) == 6561
    costs = screen(SPACE, points, resolution=32, num_classes=10)
    assert costs.multiply_adds.tolist() == [table[key]["flops"] for key in keys]
    assert costs.parameters.tolist() == [table[key]["params"] for key in keys]


def test_single_counts_agree_with_the_table_too(table: dict[str, dict[str, Any]]) -> None:
    for key in ("00000000", "22212220", "21210200", "12012012"):
        labels = {dimension.name: key[index] for index, dimension in enumerate(SPACE.dimensions)}
        cost = count_cost(SPACE.spec_at(SPACE.point_of(labels), resolution=32, num_classes=10))
        assert (cost.multiply_adds, cost.parameters) == (table[key]["flops"], table[key]["params"])


def test_its_6561_points_are_3969_networks() -> None:
    points = all_points(SPACE)
    costs = screen(SPACE, points, resolution=32, num_classes=10)
    hashes = [network_hash(SPACE.spec_at(point, resolution=32, num_classes=10)) for point in points.tolist()]
    assert len(set(hashes)) == 3969
    inside = costs.multiply_adds <= 60_000_000
    assert inside.sum() == 4075
    assert len(set(np.asarray(hashes)[inside])) == 2225
