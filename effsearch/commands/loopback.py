"""How are pages served to this machine alone, to be looked at and not to be changed?"""

import errno
import json
import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any, TextIO  # what a handler is told of a request
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from effsearch.commands.page_errors import Terminal, TracebackHandler, TracebackStream, in_plain_words
from effsearch.space.errors import RunError

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HOST = "127.0.0.1"
NAMES = (
    HOST,
    "localhost",
    "[::1]",
)  # by which a browser here may ask; a tunnel's port may be another
IDLE_SECONDS = 5.0  # browsers open connections ahead and say nothing on them


@contextmanager
def open_server(application: "WSGIApplication", *, port: int, logger: str = "") -> Iterator[WSGIServer]:
    """Give a server that has its port on the loopback interface and is yet to serve; nothing but reading passes.

    What goes wrong while it serves is a plain page and one line on stderr.

    Args:
        application: What answers.
        port: Where; 0 takes one that is free.
        logger: Name of the one that the application tells its errors; none without a name.

    Raises:
        RunError: The port cannot be had.
    """
    try:
        server = _Server((HOST, port), _Handler)
    except OSError as error:
        raise _port_error(port, error) from None
    server.set_app(_for_this_machine(_read_only(in_plain_words(application, server.terminal))))
    with server, _quiet(logger, server.terminal):
        yield server


@contextmanager
def _quiet(logger: str, terminal: Terminal) -> Iterator[None]:
    """Has a library's logger say one line of each error."""
    if not logger:
        yield
        return
    library, handler = logging.getLogger(logger), TracebackHandler(terminal)
    library.addHandler(handler)  # so that logging's last resort, the whole text, is not taken
    try:
        yield
    finally:
        library.removeHandler(handler)


def _port_error(port: int, error: OSError) -> RunError:
    if error.errno == errno.EADDRINUSE:
        return RunError(f"port {port} is taken; give another --port, or --port 0 for any that is free")
    if error.errno == errno.EACCES:
        return RunError(f"port {port} is not for everybody; give a --port from 1024 on")
    return RunError(f"port {port} cannot be had: {error.strerror or error}; give another --port")


def _read_only(application: "WSGIApplication") -> "WSGIApplication":
    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return application(environ, start_response)
        start_response(
            "405 Method Not Allowed", [("Content-Type", "application/json"), ("Allow", "GET, HEAD")]
        )
        return [json.dumps({"reason": "A run's studies are only looked at here, not changed."}).encode()]

    return answer


def _for_this_machine(application: "WSGIApplication") -> "WSGIApplication":
    """Refuse requests for another host: a page of anybody's may have its name point here (DNS rebinding)."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        name, _, port = environ.get("HTTP_HOST", "").rpartition(":")
        if name.lower() in NAMES and port.isdecimal():
            return application(environ, start_response)
        if environ.get("HTTP_HOST", "").lower() in NAMES:  # port 80 need not be named
            return application(environ, start_response)
        start_response("403 Forbidden", [("Content-Type", "application/json")])
        return [json.dumps({"reason": "This page is for this machine alone: ask at 127.0.0.1."}).encode()]

    return answer


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True  # Ctrl-C waits for no answer

    def __init__(self, *arguments: Any) -> None:
        self.terminal = Terminal()
        super().__init__(*arguments)

    def server_bind(self) -> None:
        """Take the port without asking a name server what this machine is called, which can take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = HOST, self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a browser that has left, or that asked for nothing, and one line of anything else."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            self.terminal.say(f"a page could not be given: {type(error).__name__}: {error}")


class _Handler(WSGIRequestHandler):
    timeout = IDLE_SECONDS

    def get_stderr(self) -> TextIO:
        """Give where wsgiref and bottle write tracebacks."""
        assert isinstance(self.server, _Server)
        return TracebackStream(self.server.terminal)

    def log_message(self, format: str, *args: Any) -> None:
        """Keep the terminal quiet: a page that is open asks every few seconds."""
