"""`effsearch dashboard` as a browser meets it, over HTTP, beside a search that goes on."""

import contextlib
import errno
import html
import http.client
import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import pytest

from effsearch.commands import loopback
from effsearch.commands.dashboard import Dashboard, open_dashboard
from effsearch.commands.loopback import open_server
from effsearch.results.journal_file import mend_journal
from effsearch.results.run_dir import create_or_resume
from effsearch.results.run_files import JOURNAL_FILE
from effsearch.results.run_log import DEBUG_VARIABLE
from effsearch.search.study import NETWORK_ATTRIBUTE, JournalStudy
from effsearch.space.errors import RunError

from ..conftest import Effsearch, refuses

WIDTHS = optuna.distributions.CategoricalDistribution((8, 16, 24))


def trial(index: int, *values: float) -> optuna.trial.FrozenTrial:
    return optuna.trial.create_trial(
        params={"stage1.channels": WIDTHS.choices[index % 3]},
        distributions={"stage1.channels": WIDTHS},
        values=list(values) or None,
        state=optuna.trial.TrialState.COMPLETE if values else optuna.trial.TrialState.FAIL,
        user_attrs={NETWORK_ATTRIBUTE: f"network-{index}"},
    )


def make_run(path: Path, *, command: str = "baseline") -> Path:
    with create_or_resume(
        path, command=command, settings={}, free_settings=frozenset(), now=datetime.now(UTC)
    ):
        return path


@pytest.fixture
def run(effsearch: Effsearch) -> Path:
    """A baseline run with its two studies: four trials, one of them failed, and three screened."""
    path = make_run(Path("runs/photos"))
    baseline = JournalStudy(path / JOURNAL_FILE, study_name="baseline")
    for index in range(4):
        baseline.add(trial(index, index / 8) if index != 2 else trial(index))
    screen = JournalStudy(path / JOURNAL_FILE, study_name="screen")
    for index in range(3):
        screen.add(trial(index, -index / 8))
    return path


