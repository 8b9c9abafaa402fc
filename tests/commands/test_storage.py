"""`--storage`: the studies of a run in a data base, which is never needed and never has a password written down.

The last tests start a PostgreSQL server of their own.
"""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy
from optuna.storages import BaseStorage

from effsearch.commands import run_studies
from effsearch.search import shared_studies, study_storage
from effsearch.space.outcome import Fidelity, ProxyResult
from effsearch.space.spec import ModelSpec

from ..conftest import Done, Effsearch, refuses
from .conftest import ledger_of, train_by

SPACE_TEXT = """\
schema_version: 1
name: tiny
resolution: 16
stem: {out_channels: 16}
stages: [{stride: 2, channels: [8, 16], repeats: [1, 2], kernel_size: [3, 5], se_ratio: 0}]
head: {out_channels: 0}
"""
TINY = "--images 64 --epochs 1 --proxy-resolution 16 --workers 1"
BASELINE = f"baseline --space tiny.yaml --no-anchors --screen off --rungs 1 --finalists 1 --seeds 1 {TINY}"
SCALE = f"scale --base efficientnet-b0 --grid-step 0.1 --seeds 1 --phi 1 --proxy-width 0.25 {TINY}"
SQLITE = "sqlite:///studies.db"
SERVER_URL = "postgresql://me:sesame@db.example/studies"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Steps take a fixed time, and a data base that is away is tried again soon."""
    monkeypatch.setattr("effsearch.commands.proxy.step_seconds", lambda *args, **kwargs: 0.1)
    monkeypatch.setattr(shared_studies, "PAUSES", (0.05, 0.1))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Callable[[], None]]]:
    """Score by depth in place of training; what is put into the list is called at the next training, one at each."""
    events: list[Callable[[], None]] = []

    def evaluate(spec: ModelSpec, fidelity: Fidelity, seed: int) -> ProxyResult:
        if events:
            events.pop(0)()
        value = 0.3 + sum(stage.num_blocks for stage in spec.stages) / 100
        return ProxyResult(val_accuracy=value, val_loss=1.0, train_seconds=1.0, num_images_seen=64)

    train_by(monkeypatch, evaluate)
    return events


def search(effsearch: Effsearch, *words: str, run: str = "photos") -> Done:
    Path("tiny.yaml").write_text(SPACE_TEXT)
    return effsearch(*BASELINE.split(), "--run", run, "--json", *words)


def told(url: str, name: str) -> dict[str, float | None]:
    """The networks of a study and their values; each is there once."""
    found = optuna.load_study(study_name=name, storage=study_storage.connect(url)).trials
    values = {one.user_attrs["network"]: one.value for one in found}
    assert len(values) == len(found)
    return values


def recorded(run: str, kind: str = "trial") -> dict[str, float | None]:
    return {line["network_hash"]: line["accuracy"] for line in ledger_of(Path(run)) if line["kind"] == kind}


def test_the_studies_go_to_the_journal_and_under_the_runs_name_to_the_data_base(
    effsearch: Effsearch, trained: Any
) -> None:
    ended = search(effsearch, "--trials", "3", "--storage", SQLITE)
    assert "lack" not in str(ended.json["warnings"])
    assert "studies: photos/baseline in sqlite:////" in ended.err  # the same file from every directory
    assert "studies.db" in ended.err
    assert told(SQLITE, "photos/baseline") == recorded("photos")
    assert len(recorded("photos")) == 3
    journal = optuna.storages.JournalStorage(
        optuna.storages.journal.JournalFileBackend("photos/study.journal")
    )
    assert [one.study_name for one in optuna.get_all_study_summaries(journal)] == ["baseline"]


def test_a_resumed_run_goes_on_in_its_data_base_and_fills_a_new_one(
    effsearch: Effsearch, trained: Any
) -> None:
    assert search(effsearch, "--trials", "2").code == 0  # to the journal alone
    assert "storage" not in json.loads(Path("photos/settings.json").read_text())["settings"]
    assert search(effsearch, "--trials", "3", "--storage", SQLITE).code == 0
    assert told(SQLITE, "photos/baseline") == recorded("photos")
    assert search(effsearch, "--trials", "4").code == 0
    assert told(SQLITE, "photos/baseline") == recorded("photos")
    Path("studies.db").unlink()
    assert search(effsearch, "--trials", "4").code == 0
    assert told(SQLITE, "photos/baseline") == recorded("photos")
    assert search(effsearch, "--trials", "5", "--storage", "none").code == 0
    assert len(told(SQLITE, "photos/baseline")) == 4 < len(recorded("photos"))
    assert "storage" not in json.loads(Path("photos/settings.json").read_text())["settings"]


def test_a_coefficient_search_has_its_study_there_too(effsearch: Effsearch, trained: Any) -> None:
    ended = effsearch(*SCALE.split(), "--run", "scaled", "--trials", "2", "--storage", SQLITE, "--json")
    assert ended.json["warnings"] == []
    assert sorted(map(str, told(SQLITE, "scaled/coefficients").values())) == sorted(
        str(line["accuracy"]) for line in ledger_of(Path("scaled"))
    )
    given = effsearch(
        "scale", "--base", "efficientnet-b0", "--coefficients", "1.2,1.1,1.15", "--storage", SQLITE
    )
    refuses(given, 2, "--coefficients searches nothing", "--storage")


@pytest.mark.parametrize("command", [BASELINE, SCALE])
def test_a_data_base_that_is_not_there_is_said_before_anything_is_done(
    command: str, effsearch: Effsearch, trained: list[Callable[[], None]]
) -> None:
    Path("tiny.yaml").write_text(SPACE_TEXT)
    trained.append(lambda: pytest.fail("nothing is to be trained"))
    url = "postgresql+psycopg2://me:sesame@127.0.0.1:1/studies"
    ended = effsearch(*command.split(), "--trials", "1", "--run", "photos", "--storage", url)
    refuses(ended, 1, "cannot use postgresql+psycopg2://me:***@127.0.0.1:1/studies", "--storage", "refused")
    assert "sesame" not in ended.err
    assert not Path("photos").exists()


def test_a_dry_run_opens_no_data_base(effsearch: Effsearch, trained: Any) -> None:
    assert search(effsearch, "--trials", "1", "--storage", SQLITE, "--dry-run").code == 0
    assert not Path("studies.db").exists()


def test_another_run_of_the_same_name_is_refused(effsearch: Effsearch, trained: Any) -> None:
    assert search(effsearch, "--trials", "1", "--storage", SQLITE).code == 0
    Path("photos").rename("older")
    refuses(search(effsearch, "--trials", "1", "--storage", SQLITE), 1, "'photos/baseline' is another run's")


# The server is a SQLite file in these.


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every URL that was opened; all of them lead to one file, and one without a password nowhere."""
    urls: list[str] = []
    connect = study_storage.connect

    def open_file(url: str) -> BaseStorage:
        urls.append(url)
        if ":sesame@" not in url:
            raise sqlalchemy.exc.OperationalError("", None, Exception("fe_sendauth: no password supplied"))
        return connect(SQLITE)

    monkeypatch.setattr(study_storage, "connect", open_file)
    monkeypatch.setattr(run_studies, "connect", open_file)
    return urls


