"""A form and a network's hash are two roads to one answer: are these the same network?"""

from collections.abc import Hashable

import numpy as np
import pytest

from effsearch.space.canonical import network_hash
from effsearch.space.forms import Forms
from effsearch.space.screening import sample_points
from effsearch.space.search_space import SearchSpace
from effsearch.space.shipped_spaces import load_shipped_space, shipped_space_names
from effsearch.space.space_text import space_from_yaml

OFTEN_EQUAL = """
schema_version: 1
name: often-equal
stem: {out_channels: [8, 16], stride: 1}
stages:
  - channels: [8, 16]
    stride: 1
    layers:
      - &layer
        any_of:
          - {label: none, kind: identity}
          - {label: plain, kind: mbconv, expand_ratio: 1, se_ratio: 0.25}
      - *layer
      - *layer
  - {channels: 16, stride: 1, repeats: [1, 2], kind: [mbconv, depthwise_separable], expand_ratio: 1}
head: {out_channels: [0, 32], hidden_features: 0}
"""


def grouped(keys: list[Hashable]) -> list[list[int]]:
    """Give which of them are equal, by their places."""
    places: dict[Hashable, list[int]] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, []).append(place)
    return list(places.values())


def hold(space: SearchSpace, points: list[tuple[int, ...]]) -> list[list[int]]:
    forms = Forms(space)
    found = grouped([forms.at(point) for point in points])
    specs = [space.spec_at(point, resolution=33, num_classes=7) for point in points]
    assert found == grouped([network_hash(spec) for spec in specs])
    return found


@pytest.mark.parametrize("name", shipped_space_names())
def test_points_of_shipped_spaces_have_one_form_where_they_have_one_hash(name: str) -> None:
    space, rng = load_shipped_space(name), np.random.default_rng(0)
    drawn = sample_points(space, 150, rng=rng)
    others = drawn.copy()  # which differ in one choice: some of these change nothing
    for row in others:
        dimension = rng.integers(len(row))
        row[dimension] = rng.integers(len(space.dimensions[dimension].labels))
    found = hold(space, list(map(tuple, np.concatenate([drawn, others]).tolist())))
    assert 150 < len(found) < 300


def test_all_points_of_a_space_whose_networks_are_often_equal() -> None:
    space = space_from_yaml(OFTEN_EQUAL)
    points = list(np.ndindex(*(len(dimension.labels) for dimension in space.dimensions)))
    found = hold(space, points)
    assert len(points) == space.size
    assert len(found) < space.size / 2
    assert max(map(len, found)) >= 6