@contextlib.contextmanager
def served(run: Path) -> Iterator[Dashboard]:
    with open_dashboard(run, port=0) as dashboard:
        thread = threading.Thread(target=dashboard.server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield dashboard
        finally:
            dashboard.server.shutdown()
            thread.join()


def get(dashboard: Dashboard, path: str) -> Any:
    with urllib.request.urlopen(dashboard.report["url"] + path) as answer:
        return json.load(answer)


def traces_of(run: Path) -> dict[str, tuple[bytes, int]]:
    """Every file of a run with its content, and every file's and folder's time of change."""
    return {
        str(one): (one.read_bytes() if one.is_file() else b"", one.stat().st_mtime_ns)
        for one in (run, *run.rglob("*"))
    }


def test_the_page_and_its_studies_come_over_http(run: Path) -> None:
    with served(run) as dashboard:
        with urllib.request.urlopen(dashboard.report["url"]) as answer:
            assert answer.status == 200
            assert "Optuna Dashboard" in answer.read().decode()
        studies = get(dashboard, "api/studies")["study_summaries"]
        assert [(one["study_name"], one["directions"]) for one in studies] == [
            ("baseline", ["maximize"]),
            ("screen", ["maximize"]),
        ]
        details = [get(dashboard, f"api/studies/{one['study_id']}") for one in studies]
        assert [one.get("values") for one in details[0]["trials"]] == [[0.0], [0.125], None, [0.375]]
        assert [one.get("values") for one in details[1]["trials"]] == [[0.0], [-0.125], [-0.25]]
        assert [one["number"] for one in details[0]["best_trials"]] == [3]
        assert "param_importances" in get(dashboard, "api/studies/0/param_importances")
    assert dashboard.report["studies"] == [{"name": "baseline", "trials": 4}, {"name": "screen", "trials": 3}]


def test_the_studies_of_scale_and_those_of_two_objectives_are_shown(effsearch: Effsearch) -> None:
    run = make_run(Path("runs/scaled"), command="scale")
    JournalStudy(run / JOURNAL_FILE, study_name="coefficients").add(trial(0, 0.5))
    front = JournalStudy(run / JOURNAL_FILE, study_name="front", has_two_objectives=True)
    for index, values in enumerate([(0.5, 10.0), (0.75, 20.0), (0.5, 30.0)]):
        front.add(trial(index, *values))
    with served(run) as dashboard:
        names = [one["study_name"] for one in get(dashboard, "api/studies")["study_summaries"]]
        best = get(dashboard, "api/studies/1")["best_trials"]
    assert names == ["coefficients", "front"]
    assert sorted(one["number"] for one in best) == [0, 1]


def test_serving_leaves_no_trace_in_the_run_and_no_thread(run: Path) -> None:
    before, threads = traces_of(run), set(threading.enumerate())
    with served(run) as dashboard:
        get(dashboard, "api/studies/0")
        assert traces_of(run) == before
    assert traces_of(run) == before
    end = time.monotonic() + 5
    while set(threading.enumerate()) - threads and time.monotonic() < end:
        time.sleep(0.01)
    assert set(threading.enumerate()) == threads


def test_a_search_goes_on_beside_it_and_its_trials_appear(run: Path) -> None:
    search = JournalStudy(run / JOURNAL_FILE, study_name="screen")
    with served(run) as dashboard:
        search.add(trial(7, 0.5))
        with (run / JOURNAL_FILE).open("ab") as file:
            file.write(b'{"op_code":4,"worker')  # of the next trial, so far
        assert len(get(dashboard, "api/studies/1")["trials"]) == 4
        with create_or_resume(  # takes the run's lock
            run, command="baseline", settings={}, free_settings=frozenset(), now=datetime.now(UTC)
        ):
            resumed = JournalStudy(run / JOURNAL_FILE, study_name="baseline", mend=mend_journal)
            resumed.add(trial(8, 0.75))
        assert [one.get("values") for one in get(dashboard, "api/studies/0")["trials"]][-1] == [0.75]
    assert len(JournalStudy(run / JOURNAL_FILE, study_name="baseline").study.get_trials()) == 5


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
@pytest.mark.parametrize("path", ["api/studies/0", "api/studies", "api/studies/0/note", "api/trials/0/tell"])
def test_what_would_change_a_study_is_refused(run: Path, method: str, path: str) -> None:
    before = traces_of(run)
    with served(run) as dashboard:
        request = urllib.request.Request(
            dashboard.report["url"] + path,
            method=method,
            data=b"{}",
            headers={"Content-Type": "application/json"},
        )
        with pytest.raises(urllib.error.HTTPError, match="405") as refused:
            urllib.request.urlopen(request)
        assert "not changed" in json.load(refused.value)["reason"]
        refused.value.close()
        assert len(get(dashboard, "api/studies/0")["trials"]) == 4
    assert traces_of(run) == before


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:{port}", 200),
        ("LOCALHOST:{port}", 200),
        ("[::1]:{port}", 200),
        ("localhost:9000", 200),  # the near end of a tunnel
        ("localhost", 200),
        ("evil.example:{port}", 403),
        ("127.0.0.1.evil.example:{port}", 403),
        ("localhost.:{port}", 403),
        ("localhost:evil", 403),
        ("", 403),
    ],
)
def test_a_page_whose_name_was_made_to_point_here_reads_nothing(run: Path, host: str, status: int) -> None:
    with served(run) as dashboard:
        port = dashboard.server.server_port
        caller = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        caller.putrequest("GET", "/api/studies", skip_host=True)
        caller.putheader("Host", host.format(port=port))
        caller.endheaders()
        answer = caller.getresponse()
        text = answer.read().decode()
        caller.close()
    assert answer.status == status
    assert ("study_name" in text) == (status == 200)


def test_only_the_loopback_interface_is_listened_on(run: Path) -> None:
    with served(run) as dashboard:
        port = dashboard.server.server_port
        assert dashboard.server.socket.getsockname() == ("127.0.0.1", port)
        # All of 127/8 is this machine on Linux: were every interface listened on, 127.0.0.2 would answer.
        others = ["127.0.0.2", *_own_addresses()]
        for address in others:
            with socket.socket() as caller:
                caller.settimeout(2)
                assert caller.connect_ex((address, port)) != 0, address


