import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from effsearch.space.errors import SpecError
from effsearch.space.presets import load_preset, preset_names
from effsearch.space.spec import MAX_BLOCKS, ModelSpec
from effsearch.space.text import SCHEMA_VERSION, from_json, from_yaml, to_dict, to_json, to_yaml

SMALL = """\
schema_version: 1
resolution: 32
num_classes: 10
stem: {out_channels: 16}
stages:
  - out_channels: 16
    stride: 1
    blocks:
      - kind: mbconv
        kernel_size: 3
        repeats: 2
  - {out_channels: 24, stride: 2, blocks: [{kind: conv}]}
head: {out_channels: 64}
"""


@pytest.mark.parametrize("seed", range(60))
def test_json_and_yaml_round_trip_exactly(seed: int, draw_spec: Callable[[int], ModelSpec]) -> None:
    spec = draw_spec(seed)
    assert from_json(to_json(spec)) == spec
    assert from_yaml(to_yaml(spec)) == spec
    assert to_json(from_json(to_json(spec))) == to_json(spec)
    assert to_yaml(from_yaml(to_yaml(spec))) == to_yaml(spec)


@pytest.mark.parametrize("name", preset_names())
def test_presets_round_trip_exactly(name: str) -> None:
    spec = load_preset(name)
    assert from_json(to_json(spec)) == spec
    assert from_yaml(to_yaml(spec)) == spec


def test_texts_carry_the_schema_version(b0: ModelSpec) -> None:
    assert json.loads(to_json(b0))["schema_version"] == SCHEMA_VERSION == 1
    assert yaml.safe_load(to_yaml(b0)) == json.loads(to_json(b0)) == to_dict(b0)


def test_equal_neighbouring_blocks_are_written_once(b0: ModelSpec) -> None:
    repeats = [[block["repeats"] for block in stage["blocks"]] for stage in to_dict(b0)["stages"]]
    assert repeats == [[1], [2], [2], [3], [3], [4], [1]]


def test_fields_left_out_take_their_defaults() -> None:
    spec = from_yaml(SMALL)
    assert [stage.num_blocks for stage in spec.stages] == [2, 1]
    assert (spec.stem.kernel_size, spec.head.dropout_rate, spec.norm_epsilon) == (3, 0.2, 1e-3)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "kernel_size: 3",
            "kernel_size: 4",
            r"net.yaml, line 10: stages\[1\].blocks\[1\].kernel_size: .*odd",
        ),
        ("kind: mbconv", "kind: mbcnv", r"line 9: stages\[1\].blocks\[1\].kind: kind must be one of"),
        ("kernel_size: 3", "kernel: 3", "line 10: .*unknown key 'kernel'; did you mean 'kernel_size'"),
        ("num_classes", "num_clases", "line 3: num_clases: unknown key .*; did you mean 'num_classes'"),
        ("num_classes", "zzz", "line 3: zzz: unknown key 'zzz'; known are schema_version, stem, stages"),
        ("out_channels: 16}", "out_chanels: 16}", r"line 4: stem.out_chanels: .*mean 'out_channels'"),
        ("{out_channels: 64}", "{dropout_rate: 2}", "line 13: head.dropout_rate: dropout_rate must be"),
        ("{out_channels: 64}", "[64]", "line 13: head: must be a mapping, got a list"),
        ("stem: {out_channels: 16}", "stem: 16", "line 4: stem: must be a mapping, got 16"),
        ("resolution: 32", "resolution: 0", "line 2: resolution: resolution must be a whole number"),
        ("resolution: 32\n", "", "line 1: resolution is missing"),
        ("num_classes: 10\n", "", "line 1: num_classes is missing"),
        ("schema_version: 1\n", "", "line 1: schema_version: schema_version must be 1, got none"),
        ("schema_version: 1", "schema_version: 2", "line 1: schema_version: .* must be 1, got 2"),
        ("repeats: 2", "repeats: 0", "line 11: .*repeats must be from 1 to 1024"),
        ("repeats: 2", "repeats: 2.0", "line 11: .*repeats must be from 1 to 1024"),
        ("    stride: 1\n", "", r"line 6: stages\[1\]: stride is missing"),
        ("stride: 2, ", "", r"line 12: stages\[2\]: stride is missing"),
        ("[{kind: conv}]", "{kind: conv}", r"line 12: stages\[2\].blocks: must be a list, got a mapping"),
        ("[{kind: conv}]", "[]", r"line 12: stages\[2\]: a stage has from 1 to 1024 blocks, got 0"),
        ("[{kind: conv}]", "[conv]", r"line 12: stages\[2\].blocks\[1\]: must be a mapping, got 'conv'"),
    ],
)
def test_errors_name_file_line_and_place(old: str, new: str, message: str) -> None:
    assert SMALL.count(old) == 1
    with pytest.raises(SpecError, match=message):
        from_yaml(SMALL.replace(old, new), source="net.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "spec, line 1: must be a mapping, got a list"),
        (
            "schema_version: 1\nresolution: 32\nnum_classes: 1\nstages: 3",
            "line 4: stages: must be a list, got 3",
        ),
        (
            "schema_version: 1\nresolution: 32\nnum_classes: 1\nstages: []",
            "line 1: a network needs at least one",
        ),
    ],
)
def test_texts_of_another_shape_are_refused(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        from_yaml(text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{\n"resolution": 32,\n}', "net.json, line 3: not JSON: "),
        ("resolution: 32", "net.json, line 1: not JSON: "),
        ("", "net.json, line 1: not JSON: Expecting value"),
        (
            "[" * 100_000,
            "net.json, line 1: too many or too deeply nested values: at most 100,000 values, 32 deep",
        ),
        ('{"resolution": ' + "9" * 5000 + "}", "net.json, line 1: '9{59}... is not a plain decimal number"),
    ],
)
def test_what_is_no_json_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        from_json(text, source="net.json")


def test_json_with_tabs_is_json(b0: ModelSpec) -> None:
    assert from_json(json.dumps(to_dict(b0), indent="\t")) == b0
    assert from_json(json.dumps(to_dict(b0), separators=(",", ":"))) == b0


def test_json_errors_name_the_line_too(b0: ModelSpec) -> None:
    text = to_json(b0).replace('"stride": 2', '"stride": 9', 1)
    line = text[: text.index('"stride": 9')].count("\n") + 1
    with pytest.raises(SpecError, match=f"^spec, line {line}: stem.stride: stride must be"):
        from_json(text)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e400", '"3"', "null", "true"])
def test_numbers_that_are_none_are_refused(value: str, b0: ModelSpec) -> None:
    values: dict[str, Any] = to_dict(b0) | {"norm_epsilon": "here"}
    with pytest.raises(SpecError, match="norm_epsilon must be a number from 1e-12 to 1"):
        from_json(json.dumps(values).replace('"here"', value))


def test_very_many_repeats_are_bounded() -> None:
    blocks = ", ".join([f"{{repeats: {MAX_BLOCKS}}}"] * 2)
    with pytest.raises(SpecError, match=r"line 12: stages\[2\].blocks: a stage has at most 1024 blocks"):
        from_yaml(SMALL.replace("[{kind: conv}]", f"[{blocks}]"))
