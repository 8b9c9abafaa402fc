"""What happened to a run, in order: who started it, what it said, and how each call ended?

`run.log` in the run directory, of at most two files of a megabyte. It is for people: nothing reads it back, a line
that cannot be written stops nothing, and passwords in URLs are hidden. Tracebacks go there where `--debug` asks for
them, and always where a bug ended a call.
"""

import contextlib
import logging
import os
import time
import traceback
from logging.handlers import RotatingFileHandler
from pathlib import Path

from effsearch.space.errors import EffsearchError
from effsearch.space.passwords import hide_passwords

LOG_FILE = "run.log"
MOST_BYTES = 1_000_000
DEBUG_VARIABLE = "EFFSEARCH_DEBUG"  # set by `--debug`, so that processes that are started hear it too


class RunLog:
    """The log of a run that this process owns."""

    def __init__(self, run: Path) -> None:
        handler = _QuietHandler(
            run / LOG_FILE,
            maxBytes=MOST_BYTES,
            backupCount=1,
            encoding="utf-8",
            errors="backslashreplace",
            delay=True,
        )
        formatter = logging.Formatter(
            f"%(asctime)sZ {os.getpid()} %(levelname)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%S"
        )
        formatter.converter = time.gmtime
        handler.setFormatter(formatter)
        self._logger = logging.Logger("effsearch.run")  # of its own: nobody else's settings reach it
        self._logger.addHandler(handler)

    def note(self, text: str) -> None:
        """Write a line."""
        self._logger.info("%s", hide_passwords(text))

    def warn(self, text: str) -> None:
        """Write a line that somebody should look at."""
        self._logger.warning("%s", hide_passwords(text))

    def end(self, error: BaseException | None) -> None:
        """Write how a call ended."""
        if error is None:
            self.note("ended")
        elif isinstance(error, KeyboardInterrupt):
            self.note("stopped: interrupted")
        elif isinstance(error, SystemExit):
            self.note(f"stopped: exit code {error.code}")
        else:
            self._fail(error)

    def _fail(self, error: BaseException) -> None:
        is_bug = not isinstance(error, EffsearchError)
        words = f"{type(error).__name__}: {error}" if is_bug else str(error)
        if is_bug or is_debugging():
            words += "\n" + stack_of(error).rstrip()
        self._logger.error("%s", hide_passwords(f"failed: {words}"))


def is_debugging() -> bool:
    """Whether somebody wants to see how an error came about."""
    return os.environ.get(DEBUG_VARIABLE, "") not in ("", "0")


def stack_of(error: BaseException) -> str:
    """Give the traceback of an error without its last line, for whoever shows that in words of their own.

    What led to the error is there in whole, and its notes, such as the traceback in a worker.
    """
    told = traceback.TracebackException.from_exception(error)
    lines = list(told.format())
    if told.exceptions is None:  # a group draws its own end
        del lines[-len(list(told.format_exception_only()))]  # what follows are its notes
    return "".join(lines)


class _QuietHandler(RotatingFileHandler):
    """Has the file open only while it writes a line: there are few, and the disk may come and go."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        super().emit(record)
        stream, self.stream = self.stream, None
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Do nothing: a full disk is told by what must be written."""