def _own_addresses() -> set[str]:
    try:
        found = {str(one[4][0]) for one in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    except OSError:
        return set()
    return {one for one in found if not one.startswith("127.")}


@pytest.mark.parametrize("is_connected", [False, True])
def test_ctrl_c_ends_it_at_once_and_well(run: Path, is_connected: bool) -> None:
    before = traces_of(run)
    words = [sys.executable, "-m", "effsearch.cli", "dashboard", "--port", "0", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        lines: list[str] = []
        while not lines or lines[-1] not in ("}\n", ""):
            lines.append(process.stdout.readline())
        report = json.loads("".join(lines))
        assert report["run"] == "runs/latest"
        assert urllib.request.urlopen(report["url"]).read()
        port = int(report["url"].rstrip("/").rpartition(":")[2])
        with contextlib.ExitStack() as stack:
            if is_connected:  # and says nothing, as browsers do
                stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            os.kill(process.pid, signal.SIGINT)
            assert process.wait(timeout=20) == 0
        assert process.stdout.read() == ""
        assert process.stderr.read() == ""
    assert traces_of(run) == before
    with socket.socket() as caller:
        assert caller.connect_ex(("127.0.0.1", port)) == errno.ECONNREFUSED


def test_it_says_where_it_is_what_it_shows_and_that_it_is_a_copy(
    run: Path, effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(server: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(loopback._Server, "serve_forever", interrupt)
    done = effsearch("dashboard", "runs/photos", "--port", "0")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].startswith("http://127.0.0.1:")
    assert lines[0].endswith("/ shows the studies of runs/photos, on this machine alone; Ctrl-C ends it")
    assert lines[1].startswith("a copy of 7 trials (baseline 4, screen 3) at 20")


def test_a_connection_that_asks_for_nothing_is_let_go_in_silence(
    run: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(loopback._Handler, "timeout", 0.05)
    with (
        served(run) as dashboard,
        socket.create_connection(("127.0.0.1", dashboard.server.server_port), timeout=5) as caller,
    ):
        assert caller.recv(1) == b""
    assert capfd.readouterr().err == ""


def test_a_run_without_a_study_is_refused_with_those_that_have_one(run: Path, effsearch: Effsearch) -> None:
    make_run(Path("runs/trained"), command="train")
    refuses(
        effsearch("dashboard", "runs/trained"),
        2,
        "runs/trained: train has written no Optuna study there; these runs have one: runs/photos",
    )
    begun = make_run(Path("runs/begun"))
    (begun / JOURNAL_FILE).write_bytes((run / JOURNAL_FILE).read_bytes()[:20])
    refuses(
        effsearch("dashboard", "runs/begun"), 2, "no Optuna study there; these runs have one: runs/photos"
    )
    for index in range(6):
        JournalStudy(make_run(Path(f"runs/r{index}")) / JOURNAL_FILE, study_name="baseline")
    refuses(effsearch("dashboard", "runs/trained"), 2, "and 2 more")
    make_run(Path("elsewhere/trained"), command="train")
    refuses(effsearch("dashboard", "elsewhere/trained"), 2, "nor has another run in elsewhere")


def test_what_is_no_run_and_what_is_no_port_are_refused(run: Path, effsearch: Effsearch) -> None:
    refuses(effsearch("dashboard", "nowhere"), 2, "no run at nowhere")
    for port in ("-1", "65536", "web"):
        refuses(effsearch("dashboard", "runs/photos", "--port", port), 2, "--port")


def test_a_port_that_is_taken_says_which_to_give(run: Path, effsearch: Effsearch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = str(other.getsockname()[1])
        refuses(effsearch("dashboard", "runs/photos", "--port", port), 1, f"port {port} is taken", "--port 0")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (errno.EACCES, "port 80 is not for everybody; give a --port from 1024 on"),
        (errno.EADDRNOTAVAIL, "port 80 cannot be had: .*; give another --port"),
    ],
)
def test_a_port_that_the_system_refuses_says_so(
    monkeypatch: pytest.MonkeyPatch, error: int, said: str
) -> None:
    def refuse(server: object, *args: object) -> None:
        raise OSError(error, os.strerror(error))

    monkeypatch.setattr(loopback._Server, "__init__", refuse)
    with pytest.raises(RunError, match=said), open_server(lambda environ, start: [], port=80):
        pass


def test_a_journal_that_cannot_be_read_is_refused(run: Path, effsearch: Effsearch) -> None:
    with (run / JOURNAL_FILE).open("ab") as file:
        file.write(b"no record\n")
    refuses(
        effsearch("dashboard", "runs/photos", "--port", "0"),
        1,
        "line 10 is damaged: no JSON at character 1 (expected value); effsearch repair runs/photos puts it aside",
    )


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("no record", "line 10 is damaged: no JSON at character 1 (expected value); effsearch repair"),
        (
            '{"op_code": 99, "worker_id": "w"}',
            "no journal of Optuna's (AssertionError: Should not reach.); effsearch repair",
        ),
        (
            '{"op_code": 0, "worker_id": "w", "study_name": "x", "directions": ["<script>alert(1)</script>"]}',
            "(ValueError: '<script>alert(1)</script>' is not a valid StudyDirection)",
        ),
        ("", "was cut off inside what was read of it; begin the dashboard again"),
    ],
)
def test_a_journal_damaged_while_it_is_served_is_a_plain_page_and_one_line(
    run: Path, capfd: pytest.CaptureFixture[str], damage: str, said: str
) -> None:
    journal = run / JOURNAL_FILE
    whole = journal.read_bytes()
    with served(run) as dashboard:
        assert len(get(dashboard, "api/studies")["study_summaries"]) == 2
        journal.write_bytes(whole + damage.encode() + b"\n" if damage else whole[: len(whole) // 2])
        answers = [
            refused_page(dashboard, path) for path in ("", "dashboard", "api/studies", "api/studies/0")
        ]
        journal.write_bytes(whole)
        if damage:  # what was read no longer holds, whatever the file says by now
            answers.append(refused_page(dashboard, "api/studies"))
    for path, text in answers:
        words = json.loads(text)["reason"] if "api" in path else html.unescape(text)
        assert said in words
        assert "Traceback" not in words
        if "api" not in path:
            assert "<script" not in text
    lines = capfd.readouterr().err.splitlines()
    assert len(lines) == 1
    assert said in lines[0]
    assert lines[0].startswith("effsearch: runs/photos/study.journal")


def refused_page(dashboard: Dashboard, path: str) -> tuple[str, str]:
    """Ask for what is refused, and give its path and its text."""
    with pytest.raises(urllib.error.HTTPError, match="500") as refused:
        urllib.request.urlopen(dashboard.report["url"] + path)
    with refused.value as answer:
        assert answer.headers["Content-Security-Policy"] == "default-src 'none'"
        return path, answer.read().decode()


def test_a_disk_that_comes_back_is_read_again(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    with served(run) as dashboard:
        with monkeypatch.context() as patch:
            patch.setattr(os, "pread", fail)
            assert "cannot read runs/photos/study.journal: Input" in refused_page(dashboard, "api/studies")[1]
        assert len(get(dashboard, "api/studies")["study_summaries"]) == 2


@pytest.mark.parametrize("path", ["/dashboard", "/api/studies"])
def test_what_a_library_stumbles_over_is_one_line_and_all_of_it_with_debug(
    run: Path, path: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def stumble(*_: object, **more: object) -> None:
        raise ZeroDivisionError("oh\x1b[2J")

    monkeypatch.delenv(DEBUG_VARIABLE, raising=False)
    monkeypatch.setattr("optuna_dashboard._app.static_file", stumble)  # bottle writes of it
    monkeypatch.setattr("optuna_dashboard._app.get_studies", stumble)  # the dashboard logs it
    with served(run) as dashboard:
        for _ in range(2):
            with pytest.raises(urllib.error.HTTPError, match="500") as refused:
                urllib.request.urlopen(dashboard.report["url"] + path)
            refused.value.close()
        lines = capfd.readouterr().err.splitlines()
        assert len(lines) == 1
        assert lines[0].startswith("effsearch: a page could not be given: ")
        assert "oh\\x1b[2J" in lines[0]
        monkeypatch.setenv(DEBUG_VARIABLE, "1")
        with pytest.raises(urllib.error.HTTPError, match="500") as refused:
            urllib.request.urlopen(dashboard.report["url"] + path)
        refused.value.close()
    said = capfd.readouterr().err
    assert "in stumble" in said
    assert "\x1b" not in said


def test_what_a_server_stumbles_over_is_one_line(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def stumble(environ: object, start: object) -> list[bytes]:
        raise ZeroDivisionError("oh")

    with open_server(stumble, port=0) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(urllib.error.HTTPError, match="500") as refused:
            urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/")
        refused.value.close()
        thread.join()
        with socket.socket() as caller:
            try:
                raise ValueError("a request that is none")
            except ValueError:
                server.handle_error(caller, ("127.0.0.1", 1))
    assert capfd.readouterr().err.splitlines() == [
        "effsearch: a page could not be given: ZeroDivisionError: oh",
        "effsearch: a page could not be given: ValueError: a request that is none",
    ]


def test_without_the_package_it_says_what_to_install(
    run: Path, effsearch: Effsearch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    refuses(effsearch("dashboard", "runs/photos"), 2, "pip install 'effsearch[dashboard]'")


def test_it_loads_no_torch_beside_a_search_that_needs_the_memory() -> None:
    code = "import sys, effsearch.commands.dashboard, optuna_dashboard; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False"]