def test_the_password_is_used_and_stands_nowhere(
    effsearch: Effsearch, trained: Any, asked: list[str]
) -> None:
    ended = search(effsearch, "--trials", "2", "--storage", SERVER_URL)
    assert ended.code == 0
    assert set(asked) == {SERVER_URL}
    assert "studies: photos/baseline in postgresql://me:***@db.example/studies" in ended.err
    stored = json.loads(Path("photos/settings.json").read_text())["settings"]["storage"]
    assert stored == "postgresql://me@db.example/studies"
    assert "postgresql://me:***@db.example/studies" in Path("photos/environment.json").read_text()
    written = b"".join(path.read_bytes() for path in Path("photos").rglob("*") if path.is_file())
    assert b"sesame" not in written
    assert "sesame" not in ended.out + ended.err


def test_a_resumed_run_asks_for_the_password_that_it_does_not_have(
    effsearch: Effsearch, trained: Any, asked: list[str]
) -> None:
    assert search(effsearch, "--trials", "1", f"--storage={SERVER_URL}").code == 0
    refuses(
        search(effsearch, "--trials", "2"),
        1,
        "postgresql://me@db.example/studies wants a password",
        "give --storage with the password in it",
    )
    assert search(effsearch, "--trials", "2", "--storage", SERVER_URL).code == 0


