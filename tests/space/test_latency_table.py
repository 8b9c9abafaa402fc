import dataclasses
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from effsearch.space.anchors import anchor_sizes, make_anchor
from effsearch.space.budget import Budget
from effsearch.space.cost import count_cost, layers_cost, part_costs
from effsearch.space.errors import BudgetError, UsageError
from effsearch.space.latency_table import (
    LatencyTable,
    block_signature,
    from_json,
    network_blocks,
    part_latencies,
    to_json,
)
from effsearch.space.screening import draw_inside, sample_points, screen
from effsearch.space.search_space import SearchSpace
from effsearch.space.shipped_spaces import load_shipped_space, shipped_space_names
from effsearch.space.space_blocks import blocks_of, space_blocks
from effsearch.space.space_text import space_from_yaml
from effsearch.space.spec import ModelSpec

MakeTable = Callable[..., LatencyTable]
CONDITIONS = {
    "runtime": "torch",
    "version": "2",
    "device": "cpu",
    "num_threads": 1,
    "batch_size": 1,
    "machine": "a machine",
}

# Strides, stems, heads and unlike layers are all choices here, which no shipped space has.
ODD = """\
schema_version: 1
name: odd
stem: {out_channels: [8, 16], stride: [1, 2], has_max_pool: [false, true]}
stages:
  - {stride: [1, 2, 3], channels: [8, 16, 24], repeats: [1, 2, 5], kind: [mbconv, basic, conv, bottleneck],
     se_ratio: [0, 0.25], skip: [none, pool], expand_ratio: [1, 2.3]}
  - {channels: [16, 24], layers: [{any_of: [{kind: identity}, {kind: mbconv, expand_ratio: [1, 6]}]},
                                  {kind: [identity, fused_mbconv]}, {kind: basic, kernel_size: [1, 3]}]}
head: {out_channels: [0, 64], hidden_features: [0, 32]}
"""


def load(name: str) -> SearchSpace:
    return space_from_yaml(ODD) if name == "odd" else load_shipped_space(name)


def specs_of(space: SearchSpace, number: int) -> tuple[np.ndarray[Any, Any], list[ModelSpec]]:
    points = sample_points(space, number, rng=np.random.default_rng(0))
    return points, [space.spec_at(point, resolution=32, num_classes=10) for point in points.tolist()]


@pytest.mark.parametrize("name", [*shipped_space_names(), "odd"])
def test_a_spaces_blocks_are_those_of_its_networks(name: str) -> None:
    space = load(name)
    known = space_blocks(space, resolution=32, num_classes=10)
    _, specs = specs_of(space, 60)
    for signature, block in blocks_of(specs).items():
        assert layers_cost(known[signature]) == layers_cost(block)


@pytest.mark.parametrize("name", [*shipped_space_names(), "odd"])
def test_many_networks_are_predicted_as_each_by_itself(name: str, make_table: MakeTable) -> None:
    space = load(name)
    table = make_table(space)
    points, specs = specs_of(space, 60)
    costs = screen(space, points, resolution=32, num_classes=10, table=table)
    assert [costs.at(index) for index in range(len(specs))] == [count_cost(spec, table) for spec in specs]
    without = screen(space, points, resolution=32, num_classes=10)
    assert without.latency_nanoseconds is None
    assert np.array_equal(without.multiply_adds, costs.multiply_adds)


@pytest.mark.parametrize("seed", range(12))
def test_parts_add_up_to_the_prediction_to_the_nanosecond(
    seed: int, random_spec: Callable[[np.random.Generator], ModelSpec], make_table: MakeTable
) -> None:
    spec = random_spec(np.random.default_rng(seed))
    table = make_table(specs=[spec])
    parts = part_latencies(spec, table)
    assert list(parts) == list(part_costs(spec))
    assert sum(parts.values()) == table.predict(spec) == count_cost(spec, table).latency_nanoseconds
    assert {part: cost.latency_nanoseconds for part, cost in part_costs(spec, table).items()} == parts
    assert table.predict(spec) == sum(
        table.nanoseconds[block_signature(block)] for _, block in network_blocks(spec)
    )


def test_a_block_is_known_by_what_its_time_can_hang_on() -> None:
    space = load("nas-bench-macro")
    block = next(iter(space_blocks(space, resolution=32, num_classes=10).values()))
    moved = [dataclasses.replace(layer, scope="elsewhere", drop_rate=0.3) for layer in block]
    assert block_signature(moved) == block_signature(block)
    for name, value in (
        ("in_size", 64),
        ("out_size", 64),
        ("kernel_size", 7),
        ("stride", 3),
        ("activation", "gelu"),
        ("in_channels", 24),
        ("out_channels", 48),
        ("groups", 2),
    ):
        other = [dataclasses.replace(block[0], **{name: value}), *block[1:]]
        assert block_signature(other) != block_signature(block), name


def test_a_table_without_a_block_says_which(make_table: MakeTable, b0: ModelSpec) -> None:
    table = make_table(load("nas-bench-macro"))
    assert not table.knows(b0)
    with pytest.raises(UsageError, match=r"no time for conv 3>32 k3 s2 swish 224>112: measure one"):
        table.predict(b0)


