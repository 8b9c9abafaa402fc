"""How does a sound text become one that nobody should trust?

Three ways, each drawn from a seeded generator: bytes are flipped, cut, doubled and put in; a value of a JSON text is
replaced, renamed, moved or taken out; and hypothesis makes whole values of its own.
"""

import json
import random
from collections.abc import Callable
from typing import Any

HUGE = "9" * 5_000
NASTY_TEXT = (
    *(
        "",
        "\x00",
        "\x1b[2J\x1b]0;owned\x07",
        "[red]x[/red]",
        "\u202egnp.exe",
        "\ud800",
        "a" * 100_000,
        "../../../etc/passwd",
    ),
    *(
        "/etc/passwd",
        "<script>alert(1)</script>",
        "=cmd|'/c calc'!A0",
        "{{7*7}}",
        "${jndi:ldap://x}",
        "%s%s%n",
        "NaN",
    ),
    *(
        "-1",
        "1e400",
        "true",
        "null",
        "x1e400",
        "$activation",
        "$gone",
        "C:\\con",
        "a\nb",
        "\ufeff",
        "e\u0301",
        "🙂" * 50,
    ),
)
NASTY_VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        -1,
        1,
        2,
        3,
        7,
        1023,
        1024,
        1025,
        65_535,
        65_536,
        65_537,
        10**6,
        10**9,
        2**31,
        2**63,
    ),
    *(2**64, 10**30, -(10**30), 0.0, -0.0, 0.5, 1.5, 1e-300, 1e300, -1e300, 1e18),
    *(
        [],
        {},
        [[]],
        [{}],
        {"": ""},
        [None],
        [0] * 2_000,
        ["x"] * 2_000,
        [[[[[[[]]]]]]],
        {"a": {"b": {"c": {}}}},
    ),
    *NASTY_TEXT,
)
NASTY_TOKENS = (
    *(
        "NaN",
        "Infinity",
        "-Infinity",
        "1e400",
        "1e999999999",
        HUGE,
        "0x7fffffff",
        "1_0",
        "08",
        "1:30:00",
        ".inf",
        ".nan",
    ),
    *(
        "!!python/object/apply:os.system ['touch /tmp/owned']",
        "!!binary aGk=",
        "!!set {a}",
        "!tag x",
        "!!int '3'",
    ),
    *(
        "&a [*a]",
        "&a {b: *a}",
        "*gone",
        "<<: {a: 1}",
        "? [a]: b",
        "---\n",
        "...\n",
        "%YAML 9.9\n",
        "%TAG ! x\n",
    ),
    *(
        "[" * 5_000,
        "{" * 5_000,
        "- " * 5_000,
        "{a: " * 2_000,
        "\x00",
        "\ufeff",
        "\r\n",
        "\r",
        "\t",
        "\u2028",
        "\x85",
        "\ud800",
    ),
    *(
        "\x1b[31m",
        '"\\ud800"',
        '"\\u0000"',
        "'",
        '"',
        "`",
        "@",
        "#",
        "|",
        ">",
        "null",
        "true",
        "yes",
        "~",
        ",",
        ":",
        "]",
        "}",
    ),
)
ALIAS_BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 12)
)


def flip_bytes(text: str, rng: random.Random) -> bytes:
    """Damage a text in a few places, as a disk or a hostile hand would."""
    content = bytearray(text.encode("utf-8", "surrogatepass"))
    for _ in range(rng.choice([1, 1, 2, 4, 16])):
        place = rng.randrange(len(content) + 1)
        length = min(rng.choice([1, 1, 2, 8, 64, 1_000]), len(content) - place)
        match rng.randrange(7):
            case 0 if place < len(content):
                content[place] ^= 1 << rng.randrange(8)
            case 1 if place < len(content):
                content[place] = rng.randrange(256)
            case 2:
                del content[place : place + length]
            case 3:
                content[place:place] = content[place : place + length]
            case 4:
                content[place:place] = rng.choice(NASTY_TOKENS).encode("utf-8", "surrogatepass")
            case 5:
                del content[place:]
            case _:
                content[place:place] = bytes(rng.randrange(256) for _ in range(length))
    return bytes(content)


def change_value(text: str, rng: random.Random, value: Callable[[], Any]) -> bytes:
    """Change a JSON text (or a line of a file of JSON lines) in some places that a reader looks at."""
    lines = text.splitlines()
    if len(lines) > 1 and text[:1] == "{" and _is_json(lines[0]):
        number = rng.randrange(len(lines))
        lines[number] = change_value(lines[number], rng, value).decode("utf-8", "surrogatepass")
        return ("\n".join(lines) + "\n").encode("utf-8", "surrogatepass")
    if not _is_json(text):
        return flip_bytes(text, rng)
    content = json.loads(text)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        content = _changed(content, rng, value)
    return json.dumps(content, ensure_ascii=rng.random() < 0.8).encode("utf-8", "surrogatepass")


def _changed(content: Any, rng: random.Random, value: Callable[[], Any]) -> Any:
    places = [place for place in _places(content) if place]
    if not places:
        return value()
    place = rng.choice(places)
    holder = content
    for step in place[:-1]:
        holder = holder[step]
    last = place[-1]
    match rng.randrange(6):
        case 0:
            del holder[last]
        case 1 if isinstance(holder, dict):
            holder[rng.choice([f"{last}s", str(last).upper(), str(value())[:200], ""])] = holder.pop(last)
        case 2 if isinstance(holder, list) and isinstance(holder[last], dict | list):
            holder.extend([holder[last]] * rng.choice([1, 3, 200]))
        case 3:
            other = content
            for step in rng.choice(places):
                other = other[step]
            holder[last] = json.loads(json.dumps(other))
        case _:
            holder[last] = value()
    return content


def _places(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path]
    items = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for key, one in items:
        found += _places(one, (*path, key))
    return found


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
