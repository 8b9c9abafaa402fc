"""Which run is the newest?"""

import contextlib
import os
import secrets
import time
from pathlib import Path

from effsearch.results.run_files import SETTINGS_FILE, is_run, read_settings
from effsearch.space.errors import EffsearchError

LEFT_SECONDS = 60.0  # a link takes its name at once, or its maker is gone


def link_newest(run: Path, *, command: str, runs_root: Path) -> None:
    """Point `latest` and `latest-<command>` in `runs_root` at a run, by a relative path.

    The links are a convenience: a file system without links, or a folder that cannot be written, does not
    stop a run that lies elsewhere. Anything of that name that is not a link is left alone.
    """
    with contextlib.suppress(OSError):
        runs_root.mkdir(parents=True, exist_ok=True)
        target = os.path.relpath(run.resolve(), runs_root.resolve())
        for name in ("latest", f"latest-{command}"):
            link = runs_root / name
            if link.exists() and not link.is_symlink():
                continue
            for left in runs_root.glob(f".{name}.????????.tmp"):  # by a process that was killed
                if left.is_symlink() and time.time() - left.lstat().st_mtime > LEFT_SECONDS:
                    left.unlink(missing_ok=True)
            temporary = runs_root / f".{name}.{secrets.token_hex(4)}.tmp"
            temporary.symlink_to(target, target_is_directory=True)
            temporary.replace(link)


def newest_run(command: str, runs_root: Path = Path("runs"), *, having: str = SETTINGS_FILE) -> Path | None:
    """The run of a command that was created last, or None.

    Runs that lie elsewhere (`--run DIR`) count while a link in `runs_root` points to them. Directories that
    hold no readable run are passed over.

    Args:
        command: "baseline", "scale".
        runs_root: The folder of runs.
        having: A file that the run must hold, such as `report.json`.
    """
    if not runs_root.is_dir():
        return None
    newest: Path | None = None
    newest_rank = ""
    # Links last, so that a run is known by its own name where it has one here.
    for path in sorted(runs_root.iterdir(), key=lambda path: (path.is_symlink(), path.name)):
        if not is_run(path) or not (path / having).exists():
            continue
        try:
            stored = read_settings(path)
        except EffsearchError:
            continue
        rank = stored.created.isoformat(timespec="microseconds")
        if stored.command == command and rank > newest_rank:
            newest, newest_rank = path, rank
    if newest is not None and newest.is_symlink():
        return Path(os.path.relpath(newest.resolve()))
    return newest
