"""What is said of a data base that cannot be used: one line, what to do, and no password."""

import sys
from pathlib import Path

import pytest
import sqlalchemy
from optuna.exceptions import StorageInternalError

from effsearch.search.study_storage import connect, open_storage, reason_of, storage_error
from effsearch.space.errors import RunError, UsageError

URL = "postgresql+psycopg2://me:sesame@127.0.0.1:1/db"


def test_a_storage_is_opened_and_its_tables_made(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/studies.db"
    for _ in range(2):
        assert open_storage(url).get_all_studies() == []
    assert (tmp_path / "studies.db").exists()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("studies.db", "takes a URL such as sqlite:///studies.db"),
        ("postgresql://me:sesame@host:port/db", "takes a URL"),
        ("oracle9://me:sesame@host/db", "no kind of data base is called 'oracle9'"),
        ("postgres://me:sesame@host/db", "write postgresql://"),
        ("postgresql://me:open@sesame@host/db", r"write an @ in the password as %40"),
        ("sqlite://", "in memory keeps nothing"),
        ("sqlite:///:memory:", "in memory keeps nothing"),
    ],
)
def test_what_is_no_such_url_is_refused(url: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        open_storage(url)
    assert "sesame" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "module", "install"),
    [
        (URL, "psycopg2", "pip install 'effsearch[postgres]'"),
        ("postgresql+psycopg://me:sesame@host/db", "psycopg", "pip install 'effsearch[postgres]'"),
        ("mysql://me:sesame@host/db", "MySQLdb", "pip install mysqlclient"),
        ("mysql+pymysql://me:sesame@host/db", "pymysql", "pip install pymysql"),
    ],
)
def test_a_driver_that_is_missing_is_named(
    url: str, module: str, install: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(UsageError, match=f"the Python module {module} is not installed") as refused:
        open_storage(url)
    assert install in str(refused.value)
    assert "sesame" not in str(refused.value)


def test_a_server_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"cannot use postgresql\+psycopg2://me:\*\*\*@127.0.0.1:1/db: .*refused"
    ) as no:
        open_storage(URL)
    assert "\n" not in str(no.value)
    assert "'none' keeps the studies in the run directory alone" in str(no.value)
    with pytest.raises(RunError, match="unable to open database file"):
        open_storage(f"sqlite:///{tmp_path}/no/studies.db")


def test_a_password_that_is_missing_is_asked_for() -> None:
    error = sqlalchemy.exc.OperationalError("select", None, Exception("fe_sendauth: no password supplied\n"))
    assert "give --storage with the password in it" in str(storage_error(error, "postgresql://me@host/db"))
    assert "give --storage with" not in str(storage_error(error, "postgresql://me:wrong@host/db"))


def test_the_drivers_own_words_are_kept_and_the_password_in_them_is_not() -> None:
    cause = sqlalchemy.exc.OperationalError(
        "select", None, Exception("no way in with 'open sesame',\n\tsorry.")
    )
    error = StorageInternalError("An exception is raised during the commit.")
    error.__cause__ = cause
    assert reason_of(error, "postgresql://me:open%20sesame@host/db") == "no way in with '***', sorry"


def test_no_connection_stays_open_between_two_trials(tmp_path: Path) -> None:
    storage = connect(f"sqlite:///{tmp_path}/studies.db")
    assert isinstance(storage.engine.pool, sqlalchemy.pool.NullPool)  # type: ignore[attr-defined]  # RDBStorage's
