"""How is text shown that somebody else wrote: a class's name, a file's, what a run says of itself?

A terminal obeys some characters instead of showing them: escape sequences move the cursor, set the window's title or
hide what was printed, and marks of direction turn words around. They are shown as what they are, `\\x1b`.
"""

import unicodedata

MOST_SHOWN = 2_000  # characters of one line
_SPARED = frozenset("\n\t")
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})
_JOINERS = frozenset("\u200c\u200d")  # of words in Persian and Hindi, and of emoji


def printable(text: str) -> str:
    """Give text of one or several lines in which nothing but a line's end and a tab is left to be obeyed."""
    if text.isprintable():
        return text
    return "".join(one if _is_harmless(one) else _escaped(one) for one in text)


def one_line(text: str, *, most: int = MOST_SHOWN) -> str:
    """Give printable text in one line, with the middle left out where it is longer than a screen."""
    line = printable(" ".join(text.split()))
    if len(line) <= most:
        return line
    end = most // 4
    return f"{line[: most - end]} ... {line[-end:]}"


def _is_harmless(one: str) -> bool:
    if one in _SPARED or one in _JOINERS:
        return True
    return unicodedata.category(one) not in _HIDDEN_CATEGORIES


def _escaped(one: str) -> str:
    code = ord(one)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
