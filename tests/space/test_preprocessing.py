"""How an image becomes an input, as a value."""

import dataclasses
import json
from typing import Any

import pytest

from effsearch.space.errors import SpecError
from effsearch.space.preprocessing import Preprocessing, preprocessing_from
from effsearch.space.spec import BlockSpec, ModelSpec, StageSpec

PREPROCESSING = Preprocessing(
    class_names=('quo"te\\', "new\nline", "日本\udc80"),
    mean=(0.1, 1 / 3, 0.5),
    std=(0.2, 0.25, 1e-3),
    stored_resolution=32,
    resolution=16,
    data="photos",
    data_fingerprint="ab12",
)


def test_it_comes_back_from_its_text_exactly_whatever_the_names() -> None:
    text = PREPROCESSING.to_json()
    assert text.isascii()
    assert "\n" not in text
    assert preprocessing_from(json.loads(text)) == PREPROCESSING


def test_it_suits_networks_of_its_classes_and_size_alone() -> None:
    spec = ModelSpec(
        stages=(StageSpec(out_channels=8, stride=2, blocks=(BlockSpec(),)),), num_classes=3, resolution=16
    )
    assert PREPROCESSING.suits(spec)
    assert not PREPROCESSING.suits(dataclasses.replace(spec, num_classes=4))
    assert not PREPROCESSING.suits(dataclasses.replace(spec, resolution=32))


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("class_names", ["one"], "at least two names"),
        ("class_names", ["one", 2], "at least two names"),
        ("class_names", "cats", "class_names must be a list, got 'cats'"),
        ("mean", [0.5, 0.5], "mean must be three numbers"),
        ("mean", [0.5, 0.5, "0.5"], "mean must be three numbers"),
        ("std", [0.5, float("nan"), 0.5], "std must be three numbers"),
        ("std", [0.5, 0.0, 0.5], "std must be above 0"),
        ("resolution", True, "resolution must be a whole number of pixels"),
        ("stored_resolution", 0, "stored_resolution must be a whole number of pixels"),
        ("data", None, "must be text"),
    ],
)
def test_what_does_not_hold_is_refused(name: str, value: Any, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        preprocessing_from(PREPROCESSING.to_values() | {name: value})


@pytest.mark.parametrize("values", [None, [], {}, {"mean": [0, 0, 0]}])
def test_something_else_is_refused(values: object) -> None:
    with pytest.raises(SpecError, match="preprocessing must have class_names, mean, std"):
        preprocessing_from(values)
