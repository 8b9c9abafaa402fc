import pytest

from effsearch.space.errors import SpecError
from effsearch.space.located_yaml import MAX_TEXT, parse_yaml, show_path


def test_values_remember_their_lines() -> None:
    document = parse_yaml("a: 1\nb:\n  - x\n  - {c: 2}\n", source="f.yaml")
    assert document.value == {"a": 1, "b": ["x", {"c": 2}]}
    assert document.lines[("b", 1, "c")] == 4
    assert str(document.error(("b", 1, "c"), "is odd")) == "f.yaml, line 4: b[2].c: is odd"


def test_a_place_that_is_missing_has_the_line_of_what_holds_it() -> None:
    document = parse_yaml("a: 1\nb:\n  - x\n", source="f.yaml")
    assert str(document.error(("b", 0, "gone"), "is missing")).startswith("f.yaml, line 3: b[1].gone")
    assert str(document.error((), "is bad")) == "f.yaml, line 1: is bad"


def test_places_are_counted_from_one() -> None:
    assert show_path(("stages", 2, "blocks", 0, "kind")) == "stages[3].blocks[1].kind"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("1_000", 1000),
        ("-1", -1),
        ("+1", 1),
        ("0.25", 0.25),
        ("1e-3", 1e-3),
        ("1.0e-5", 1e-5),
        ("true", True),
        ("no", False),
        ("~", None),
        ("swish", "swish"),
        ('"1"', "1"),
        ("x.75", "x.75"),
        ("3x3", "3x3"),
    ],
)
def test_scalars_are_plain_values(text: str, value: object) -> None:
    read = parse_yaml(f"key: {text}", source="f").value["key"]
    assert read == value
    assert type(read) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "f: the file is empty"),
        ("# only a comment\n", "f: the file is empty"),
        ("a: 1\nb: [1,\n", "f, line 3: "),
        ("a: 1\n\tb: 2\n", "f, line 2: "),
        ("a: *gone\n", "f, line 1: found undefined alias"),
        ("a: 1\n---\na: 2\n", "f, line 2: "),
        ("a: \x00\n", "f: not YAML: "),
        ("a: 1\nb: 2\na: 3\n", "f, line 3: key 'a' stands twice"),
        ("a: 1\n? [x]\n: 2\n", "f, line 2: a key must be a word"),
        ("a:\n  0x1F\n", "f, line 2: '0x1F' is not a plain decimal number"),
        ("a: .inf\n", "f, line 1: '.inf' is not a plain decimal number"),
        ("a: 2024-01-01\n", "f, line 1: tags such as .*timestamp"),
        ("[" * 1500, "f: not YAML: |f, line 1: "),
    ],
)
def test_what_is_no_plain_yaml_is_refused_with_its_line(text: str, message: str) -> None:
    with pytest.raises(SpecError, match=message):
        parse_yaml(text, source="f")


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system [echo]",
        "!!python/name:os.system",
        "!!python/tuple [1, 2]",
        "!mine {x: 1}",
        "!mine:int 3",
        "!!set {x, y}",
        "!!binary aGk=",
    ],
)
def test_tags_construct_nothing(value: str) -> None:
    with pytest.raises(SpecError, match=r"f, line 2: tags such as .* are not read"):
        parse_yaml(f"a: 1\nb: {value}\n", source="f")


def test_aliases_are_followed() -> None:
    assert parse_yaml("a: &x {b: 1}\nc: [*x, *x]\n", source="f").value["c"] == [{"b": 1}, {"b": 1}]


def test_an_alias_bomb_is_refused_before_it_goes_off() -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n"
    bomb += "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12))
    with pytest.raises(SpecError, match="too many or too deeply nested values"):
        parse_yaml(bomb, source="f")


def test_an_alias_to_itself_is_refused() -> None:
    with pytest.raises(SpecError, match="too many or too deeply nested values"):
        parse_yaml("a: &a [*a]\n", source="f")


def test_a_huge_text_is_refused_unread() -> None:
    with pytest.raises(SpecError, match="f: 1,000,001 characters are too many; at most 1,000,000"):
        parse_yaml("a" * (MAX_TEXT + 1), source="f")


def test_unknown_keys_name_the_nearest_known_one() -> None:
    document = parse_yaml("kernal_size: 3\n", source="f")
    with pytest.raises(SpecError, match=r"line 1: kernal_size: unknown key .*; did you mean .kernel_size"):
        document.mapping((), document.value, ("kernel_size", "stride"))
    with pytest.raises(SpecError, match="unknown key 'kernal_size'; known are a, b"):
        document.mapping((), document.value, ("a", "b"))
