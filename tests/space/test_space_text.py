import textwrap

import pytest

from effsearch.space import space_text
from effsearch.space.errors import SpecError
from effsearch.space.search_space import SearchSpace
from effsearch.space.space_text import space_from_yaml

SMALL = """\
schema_version: 1
name: small
tied: {activation: [relu, swish]}
defaults: {activation: $activation, kernel_size: [3, 5]}
stem: {out_channels: 16, activation: $activation}
stages:
  - {stride: 1, channels: 16, repeats: 1}
  - {stride: 2, base: {channels: 40, repeats: 2}, channels: [x.75, x1, x1.25], repeats: [-1, 0, +1]}
head: {out_channels: 64}
"""


def choices(space: SearchSpace) -> dict[str, tuple[str | int | float, ...]]:
    return {dimension.name: dimension.labels for dimension in space.dimensions}


def stages(*rows: str) -> SearchSpace:
    text = "schema_version: 1\nname: s\nstages:\n" + "".join(f"  - {row}\n" for row in rows)
    return space_from_yaml(text)


def test_the_example_in_the_docstring_is_a_space() -> None:
    example = textwrap.dedent(str(space_text.__doc__).split("\n\n")[1])
    space = space_from_yaml(example)
    assert (space.name, space.resolution, space.num_classes) == ("mine", 224, None)
    assert choices(space) == {
        "activation": ("relu", "swish"),
        "stage1.channels": (24, 32),  # x.75 is 18, and 16 would be more than a tenth less: 24
        "stage1.repeats": (1, 2, 3),
        "stage1.se_ratio": (0, 0.25),
        "stage2.any_of": ("k3 e3", "k3 e6", "k5 e6"),
        "stage2.repeats": (1, 2),
        "stage2.se_ratio": (0, 0.25),
        "stage3.layer1.any_of": ("identity", "mbconv"),
        "stage3.layer1.se_ratio": (0, 0.25),
        "stage3.layer2.se_ratio": (0, 0.25),
    }


def test_choices_become_dimensions_in_their_order() -> None:
    assert choices(space_from_yaml(SMALL)) == {
        "activation": ("relu", "swish"),
        "stage1.kernel_size": (3, 5),
        "stage2.channels": (32, 40, 48),
        "stage2.repeats": (1, 2, 3),
        "stage2.kernel_size": (3, 5),
    }


def test_a_tied_choice_is_one_decision_everywhere() -> None:
    space = space_from_yaml(SMALL)
    for index, activation in enumerate(("relu", "swish")):
        spec = space.spec_at((index, 0, 0, 0, 0), resolution=32, num_classes=10)
        found = {block.activation for stage in spec.stages for block in stage.blocks}
        assert found | {spec.stem.activation} == {activation}


def test_relative_values_are_resolved_against_the_base() -> None:
    space = space_from_yaml(SMALL)
    spec = space.spec_at((0, 0, 2, 2, 1), resolution=32, num_classes=10)
    assert (spec.stages[1].out_channels, spec.stages[1].num_blocks) == (48, 3)
    assert spec.stages[1].blocks[0].kernel_size == 5


def test_relative_values_that_come_to_one_are_one_choice() -> None:
    space = stages("{base: {channels: 16, repeats: 1}, channels: [x.9, x1, x1.1]}")
    assert space.size == 1
    assert space.spec_at((), resolution=8, num_classes=2).stages[0].out_channels == 16


def test_alternatives_with_lists_inside_are_unfolded() -> None:
    space = stages(
        "{channels: 8, repeats: 1, any_of: [{kind: conv}, {kernel_size: 5, expand_ratio: [3, 6]}]}"
    )
    assert choices(space) == {"stage1.any_of": ("conv", "k5 e3", "k5 e6")}
    blocks = [space.spec_at((index,), resolution=8, num_classes=2).stages[0].blocks[0] for index in range(3)]
    assert [(block.kind, block.kernel_size, block.expand_ratio) for block in blocks] == [
        ("conv", 3, 1.0),
        ("mbconv", 5, 3.0),
        ("mbconv", 5, 6.0),
    ]


