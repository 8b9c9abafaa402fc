"""effsearch report: write all that a run holds as one page."""

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from effsearch.commands.status import state_of
from effsearch.results.atomic import require_writable, write_text_atomic
from effsearch.results.report.contents import read_contents
from effsearch.results.report.page import make_report
from effsearch.results.run_files import has_report
from effsearch.results.status import read_holder
from effsearch.space.errors import UsageError

PAGE_FILE = "report.html"
_SUFFIXES = (".html", ".htm")


def run_report(run: Path, *, out: Path | None, now: datetime) -> dict[str, Any]:
    """Write the page of a search, a scaling, an ablation or a training, however far it has come.

    Nothing else of the run is touched, so a search may be going on there.

    Args:
        run: Directory of the run, or a link to it.
        out: Where the page goes, by default `report.html` in the run.
        now: The present, with its time zone.

    Returns:
        JSON values: the file's path and size, what sections it has, and what could not be read.

    Raises:
        UsageError: There is no run there, or `out` is no name for a page.
        RunError: The run's record cannot be read, or the file cannot be written.
    """
    if out is not None and out.suffix.lower() not in _SUFFIXES:
        raise UsageError(f"a report's file must end in .html, got {out}")
    if out is not None:
        require_writable(out)
    contents = read_contents(run)
    state = state_of(read_holder(run), is_complete=has_report(run))
    report = make_report(contents, state=state, now=now)
    path = out or run / PAGE_FILE
    write_text_atomic(path, report.html)
    shown = Path(os.path.relpath(path.resolve())) if run.is_symlink() and out is None else path
    return {
        "run": str(run),
        "out": str(shown),
        "bytes": path.stat().st_size,
        "sections": list(report.sections),
        "trainings": report.num_trainings,
        "unread": list(report.unread),
    }
