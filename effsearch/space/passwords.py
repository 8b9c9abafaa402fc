"""What of a data base's URL may be written down or shown? All but its password.

These work on text as it was typed, well-formed or not: what is too odd for a driver must not end in a log either.
"""

import re

HIDDEN = "***"
TRACEBACK = "Traceback (most recent call last)"
# To the last @ of the word: a password with an @ of its own is wrong in a URL, and still nobody else's business.
_USER_PASSWORD = re.compile(r"(://[^:/]*):.*@", re.DOTALL)
_QUERY_PASSWORD = re.compile(
    r"([?&][^=&]*(?:password|passwd|pwd|secret|token|odbc_connect)[^=&]*=)[^&\s]*", re.IGNORECASE
)


def hide_passwords(text: str) -> str:
    """Give a URL, or a text with one in it, fit to be shown: `postgresql://me:***@host/db`."""
    if TRACEBACK in text:  # from its first URL to its last @ would be most of it
        return "\n".join(_hide(line) for line in text.split("\n"))
    return _hide(text)


def _hide(text: str) -> str:
    return _QUERY_PASSWORD.sub(rf"\1{HIDDEN}", _USER_PASSWORD.sub(rf"\1:{HIDDEN}@", text))


def without_password(url: str) -> str:
    """Give a URL fit to be stored and used again by who has the password otherwise: `postgresql://me@host/db`."""
    kept = _QUERY_PASSWORD.sub(lambda match: match[1][0], _USER_PASSWORD.sub(r"\1@", url))
    return re.sub(r"&{2,}", "&", kept).replace("?&", "?").rstrip("?&")