def test_alternatives_may_hold_channels_and_repeats() -> None:
    space = stages(
        "{stride: 2, base: {channels: 40, repeats: 2}, "
        "any_of: [{channels: x1, repeats: 0}, {channels: 80, repeats: +1, stride: 1}]}"
    )
    found = [space.spec_at((index,), resolution=8, num_classes=2).stages[0] for index in range(2)]
    assert [(stage.out_channels, stage.num_blocks, stage.stride) for stage in found] == [
        (40, 2, 2),
        (80, 3, 1),
    ]


def test_an_alternative_takes_what_it_leaves_out_from_the_stage_and_the_defaults() -> None:
    text = """
        schema_version: 1
        name: s
        defaults: {kernel_size: 7, activation: relu}
        stages:
          - {channels: 8, repeats: 1, expand_ratio: 4,
             any_of: [{kind: mbconv}, {kernel_size: 3, expand_ratio: 2, activation: gelu}]}
    """
    space = space_from_yaml(text)
    blocks = [space.spec_at((index,), resolution=8, num_classes=2).stages[0].blocks[0] for index in range(2)]
    found = [(block.kernel_size, block.expand_ratio, block.activation) for block in blocks]
    assert found == [(7, 4.0, "relu"), (3, 2.0, "gelu")]


def test_alternatives_may_be_labelled() -> None:
    space = stages(
        "{channels: 8, repeats: 1, any_of: [{label: 0, kind: conv}, {label: b, expand_ratio: [3, 6]}]}"
    )
    assert choices(space) == {"stage1.any_of": ("0", "b e3", "b e6")}


def test_layers_stand_side_by_side_and_choose_for_themselves() -> None:
    space = stages(
        "{stride: 2, channels: 16, kernel_size: 5, layers: "
        "[{kind: conv, kernel_size: 3}, {any_of: [{kind: identity}, {kind: basic}]}]}"
    )
    assert choices(space) == {"stage1.layer2.any_of": ("identity", "basic")}
    blocks = space.spec_at((1,), resolution=8, num_classes=2).stages[0].blocks
    assert [(block.kind, block.kernel_size) for block in blocks] == [("conv", 3), ("basic", 5)]


def test_stem_and_head_may_choose_too() -> None:
    text = SMALL.replace("head: {out_channels: 64}", "head: {out_channels: [64, 128]}").replace(
        "stem: {out_channels: 16", "stem: {out_channels: [16, 24]"
    )
    space = space_from_yaml(text)
    assert choices(space)["stem.out_channels"] == (16, 24)
    assert choices(space)["head.out_channels"] == (64, 128)


