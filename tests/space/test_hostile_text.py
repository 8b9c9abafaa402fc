# ruff: noqa: PT017 - a text may be sound as well
"""Whatever a text says, a reader gives a sound value or one error of one line, soon and in little memory."""

import json
import time
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from effsearch.space.cost import count_cost
from effsearch.space.errors import SpecError
from effsearch.space.located_yaml import parse_yaml
from effsearch.space.presets import load_preset
from effsearch.space.search_space import SearchSpace
from effsearch.space.space_text import space_from_yaml
from effsearch.space.spec import ModelSpec
from effsearch.space.text import from_json, from_yaml, to_dict, to_json

SPACE: dict[str, Any] = {
    "schema_version": 1,
    "name": "s",
    "tied": {"activation": ["relu", "swish"]},
    "defaults": {"kind": "mbconv", "se_ratio": [0, 0.25]},
    "stem": {"out_channels": 16, "activation": "$activation"},
    "stages": [
        {"base": {"channels": 16, "repeats": 2}, "channels": ["x.75", "x1"], "repeats": [-1, 0, 1]},
        {
            "channels": 24,
            "repeats": 1,
            "any_of": [{"kernel_size": 3, "expand_ratio": [3, 6]}, {"kernel_size": 5}],
        },
        {"stride": 2, "channels": 32, "layers": [{"any_of": [{"kind": "identity"}, {"kind": "conv"}]}]},
    ],
    "head": {"out_channels": 64},
}
QUICK = settings(
    max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), database=None
)
numbers = st.sampled_from(
    [0, -1, 1, 7, 1024, 65_537, 2**63, 10**30, 0.5, 1e-300, 1e300, float("nan"), float("inf")]
)
words = st.sampled_from(
    ["", "x", "x1e400", "x.5", "$activation", "$gone", "\x00", "\x1b[31m", "\ud800", "NaN", "a" * 9999]
)
leaves = st.none() | st.booleans() | numbers | words | st.text(max_size=8)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)


def changed(content: Any, data: st.DataObject) -> Any:
    """Put a value of hypothesis's somewhere, or take something out."""
    holder = content
    while True:
        keys: list[Any] = list(holder) if isinstance(holder, dict) else list(range(len(holder)))
        key = data.draw(st.sampled_from(keys))
        inner = holder[key]
        if not isinstance(inner, dict | list) or not inner or data.draw(st.booleans()):
            break
        holder = inner
    if data.draw(st.booleans()):
        holder[key] = data.draw(values)
    else:
        del holder[key]
    return content


@QUICK
@given(st.data())
def test_a_changed_spec_is_sound_or_refused_in_one_line(data: st.DataObject) -> None:
    content = changed(to_dict(load_preset("mobilenet-v3-small")), data)
    try:
        spec = from_json(json.dumps(content), source="net.json")
    except SpecError as error:
        assert str(error).startswith("net.json, line ") or "not YAML" in str(error)
        assert "\n" not in str(error)
    else:
        assert isinstance(spec, ModelSpec)
        assert from_json(to_json(spec)) == spec
        assert count_cost(spec).multiply_adds >= 0


@QUICK
@given(st.data())
def test_a_changed_space_is_sound_or_refused_in_one_line(data: st.DataObject) -> None:
    content = changed(json.loads(json.dumps(SPACE)), data)
    try:
        space = space_from_yaml(json.dumps(content), source="space.yaml")
    except SpecError as error:
        assert str(error).startswith("space.yaml")
        assert "\n" not in str(error)
    else:
        assert isinstance(space, SearchSpace)
        assert space.size >= 1


@QUICK
@given(st.binary(max_size=60), st.integers(0, 400), st.integers(0, 60))
def test_a_damaged_text_is_sound_or_refused_in_one_line(put: bytes, place: int, num_cut: int) -> None:
    text = to_json(load_preset("resnet-18")).encode()
    damaged = (text[:place] + put + text[place + num_cut :]).decode(errors="replace")
    for read in (from_json, from_yaml, space_from_yaml):
        try:
            read(damaged)
        except SpecError as error:
            assert "\n" not in str(error)


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 12)
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "too many or too deeply nested values"),
        ("&a [*a]", "too many or too deeply nested values"),
        ("[" * 500_000, "too many or too deeply nested values"),
        ("- " * 400_000, "too many or too deeply nested values"),
        ("{a: " * 200_000, "too many or too deeply nested values"),
        ("a:\n" * 300_000, "too many or too deeply nested values|stands twice"),
        ("x" * 2_000_000, "characters are too many"),
        ("!!python/object/apply:os.system ['true']", "tags such as"),
        ("a: !!python/name:os.system", "tags such as"),
        ("a: !!binary aGk=", "tags such as"),
        ("a: \ud800", "not YAML"),
        ("a: 1\na: 2", "key 'a' stands twice"),
        ("a: 0x10", "is not a plain decimal number"),
        ("a: " + "9" * 100_000, r"'9{59}\.\.\. is not a plain decimal number"),
    ],
)
def test_what_would_grow_or_run_is_refused_at_once(text: str, message: str) -> None:
    before = time.process_time()
    with pytest.raises(SpecError, match=message) as refused:
        parse_yaml(text, source="f")
    assert time.process_time() - before < 1
    assert len(str(refused.value)) < 300


def test_a_network_of_too_many_blocks_is_refused_while_it_is_read() -> None:
    stage = {"out_channels": 8, "stride": 1, "blocks": [{"repeats": 1024}]}
    content = to_dict(load_preset("resnet-18")) | {"stages": [stage] * 5_000}
    with pytest.raises(SpecError, match=r"stages\[2\]: a network has at most 1024 blocks"):
        from_json(json.dumps(content))


def test_a_space_of_too_many_stages_is_refused_before_a_network_is_built() -> None:
    content = SPACE | {"stages": [{"channels": 8, "repeats": 1024}] * 5_000}
    with pytest.raises(SpecError, match="5,000 stages are too many; at most 1,024"):
        space_from_yaml(json.dumps(content))


def test_choices_are_bounded_over_all_blocks_together() -> None:
    stage = {
        "channels": 8,
        "repeats": 1,
        "kernel_size": [1, 3, 5, 7, 9, 11],
        "expand_ratio": [1, 2, 3, 4, 5, 6],
    }
    content = SPACE | {"stages": [stage | {"se_ratio": [0.1, 0.2, 0.3, 0.4]}] * 200}
    with pytest.raises(SpecError, match="over 20,000 combinations of choices in its blocks are too many"):
        space_from_yaml(json.dumps(content))


@pytest.mark.parametrize("name", ["", " ", "a\x1b[31m", "a" * 101, 7, ["a"], None])
def test_a_space_has_a_name_that_can_be_shown(name: object) -> None:
    with pytest.raises(SpecError, match="name: must be a name of 1 to 100 printable characters"):
        space_from_yaml(json.dumps(SPACE | {"name": name}))


def test_a_label_can_be_shown_too() -> None:
    stage = {
        "channels": 8,
        "repeats": 1,
        "any_of": [{"label": "a\u202eb", "kernel_size": 3}, {"kernel_size": 5}],
    }
    with pytest.raises(SpecError, match="label: must be a name of 1 to 100 printable characters"):
        space_from_yaml(json.dumps(SPACE | {"stages": [stage]}))
