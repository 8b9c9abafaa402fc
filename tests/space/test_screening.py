import numpy as np
import pytest

from effsearch.space import screening
from effsearch.space.budget import Budget, parse_budget
from effsearch.space.cost import count_cost
from effsearch.space.errors import BudgetError
from effsearch.space.screening import (
    all_points,
    cheapest_point,
    count_blocks,
    draw_inside,
    sample_points,
    screen,
)
from effsearch.space.search_space import SearchSpace
from effsearch.space.shipped_spaces import load_shipped_space, shipped_space_names
from effsearch.space.space_text import space_from_yaml

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


def spaces() -> list[str]:
    return [*shipped_space_names(), "odd"]


def load(name: str) -> SearchSpace:
    return space_from_yaml(ODD) if name == "odd" else load_shipped_space(name)


@pytest.mark.parametrize("resolution", [17, 32, 224])
@pytest.mark.parametrize("name", spaces())
def test_screening_counts_as_the_single_count_does(name: str, resolution: int) -> None:
    space = load(name)
    points = sample_points(space, 60, rng=np.random.default_rng(resolution))
    costs = screen(space, points, resolution=resolution, num_classes=37)
    for index, point in enumerate(points):
        spec = space.spec_at(point, resolution=resolution, num_classes=37)
        assert costs.at(index) == count_cost(spec)


@pytest.mark.parametrize(
    ("name", "budget"),
    [
        ("mbconv", parse_budget("400M-FLOPs")),
        ("mbconv", parse_budget("300M-FLOPs", max_params="4M", max_activations="6M")),
        ("mnasnet", parse_budget("3.5M-params")),
    ],
)
def test_draws_inside_a_budget_are_inside_it(name: str, budget: Budget) -> None:
    space = load(name)
    points = draw_inside(
        space, budget, 300, resolution=224, num_classes=1000, rng=np.random.default_rng(0), least_share=0.8
    )
    assert points.shape == (300, len(space.dimensions))
    costs = screen(space, points, resolution=224, num_classes=1000)
    assert costs.inside(budget).all()
    assert (costs.shares(budget) >= 0.8).all()
    for point in points[:10]:
        assert budget.allows(count_cost(space.spec_at(point, resolution=224, num_classes=1000)))


def test_draws_follow_their_seed() -> None:
    space, budget = load("mbconv"), parse_budget("400M-FLOPs")
    one, same, other = (
        draw_inside(space, budget, 50, resolution=224, num_classes=10, rng=np.random.default_rng(seed))
        for seed in (5, 5, 6)
    )
    assert (one == same).all()
    assert not (one == other).all()


def test_where_the_upper_budget_is_empty_the_whole_of_it_is_drawn_from() -> None:
    space, budget = load("nas-bench-macro"), parse_budget("10G-FLOPs")
    points = draw_inside(
        space, budget, 64, resolution=32, num_classes=10, rng=np.random.default_rng(0), least_share=0.8
    )
    assert len(points) == 64
    assert screen(space, points, resolution=32, num_classes=10).inside(budget).all()


def test_a_budget_that_only_the_cheapest_fits_is_met_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer than one draw in a million million lands there."""
    monkeypatch.setattr(screening, "MAX_DRAWS", 40_000)
    space = load("mbconv")
    lean = cheapest_point(space, resolution=32, num_classes=10)
    least = screen(space, lean[None], resolution=32, num_classes=10).at(0).multiply_adds
    points = draw_inside(
        space,
        Budget(multiply_adds=least),
        3,
        resolution=32,
        num_classes=10,
        rng=np.random.default_rng(0),
    )
    assert screen(space, points, resolution=32, num_classes=10).multiply_adds.tolist() == [least] * 3


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (
            parse_budget("1M-FLOPs"),
            r"^no candidate of mbconv fits: the cheapest needs 115.5M multiply-adds \(allowed 1M\); raise the "
            r"budget, lower --resolution or give a smaller --space$",
        ),
        (parse_budget("1G-FLOPs", max_params="1k"), r"the cheapest needs 2.\d*M parameters \(allowed 1k\)"),
        (parse_budget("1G-FLOPs", max_activations="1k"), r"needs [\d.]*M activations \(allowed 1k\)"),
    ],
)
def test_a_budget_that_nothing_fits_names_what_the_cheapest_needs(budget: Budget, message: str) -> None:
    with pytest.raises(BudgetError, match=message):
        draw_inside(load("mbconv"), budget, 1, resolution=224, num_classes=1000, rng=np.random.default_rng(0))


@pytest.mark.parametrize("measure", ["multiply_adds", "parameters", "activations"])
@pytest.mark.parametrize("name", ["nas-bench-macro", "odd"])
def test_the_cheapest_point_is_the_cheapest(name: str, measure: str) -> None:
    space = load(name)
    points = sample_points(space, 5_000, rng=np.random.default_rng(0))
    costs = getattr(screen(space, points, resolution=32, num_classes=10), measure)
    lean = cheapest_point(space, resolution=32, num_classes=10, measure=measure)
    least = getattr(screen(space, lean[None], resolution=32, num_classes=10).at(0), measure)
    assert least <= costs.min()


def test_all_points_are_each_point_once() -> None:
    space = load("nas-bench-macro")
    points = all_points(space)
    assert points.shape == (6561, 8)
    assert len({tuple(point) for point in points.tolist()}) == 6561


def test_a_space_without_choices_can_be_drawn_listed_and_costed() -> None:
    space = space_from_yaml("schema_version: 1\nname: one\nstages: [{channels: 8, repeats: 2}]\n")
    assert all_points(space).shape == (1, 0)
    costs = screen(space, all_points(space), resolution=32, num_classes=10)
    assert costs.at(0) == count_cost(space.spec_at((), resolution=32, num_classes=10))
    points = draw_inside(
        space, parse_budget("1G-FLOPs"), 4, resolution=32, num_classes=10, rng=np.random.default_rng(0)
    )
    assert points.shape == (4, 0)


@pytest.mark.parametrize("name", spaces())
def test_blocks_are_counted_at_once_as_one_by_one(name: str) -> None:
    space = load(name)
    points = sample_points(space, 60, rng=np.random.default_rng(4))
    expected = [
        sum(block.kind != "identity" for stage in spec.stages for block in stage.blocks)
        for spec in (space.spec_at(point, resolution=32, num_classes=10) for point in points)
    ]
    assert count_blocks(space, points).tolist() == expected
    assert len(set(expected)) > 1
