import pytest

from effsearch.space.strict_json import parse_json


def test_a_text_is_read_as_python_reads_it() -> None:
    text = '{"a": [1, -2.5, 1e3, true, null, "\\u00e9", {}], "b": 123456789012345678901234567890}'
    assert parse_json(text) == {
        "a": [1, -2.5, 1000.0, True, None, "é", {}],
        "b": 123456789012345678901234567890,
    }


def test_bytes_may_begin_with_the_mark_that_editors_write() -> None:
    assert parse_json(b"\xef\xbb\xbf[1]") == [1]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": NaN}', "NaN is no number"),
        ("[-Infinity]", "-Infinity is no number"),
        ("[1e400]", "1e400 is too large for a number"),
        ("[" + "9" * 5000 + "]", "a whole number of 5,000 digits is too long; at most 40"),
        ("[-" + "9" * 41 + "]", "a whole number of 41 digits"),
        ('{"a": {"b": 1, "b": 2}}', "key 'b' stands twice"),
        ('{"' + "a" * 99 + '": 1, "' + "a" * 99 + '": 1}', r"key 'a{30}\.\.\.' stands twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 100_000, "nested too deeply"),
        ("{", "line 1"),
        (b"\xff[]", "utf-8"),
    ],
)
def test_what_says_two_things_or_none_is_refused(text: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_json(text)
