"""How does one process own a run directory?

By an flock on `run.lock`, which the kernel frees when its holder ends, however it ends; what the file says is for
people and for `effsearch status`. Some network file systems know no such lock. There a second file, made if and only
if it is not there, is the lock, and who finds it goes by what it says: an owner that is dead, or of an earlier start
of this machine, is no owner; one on another machine is believed to be at work.

A command claims the run that it is given before it loads anything slow, so a second driver is turned away at once.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from effsearch.results.atomic import write_error
from effsearch.results.owner import is_alive, read_owner, this_process
from effsearch.results.run_files import LOCK_FILE, is_run
from effsearch.space.errors import RunError

_IN_USE = {errno.EAGAIN, errno.EACCES}
_UNSUPPORTED = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
HELD_SUFFIX = ".held"  # of the second file

_claimed: dict[
    str, "RunLock"
] = {}  # by the lock file's real path: taken by this process, not yet by a `RunDir`


class RunLock:
    """A lock held on a file until it is released or the process ends, however it ends."""

    def __init__(self, descriptor: int, held: Path | None = None):
        self._descriptor = descriptor
        self._held = held

    def release(self) -> None:
        """Let others in; releasing twice is fine. The file stays: removing it would let two in at once."""
        if self._descriptor >= 0:
            with contextlib.suppress(OSError):  # the disk may be gone; closing is what unlocks
                os.ftruncate(self._descriptor, 0)
            if self._held is not None:
                with contextlib.suppress(OSError):
                    self._held.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1


def acquire_lock(path: Path) -> RunLock:
    """Lock `path`, made where it is missing, and write this process and machine into it.

    Raises:
        RunError: Another process holds it, or it cannot be written.
    """
    claimed = _claimed.pop(os.path.realpath(path), None)
    if claimed is not None:
        return claimed
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise write_error(path, error) from error
        try:
            held = _lock(path, descriptor)
            if _is_still(path, descriptor):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, this_process().to_text().encode(), 0)
                return RunLock(descriptor, held)
        except OSError as error:
            os.close(descriptor)
            raise RunError(f"cannot lock {path}: {error.strerror or error}") from error
        except RunError:
            os.close(descriptor)
            raise
        os.close(descriptor)  # its last owner took the file away between our opening and locking it


@contextlib.contextmanager
def claimed_run(run: Path | None) -> Iterator[None]:
    """Own the directory of a run from here on, for the `acquire_lock` that comes later in this process.

    What is not there yet is made, and taken away again where no run came of it. Nothing is done for None, nor where
    the directory is somebody's who is no run: that is refused in its own words later.

    Raises:
        RunError: Another process owns it, or it cannot be made.
    """
    if run is None or (run.exists() and not (is_run(run) or _is_empty(run))):
        yield
        return
    made = [folder for folder in (run, *run.parents) if not folder.exists()]
    path = run / LOCK_FILE
    try:
        run.mkdir(parents=True, exist_ok=True)
    except NotADirectoryError:  # a file lies there; commands say so before they read anything
        _remove_folders(made)
        yield
        return
    except OSError as error:
        _remove_folders(made)
        raise write_error(run, error) from error
    key = os.path.realpath(path)
    _claimed[key] = acquire_lock(path)
    try:
        yield
    finally:
        lock = _claimed.pop(key, None)
        if lock is not None:
            if not is_run(run):
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
            lock.release()
        if not is_run(run):
            _remove_folders(made)


def _lock(path: Path, descriptor: int) -> Path | None:
    """Lock an open file; give the second file where the first cannot be locked.

    Raises:
        OSError: It cannot be locked.
        RunError: Another process holds it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in _IN_USE:
            raise _in_use(path, os.pread(descriptor, 1000, 0).decode(errors="replace")) from error
        if error.errno not in _UNSUPPORTED:
            raise
        return _hold_without_flock(path)
    return None


def _is_still(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _hold_without_flock(path: Path) -> Path:
    """Make the second file; one that a dead process of this machine has left is taken away first.

    Raises:
        OSError: It cannot be made.
        RunError: Its owner is alive, or on another machine.
    """
    held = path.with_name(path.name + HELD_SUFFIX)
    for _ in range(2):
        try:
            descriptor = os.open(held, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            text = held.read_text(errors="replace")
            owner = read_owner(text)
            if owner is None or is_alive(owner) is not False:
                raise _in_use(path, text, held) from None
            held.unlink(missing_ok=True)
            continue
        with os.fdopen(descriptor, "w") as file:
            file.write(this_process().to_text())
        return held
    raise _in_use(path, held.read_text(errors="replace"), held)


def _in_use(path: Path, text: str, held: Path | None = None) -> RunError:
    holder = read_owner(text) or "another process"
    sure = "" if held is None else f"; where that has ended, delete {held}"
    return RunError(f"{path.parent} is in use by {holder}; wait for it to end or give another --run{sure}")


def _is_empty(folder: Path) -> bool:
    try:
        return not {name for name in os.listdir(folder) if not name.startswith(".")} - {
            LOCK_FILE,
            LOCK_FILE + HELD_SUFFIX,
        }
    except OSError:
        return False


def _remove_folders(folders: list[Path]) -> None:
    for folder in folders:
        with contextlib.suppress(OSError):  # not there, or somebody else is in it
            folder.rmdir()