def test_predictions_are_held_below_the_bound_by_the_tables_error(make_table: MakeTable) -> None:
    space = load("nas-bench-macro")
    assert make_table(space, error=0.0).held_to(5_000_000) == 5_000_000
    assert make_table(space, error=0.05).held_to(5_000_000) == int(5_000_000 / 1.064)
    assert make_table(space, error=0.05).held_to(1) == 1


def test_a_table_comes_back_from_its_text(make_table: MakeTable) -> None:
    table = make_table(load("nas-bench-macro"))
    again = from_json(to_json(table), source="here")
    assert dataclasses.asdict(again) == dataclasses.asdict(table)
    assert again.fingerprint == table.fingerprint
    assert make_table(load("nas-bench-macro"), error=0.06).fingerprint != table.fingerprint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 2}, "here: schema_version must be 1, got 2"),
        ({"nanoseconds": {}}, "nanoseconds must be whole numbers by block, above zero"),
        ({"nanoseconds": {"a": 1.5}}, "nanoseconds must be whole numbers by block, above zero"),
        ({"nanoseconds": {"a": 0}}, "nanoseconds must be whole numbers by block, above zero"),
        ({"nanoseconds": {"a": True}}, "nanoseconds must be whole numbers by block, above zero"),
        ({"nanoseconds": [1]}, "here is no latency table"),
        ({"error": -1}, "error must be at least 0, got -1"),
        ({"error": float("nan")}, "here is no latency table .NaN is no number"),
        ({"nanoseconds": {"a": 10**30}}, "and at most eleven days"),
        ({"raw_error": "much"}, "here is no latency table"),
        ({"processor_share": None}, "here is no latency table"),
        ({"num_networks": "many"}, "num_networks must be a whole number, got 'many'"),
        ({"time": 3}, "must be texts, got 3"),
        (
            {"conditions": CONDITIONS | {"num_threads": "one"}},
            "num_threads must be a whole number above zero",
        ),
        (
            {"conditions": CONDITIONS | {"batch_size": 0}},
            "batch_size must be a whole number above zero, got 0",
        ),
        ({"conditions": CONDITIONS | {"machine": None}}, "must be texts, got None"),
        ({"error": "much"}, "here is no latency table"),
        ({"conditions": {"runtime": "torch"}}, "here is no latency table"),
        ({"more": 1}, "here is no latency table"),
    ],
)
def test_what_is_no_table_is_refused(change: dict[str, Any], message: str, make_table: MakeTable) -> None:
    record = json.loads(to_json(make_table(load("nas-bench-macro")))) | change
    with pytest.raises(UsageError, match=message):
        from_json(json.dumps(record), source="here")


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"schema_version": 1}'])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="here is no latency table"):
        from_json(text, source="here")


def test_draws_keep_to_a_bound_on_latency(make_table: MakeTable) -> None:
    space = load("nas-bench-macro")
    table = make_table(space)
    budget = Budget(latency_nanoseconds=1_000_000, multiply_adds=60_000_000, latency_table=table)
    points = draw_inside(space, budget, 200, resolution=32, num_classes=10, rng=np.random.default_rng(0))
    specs = [space.spec_at(point, resolution=32, num_classes=10) for point in points.tolist()]
    assert all(table.predict(spec) <= 1_000_000 for spec in specs)
    assert all(budget.allows(count_cost(spec, table)) for spec in specs)
    outside = [spec for spec in specs_of(space, 200)[1] if table.predict(spec) > 1_000_000]
    assert outside
    assert not any(budget.allows(count_cost(spec, table)) for spec in outside)


def test_a_bound_out_of_reach_names_the_least_latency(make_table: MakeTable) -> None:
    space = load("nas-bench-macro")
    table = make_table(space)
    least = min(table.predict(spec) for spec in specs_of(space, 4_000)[1])
    budget = Budget(latency_nanoseconds=20_000, multiply_adds=60_000_000, latency_table=table)
    with pytest.raises(
        BudgetError, match=r"needs (\d+\.?\d*) us of predicted latency \(allowed 20 us\)"
    ) as refused:
        draw_inside(space, budget, 1, resolution=32, num_classes=10, rng=np.random.default_rng(0))
    assert float(str(refused.value).split("needs ")[1].split()[0]) * 1000 <= 1.001 * least  # four digits


def test_known_networks_are_shrunk_until_their_prediction_fits(make_table: MakeTable) -> None:
    space = load("nas-bench-macro")
    table = make_table(space)
    sizes = anchor_sizes(resolution=32, num_classes=10)
    assert all(table.knows(spec) for spec in sizes)
    whole = table.predict(sizes[0])
    anchor = make_anchor(
        "efficientnet-b0",
        Budget(latency_nanoseconds=whole, latency_table=table),
        resolution=32,
        num_classes=10,
    )
    assert anchor is not None
    assert anchor.phi == 0
    shrunk = make_anchor(
        "efficientnet-b0",
        Budget(latency_nanoseconds=whole - 1, latency_table=table),
        resolution=32,
        num_classes=10,
    )
    assert shrunk is not None
    assert -0.5 <= shrunk.phi < 0  # phi = -0.5 is in every table, and what has the same blocks
    assert table.predict(shrunk.spec) < whole
    tight = Budget(latency_nanoseconds=1, latency_table=table)
    assert make_anchor("efficientnet-b0", tight, resolution=32, num_classes=10) is None
