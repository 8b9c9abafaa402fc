"""effsearch dashboard: Optuna's own page on the studies of a run, which may be running."""

import contextlib
import importlib.util
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from wsgiref.simple_server import WSGIServer

from effsearch.commands.loopback import HOST, open_server
from effsearch.commands.page_errors import asking_first
from effsearch.results.run_files import JOURNAL_FILE, is_run, read_settings
from effsearch.search.journal_reader import read_journal
from effsearch.space.errors import UsageError

MOST_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Dashboard:
    """A page that has its port and is yet to be served."""

    report: dict[str, Any]
    server: WSGIServer


def run_dashboard(run: Path, *, port: int, show: Callable[[dict[str, Any]], None]) -> None:
    """Serve Optuna's dashboard of a run until Ctrl-C; of a journal that is damaged meanwhile, what is wrong.

    Args:
        run: Directory of the run, or a link to it.
        port: On the loopback interface; 0 takes one that is free.
        show: Is told once where the page is and what is on it.

    Raises:
        UsageError: There is no run there, it has no study, or the dashboard is not installed.
        RunError: The studies cannot be read, or the port cannot be had.
    """
    with contextlib.suppress(KeyboardInterrupt), open_dashboard(run, port=port) as dashboard:
        show(dashboard.report)
        dashboard.server.serve_forever()


@contextlib.contextmanager
def open_dashboard(run: Path, *, port: int) -> Iterator[Dashboard]:
    """Give the same, for somebody else to serve; raises the same."""
    _require_dashboard()
    command = read_settings(run).command
    journal = run / JOURNAL_FILE
    if not journal.is_file():
        raise _no_study(run, command)
    from optuna_dashboard import wsgi  # loads slowly, and only where it is asked for

    with (
        read_journal(journal) as storage,
        open_server(
            asking_first(wsgi(storage), storage.get_all_studies), port=port, logger="optuna_dashboard"
        ) as server,
    ):
        studies = [
            {"name": study.study_name, "trials": len(storage.get_all_trials(study._study_id, deepcopy=False))}
            for study in storage.get_all_studies()
        ]
        if not studies:
            raise _no_study(run, command)
        report = {
            "run": str(run),
            "url": f"http://{HOST}:{server.server_port}/",
            "time": datetime.now().astimezone().isoformat(timespec="seconds"),
            "studies": studies,
        }
        yield Dashboard(report=report, server=server)


def _require_dashboard() -> None:
    if importlib.util.find_spec("optuna_dashboard") is None:
        raise UsageError(
            "effsearch dashboard needs the optuna-dashboard package: pip install 'effsearch[dashboard]'"
        )


def _no_study(run: Path, command: str) -> UsageError:
    return UsageError(f"{run}: {command} has written no Optuna study there; {_others(run)}")


def _has_study(journal: Path) -> bool:
    """Whether a journal has its first line, which makes a study."""
    try:
        with journal.open("rb") as file:
            return file.readline().endswith(b"\n")
    except OSError:  # another user's
        return False


def _others(run: Path) -> str:
    """Say which runs beside one have studies, the newest first."""
    changed = {
        journal.parent: journal.stat().st_mtime
        for journal in run.parent.glob(f"*/{JOURNAL_FILE}")
        if is_run(journal.parent) and not journal.parent.is_symlink() and _has_study(journal)
    }
    if not changed:
        return f"nor has another run in {run.parent}: baseline writes one, and scale where it searches"
    found = sorted(changed, key=lambda one: changed[one], reverse=True)
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return f"these runs have one: {', '.join(map(str, found[:MOST_NAMED]))}{more}"
