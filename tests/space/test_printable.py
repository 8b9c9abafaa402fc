import pytest

from effsearch.space.printable import MOST_SHOWN, one_line, printable


@pytest.mark.parametrize(
    "text",
    ["plain", "Übung 🙂 日本語", "two\nlines\tand a tab", "\u0645\u06cc\u200c\u062e", "[red]x[/red]", ""],
)
def test_what_people_write_is_left_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2J", "\\x1b[2J"),
        ("a\rb", "a\\x0db"),
        ("\x00\x07\x7f\x9b", "\\x00\\x07\\x7f\\x9b"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("\ud800", "\\ud800"),
        ("\u2028", "\\u2028"),
        ("\U000e0001", "\\U000e0001"),
    ],
)
def test_what_a_terminal_would_obey_is_shown_as_what_it_is(text: str, shown: str) -> None:
    assert printable(text) == shown


def test_a_line_is_one_and_no_longer_than_a_screen() -> None:
    assert one_line("a\n b\t c\x1b") == "a b c\\x1b"
    line = one_line("x" * 10_000 + " the end")
    assert len(line) <= MOST_SHOWN + len(" ... ")
    assert line.endswith("the end")