def test_a_data_base_that_stays_away_is_a_warning_and_a_resume_mends_it(
    effsearch: Effsearch, trained: list[Callable[[], None]]
) -> None:
    def refuse(*arguments: object) -> Any:
        raise ConnectionError("the server is away")

    with pytest.MonkeyPatch.context() as patch:

        def go_away() -> None:
            patch.setattr(run_studies, "connect", refuse)
            patch.setattr(optuna.storages.RDBStorage, "_create_new_trial", refuse)

        trained += [lambda: None, go_away]
        ended = search(effsearch, "--trials", "4", "--storage", SQLITE)
    (warning,) = [line for line in ended.json["warnings"] if "studies" in line]
    assert "trials in the data base (the server is away); nothing else is lost" in warning
    assert len(recorded("photos")) == 4 > len(told(SQLITE, "photos/baseline"))
    assert search(effsearch, "--trials", "4").code == 0
    assert told(SQLITE, "photos/baseline") == recorded("photos")


# A server of PostgreSQL.

PASSWORD = "open/sesame"


class Postgres:
    """A server in a folder of its own, reached by a socket in it; it runs as another user where this one is root."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries = binaries
        self._folder = folder
        self._user = None if os.geteuid() else _any_user("postgres", "nobody")
        (folder / "password").write_text(PASSWORD)
        if self._user is not None:
            for path in (folder, folder / "password"):
                shutil.chown(path, self._user)
        self._run("initdb", "-U", "me", "-A", "scram-sha-256", f"--pwfile={folder}/password", "--no-sync")
        self.start()

    def url(self, password: str = "open%2Fsesame") -> str:
        return f"postgresql+psycopg2://me:{password}@/postgres?host={self._folder}"

    def start(self) -> None:
        options = f"-k {self._folder} -c listen_addresses='' -c fsync=off"
        self._run("pg_ctl", "-o", options, "-l", f"{self._folder}/log", "-w", "start")

    def stop(self) -> None:
        self._run("pg_ctl", "-m", "immediate", "-w", "stop")

    def _run(self, name: str, *words: str) -> None:
        command = [str(self._binaries / name), "-D", f"{self._folder}/data", *words]
        # Into a file: a server that is started keeps a pipe open.
        with (self._folder / "out").open("a") as out:
            ended = subprocess.run(command, user=self._user, stdout=out, stderr=out, cwd=self._folder)
        assert ended.returncode == 0, (self._folder / "out").read_text()


def _any_user(*names: str) -> str:
    known = {one.pw_name for one in pwd.getpwall()}
    return next(name for name in names if name in known)


@pytest.fixture
def postgres() -> Iterator[Postgres]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    initdb = str(found[-1]) if found else shutil.which("initdb")
    if initdb is None:
        pytest.skip("PostgreSQL is not installed")
    # Not pytest's folder, which no other user may enter; and the path of a socket must be short.
    folder = Path(tempfile.mkdtemp(prefix="effsearch-"))
    try:
        server = Postgres(Path(initdb).parent, folder)
        yield server
        server.stop()
    finally:
        shutil.rmtree(folder)


def test_a_search_outlives_its_server_and_the_study_equals_the_ledger(
    effsearch: Effsearch, trained: list[Callable[[], None]], postgres: Postgres
) -> None:
    refuses(
        search(effsearch, "--trials", "5", "--storage", postgres.url("wrong")), 1, "authentication failed"
    )
    refuses(
        search(effsearch, "--trials", "5", "--storage", postgres.url().replace(":open%2Fsesame", "")),
        1,
        "wants a password",
    )
    assert not Path("photos").exists()
    trained += [lambda: None, postgres.stop, lambda: None, postgres.start]
    ended = search(effsearch, "--trials", "5", "--storage", postgres.url())
    assert not any("studies" in line for line in ended.json["warnings"])
    assert told(postgres.url(), "photos/baseline") == recorded("photos")
    assert len(recorded("photos")) == 5
    written = b"".join(path.read_bytes() for path in Path("photos").rglob("*") if path.is_file())
    assert b"sesame" not in written
    refuses(search(effsearch, "--trials", "6"), 1, "give --storage with the password in it")
    assert search(effsearch, "--trials", "6", "--storage", postgres.url()).code == 0
    assert told(postgres.url(), "photos/baseline") == recorded("photos")
    assert len(recorded("photos")) == 6
