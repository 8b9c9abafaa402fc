import pytest

from effsearch.space.passwords import hide_passwords, without_password


@pytest.mark.parametrize(
    ("url", "shown", "stored"),
    [
        ("postgresql://me:secret@host/db", "postgresql://me:***@host/db", "postgresql://me@host/db"),
        ("postgresql://me@host:5432/db", "postgresql://me@host:5432/db", "postgresql://me@host:5432/db"),
        ("postgresql://me:a@b:c/d@host/db", "postgresql://me:***@host/db", "postgresql://me@host/db"),
        (
            "postgresql://me@corp:secret@host/db",
            "postgresql://me@corp:***@host/db",
            "postgresql://me@corp@host/db",
        ),
        ("redis://:secret@host:6379/0", "redis://:***@host:6379/0", "redis://@host:6379/0"),
        ("mysql:///db?passwd=secret&ssl=1", "mysql:///db?passwd=***&ssl=1", "mysql:///db?ssl=1"),
        ("postgresql:///db?a=1&password=secret", "postgresql:///db?a=1&password=***", "postgresql:///db?a=1"),
        ("postgresql:///db?passfile=/p", "postgresql:///db?passfile=/p", "postgresql:///db?passfile=/p"),
        ("sqlite:////data/a:b@c.db", "sqlite:////data/a:b@c.db", "sqlite:////data/a:b@c.db"),
    ],
)
def test_a_url_is_shown_and_stored_without_its_password(url: str, shown: str, stored: str) -> None:
    assert (hide_passwords(url), without_password(url)) == (shown, stored)


def test_a_traceback_keeps_its_lines() -> None:
    text = "Traceback (most recent call last):\n  raise ValueError('postgresql://me:secret@host/db')\n"
    assert (
        hide_passwords(text * 2 + "ValueError: redis://:secret@b")
        == text.replace("secret", "***") * 2 + "ValueError: redis://:***@b"
    )


def test_a_url_inside_a_word_or_a_sentence_is_found() -> None:
    assert (
        hide_passwords("--storage=postgresql://me:secret@host/db") == "--storage=postgresql://me:***@host/db"
    )
    assert "secret" not in hide_passwords("cannot use postgresql://me:se cret@host/db, says the driver")