def test_a_space_without_choices_has_one_point() -> None:
    assert stages("{channels: 8, repeats: 2}").size == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("schema_version: 1", "schema_version: 3", "s.yaml, line 1: schema_version: .* must be 1, got 3"),
        ("name: small\n", "", "line 1: name is missing"),
        ("name: small", "nme: small", "line 2: nme: unknown key 'nme'; did you mean 'name'"),
        (
            "name: small",
            "name: small\nresolution: big",
            "line 3: resolution: must be a whole number above zero",
        ),
        (
            "name: small",
            "name: small\nnum_classes: 0",
            "line 3: num_classes: must be a whole number above zero",
        ),
        (
            "name: small",
            "name: small\nresolution: 9999",
            "line 3: resolution: resolution must be a whole number",
        ),
        (
            "name: small",
            "name: small\nfixed_strides: 1",
            "line 3: fixed_strides: must be true or false, got 1",
        ),
        (
            "name: small",
            "name: small\ndrop_path_rate: 2",
            "line 3: drop_path_rate: drop_path_rate must be a num",
        ),
        ("tied: {activation: [relu, swish]}", "tied: [relu]", "line 3: tied: must be a mapping, got a list"),
        ("[relu, swish]", "[relu, tanh]", "line 5: stem.activation: activation must be one of"),
        ("[relu, swish]", "[relu, relu]", "line 3: tied.activation: a choice stands twice"),
        ("[relu, swish]", "[]", "line 3: tied.activation: the list of choices is empty"),
        (
            "[relu, swish]",
            "[[relu], swish]",
            r"line 3: tied.activation\[1\]: must be a single value, got a list",
        ),
        ("[relu, swish]", "[~, swish]", r"line 3: tied.activation\[1\]: must be a single value, got None"),
        ("[3, 5]", "[3, 4]", r"line 7: stages\[1\].kernel_size: kernel_size must be odd, got 4"),
        ("kernel_size: [3, 5]", "kernel: [3, 5]", "line 4: defaults.kernel: .*mean 'kernel_size'"),
        ("kernel_size: [3, 5]", "kernel_size: {a: 1}", "kernel_size: must be a value or a list of choices"),
        (
            "activation: $activation, k",
            "activation: $act, k",
            r"line 7: stages\[1\].activation: \$act is not among the tied choices: activation",
        ),
        ("{out_channels: 64}", "{out_chan: 64}", "line 9: head.out_chan: .*mean 'out_channels'"),
        (
            "{out_channels: 64}",
            "{out_channels: x1}",
            "line 9: head.out_channels: out_channels must be a whole",
        ),
        ("channels: 16, repeats", "repeats", r"line 7: stages\[1\]: channels is missing"),
        ("channels: 16, repeats: 1", "channels: 16", r"line 7: stages\[1\]: repeats is missing"),
        ("stride: 1", "stride: 9", r"line 7: stages\[1\].stride: stride must be a whole number from 1 to 4"),
        ("channels: 16, r", "channels: x1, r", r"line 7: stages\[1\].channels: x1 needs base: {channels: "),
        (
            "channels: 16, r",
            "channels: 1x, r",
            r"stages\[1\].channels: channels must be a number or xN, got '1x'",
        ),
        ("channels: 16, r", "channels: 0, r", r"stages\[1\].channels: out_channels must be a whole number"),
        (
            "repeats: 1}",
            "repeats: 0}",
            r"stages\[1\].repeats: repeats must come to a whole number of at least 1",
        ),
        ("repeats: 1}", "repeats: two}", r"repeats must come to a whole number of at least 1, got 'two'"),
        ("[x.75, x1", "[xbig, x1", r"line 8: stages\[2\].channels: cannot read 'xbig': write it like x0.75"),
        ("[x.75, x1", "[x-1, x1", "cannot read 'x-1': write it like x0.75"),
        ("[x.75, x1", "[xnan, x1", "cannot read 'xnan': write it like x0.75"),
        ("[-1, 0, +1]", "[-2, 0]", r"line 8: stages\[2\].repeats: repeats must come to .* got 0"),
        ("[-1, 0, +1]", "[.5, 0]", r"line 8: stages\[2\].repeats: an offset must be a whole number, got 0.5"),
        (
            "repeats: 2}",
            "repeats: many}",
            r"line 8: stages\[2\].base.repeats: must be a whole number above zero",
        ),
        (
            "repeats: 2}",
            "repeats: [1, 2]}",
            r"line 8: stages\[2\].base.repeats: must be a whole number above",
        ),
        (
            "channels: 40",
            "channels: -40",
            r"line 8: stages\[2\].base.channels: must be a whole number above zero",
        ),
        ("base: {", "base: {stride: 2, ", r"line 8: stages\[2\].base.stride: unknown key 'stride'"),
        ("channels: 16, r", "channel: 16, r", r"line 7: stages\[1\].channel: .*did you mean 'channels'"),
        ("repeats: 1}", "repeats: 1, layers: []}", r"line 7: stages\[1\].layers: layers stand by themselves"),
        ("repeats: 1}", "repeats: 600}", "a network has at most|repeats"),
    ],
)
def test_errors_name_file_line_and_place(old: str, new: str, message: str) -> None:
    assert SMALL.count(old) == 1
    text = SMALL.replace(old, new)
    if "600" in new:
        text = text.replace("[-1, 0, +1]", "[-1, 600]")
        message = "^s.yaml, line 1: a network has at most 1024 blocks, got 1202$"
    with pytest.raises(SpecError, match=message):
        space_from_yaml(text, source="s.yaml")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("{channels: 8, repeats: 1, any_of: {kind: conv}}", "must be a list of mappings, got a mapping"),
        ("{channels: 8, repeats: 1, any_of: []}", "must be a list of mappings, got a list"),
        ("{channels: 8, repeats: 1, any_of: [conv]}", r"any_of\[1\]: must be a mapping, got 'conv'"),
        ("{channels: 8, repeats: 1, any_of: [{knd: conv}]}", r"any_of\[1\].knd: .*did you mean 'kind'"),
        ("{channels: 8, repeats: 1, any_of: [{kind: conv}, {kind: conv}]}", "two alternatives are the same"),
        ("{channels: 8, repeats: 1, any_of: [{kind: []}]}", r"any_of\[1\]: the list of choices is empty"),
        ("{channels: 8, repeats: 1, any_of: [{activation: $x}]}", "a tied choice cannot stand inside any_of"),
        (
            "{channels: 8, repeats: 1, kernel_size: [3, 5], any_of: [{kernel_size: 7}, {kind: conv}]}",
            "alternative 2 needs its own kernel_size, which others here choose",
        ),
        (
            "{repeats: 1, any_of: [{channels: 8}, {kind: conv}]}",
            "alternative 2 needs its own channels, which others here choose",
        ),
        ("{channels: 8, layers: conv}", "must be a list of layers, got 'conv'"),
        ("{channels: 8, layers: []}", "must be a list of layers, got a list"),
        ("{channels: 8, layers: [{stride: 2}]}", r"layers\[1\].stride: unknown key 'stride'"),
        ("{channels: 8, repeats: 2, layers: [{kind: conv}]}", "layers stand by themselves"),
        ("{channels: 8, any_of: [{kind: conv}], layers: [{}]}", "layers stand by themselves"),
        ("{channels: 8, layers: [{kind: konv}]}", r"layers\[1\].kind: kind must be one of"),
        ("conv", "must be a mapping, got 'conv'"),
    ],
)
def test_stage_errors_name_the_line(row: str, message: str) -> None:
    with pytest.raises(SpecError, match=f"space, line 4: stages\\[1\\].*{message}"):
        stages(row)


@pytest.mark.parametrize("value", ["conv", "[]", "{}"])
def test_stages_must_be_a_list(value: str) -> None:
    with pytest.raises(SpecError, match="line 3: stages: must be a list of at least one stage"):
        space_from_yaml(f"schema_version: 1\nname: s\nstages: {value}\n")


def test_very_many_choices_are_refused_before_they_fill_the_memory() -> None:
    many = ", ".join(f"{count}" for count in range(1, 1001))
    with pytest.raises(SpecError, match="1,001 choices are too many; at most 1,000"):
        stages(f"{{channels: [{many}, 1001], repeats: 1}}")
    with pytest.raises(SpecError, match="1,000,000 choices are too many; at most 1,000"):
        stages(f"{{repeats: 1, any_of: [{{channels: [{many}], expanded_channels: [{many}]}}]}}")
    with pytest.raises(SpecError, match=r"stages\[1\]: over 20,000 combinations of choices"):
        stages(f"{{channels: 8, repeats: 1, expanded_channels: [{many}], se_divisor: [{many}]}}")
