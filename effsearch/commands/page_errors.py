"""What do the browser and the terminal show where a page cannot be given?

The browser a plain page, or a reason as JSON where a script asks; the terminal one line, once, since a page that is
open asks every few seconds. Tracebacks are for `--debug`.
"""

import html
import io
import json
import logging
import sys
from collections.abc import Callable, Iterable
from threading import Lock
from typing import TYPE_CHECKING

from effsearch.results.run_log import is_debugging
from effsearch.space.errors import EffsearchError
from effsearch.space.passwords import hide_passwords
from effsearch.space.printable import one_line, printable

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

API = "/api/"  # what scripts ask for
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>effsearch</title></head>
<body><h1>This page cannot be shown</h1><p>{words}</p></body></html>
"""


class Terminal:
    """Says a line on stderr, unless it was the last one."""

    def __init__(self) -> None:
        self._last = ""
        self._lock = Lock()  # each request has a thread

    def say(self, words: str) -> None:
        """Say it in one line."""
        line = one_line(hide_passwords(words))
        with self._lock:
            is_new, self._last = line != self._last, line
        if is_new:
            print(f"effsearch: {line}", file=sys.stderr, flush=True)


class TracebackStream(io.StringIO):
    """Takes the tracebacks that a server or a framework writes, and says their last line."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__()
        self._terminal = terminal

    def flush(self) -> None:
        """Say what was written; both wsgiref and bottle flush after each traceback."""
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        say_traceback(text, text.strip().rpartition("\n")[2], self._terminal)


class TracebackHandler(logging.Handler):
    """Says the first line of what is logged."""

    def __init__(self, terminal: Terminal) -> None:
        super().__init__(logging.ERROR)
        self._terminal = terminal

    def emit(self, record: logging.LogRecord) -> None:
        """Say one line."""
        text = record.getMessage()
        say_traceback(text, text.partition("\n")[0], self._terminal)


def say_traceback(text: str, line: str, terminal: Terminal) -> None:
    """Say one line of a traceback, and all of it where `--debug` asks for that."""
    if line and is_debugging():
        sys.stderr.write(printable(hide_passwords(text.rstrip() + "\n")))
    elif line:
        terminal.say(f"a page could not be given: {line}")


def in_plain_words(application: "WSGIApplication", terminal: Terminal) -> "WSGIApplication":
    """Give an application that answers with a plain page where the one it has raises an `EffsearchError`."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        try:
            return application(environ, start_response)
        except EffsearchError as error:
            words = one_line(hide_passwords(str(error)))
        terminal.say(words)
        is_asked_by_script = environ.get("PATH_INFO", "").startswith(API)
        start_response(
            "500 Internal Server Error",
            [
                ("Content-Type", "application/json" if is_asked_by_script else "text/html; charset=utf-8"),
                ("Content-Security-Policy", "default-src 'none'"),
                ("X-Content-Type-Options", "nosniff"),
                ("Cache-Control", "no-store"),
            ],
        )
        if environ["REQUEST_METHOD"] == "HEAD":
            return []
        text = json.dumps({"reason": words}) if is_asked_by_script else PAGE.format(words=html.escape(words))
        return [text.encode()]

    return answer


def asking_first(application: "WSGIApplication", check: Callable[[], object]) -> "WSGIApplication":
    """Give an application that checks, before each answer, what it is to answer from."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        check()
        return application(environ, start_response)

    return answer
