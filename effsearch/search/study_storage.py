"""How is a data base of Optuna studies opened by its URL, and what is said where that fails?

URLs are those of Optuna's own command line: whatever SQLAlchemy reads, and redis://.
"""

import os
import re
import warnings
from typing import Any  # a driver's arguments
from urllib.parse import unquote

import optuna
import sqlalchemy
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalRedisBackend
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

from effsearch.space.errors import EffsearchError, RunError, UsageError
from effsearch.space.passwords import HIDDEN, hide_passwords

EXAMPLES = "such as sqlite:///studies.db or postgresql+psycopg2://user:password@host/name"
SQLITE_SECONDS = 10  # a writer waits for who else has the file
CONNECT_SECONDS = 10
CONNECT_OPTIONS = {"psycopg2": "connect_timeout", "psycopg": "connect_timeout", "pymysql": "connect_timeout"}
INSTALLS = {
    "psycopg2": "'effsearch[postgres]'",
    "psycopg": "'effsearch[postgres]'",
    "MySQLdb": "mysqlclient",
}
MOST_SHOWN = 300  # characters of what a driver says
OTHERWISE = "or give another --storage; 'none' keeps the studies in the run directory alone"

_WANTS_PASSWORD = re.compile(r"password|access denied|noauth|authentication required", re.IGNORECASE)


def connect(url: str) -> BaseStorage:
    """Give the storage at a URL, its tables made where there are none.

    No connection stays open between two trials: trainings take long, and servers and firewalls drop who is silent.

    Raises:
        UsageError: It is no such URL.
        Exception: What its driver raises; see `storage_error`.
    """
    parsed = _parse(url)
    if parsed.drivername in ("redis", "rediss"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return JournalStorage(_WithoutSnapshots(url))
    return RDBStorage(url, engine_kwargs={"poolclass": NullPool, "connect_args": _connect_arguments(parsed)})


class _WithoutSnapshots(JournalRedisBackend):
    """Redis without Optuna's snapshots of studies: these are pickles, and who can write there could run code here."""

    def load_snapshot(self) -> bytes | None:
        return None

    def save_snapshot(self, snapshot: bytes) -> None:
        """Leave none for others either: all is read from the log."""


def absolute_url(url: str) -> str:
    """Give a URL that names the same file from every directory; others are given back as they are.

    Raises:
        UsageError: It is no such URL.
    """
    parsed = _parse(url)
    database = parsed.database
    if parsed.get_backend_name() != "sqlite" or not database or database.startswith("file:"):
        return url
    if os.path.isabs(database):
        return url
    return parsed.set(database=os.path.abspath(database)).render_as_string(hide_password=False)


def open_storage(url: str) -> BaseStorage:
    """Give the same, with errors that say what to do.

    Raises:
        UsageError: It is no such URL, or its driver is not installed.
        RunError: The data base cannot be reached or used.
    """
    try:
        return connect(url)
    except Exception as error:  # each driver has its own
        raise storage_error(error, url) from None


def storage_error(error: Exception, url: str) -> EffsearchError:
    """Give what to say of a data base that cannot be used, its password left out."""
    if isinstance(error, EffsearchError):
        return error
    if isinstance(error, sqlalchemy.exc.NoSuchModuleError):
        return _unknown_kind(_parse(url))
    if isinstance(error, ImportError):
        return _missing_driver(error, _parse(url))
    reason, shown = reason_of(error, url), hide_passwords(url)
    if _WANTS_PASSWORD.search(reason) and shown == url:
        return RunError(
            f"{shown} wants a password, and a run's settings keep none: give --storage with the password in it; "
            f"it said: {reason}"
        )
    return RunError(f"cannot use {shown}: {reason}; mend that, {OTHERWISE}")


def reason_of(error: BaseException, url: str) -> str:
    """Give what a driver said, in one line, without the password of a URL."""
    while not getattr(error, "orig", None) and error.__cause__ is not None:
        error = error.__cause__  # Optuna's own words hide the driver's
    said = getattr(error, "orig", None) or error
    text = " ".join(str(said).split()).rstrip(".") or type(said).__name__
    password = _parse(url).password
    for form in {password, unquote(password)} if password else ():
        text = re.sub(rf"(?<!\w){re.escape(form)}(?!\w)", HIDDEN, text)
    text = hide_passwords(text)
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _parse(url: str) -> URL:
    try:
        parsed = sqlalchemy.engine.make_url(url)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        raise UsageError(f"--storage takes a URL {EXAMPLES}, or 'none'") from None
    if parsed.host and "@" in parsed.host:
        raise UsageError(f"--storage {hide_passwords(url)}: write an @ in the password as %40")
    if parsed.get_backend_name() == "sqlite" and parsed.database in (None, "", ":memory:"):
        raise UsageError("--storage: SQLite in memory keeps nothing; name a file: sqlite:///studies.db")
    return parsed


def _connect_arguments(url: URL) -> dict[str, Any]:
    if url.get_backend_name() == "sqlite":
        return {"timeout": SQLITE_SECONDS}
    _, _, driver = url.drivername.partition("+")
    if not driver and url.drivername == "postgresql":
        driver = "psycopg"  # SQLAlchemy's own choice is one of the two, and both know the option
    option = CONNECT_OPTIONS.get(driver)
    return {} if option is None or option in url.query else {option: CONNECT_SECONDS}


def _unknown_kind(url: URL) -> UsageError:
    hint = "; write postgresql://" if url.drivername == "postgres" else ""
    return UsageError(
        f"--storage: no kind of data base is called {url.drivername!r}{hint}; give a URL {EXAMPLES}"
    )


def _missing_driver(error: ImportError, url: URL) -> UsageError:
    cause = error.__cause__
    missing = (cause.name if isinstance(cause, ImportError) else error.name) or url.drivername
    return UsageError(
        f"--storage {url.drivername}://...: the Python module {missing} is not installed; "
        f"pip install {INSTALLS.get(missing, missing)}, {OTHERWISE}"
    )
