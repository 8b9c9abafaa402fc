"""How is a file written so that a reader finds the old one or the new one, never half of it?"""

import contextlib
import errno
import hashlib
import os
import secrets
from pathlib import Path

from effsearch.space.errors import UsageError, WriteError

# A few network file systems cannot sync a folder; the file itself is synced by then.
_FOLDER_SYNC_UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}


def write_text_atomic(path: Path, text: str) -> None:
    """Write `text` as UTF-8, whole or not at all; see `write_bytes_atomic`.

    Characters that UTF-8 cannot hold (undecodable bytes of file names) are written as backslash escapes.

    Raises:
        WriteError: The file cannot be written.
    """
    write_bytes_atomic(path, text.encode("utf-8", errors="backslashreplace"))


def write_bytes_atomic(path: Path, content: bytes) -> None:
    """Write `content`, whole or not at all: temporary file beside it, fsync, rename, fsync of the folder.

    A symbolic link is followed, and the file that it points to is replaced.

    Raises:
        WriteError: The file cannot be written; what was there before is untouched.
    """
    target = Path(os.path.realpath(path))
    temporary = _beside(target)
    try:
        _write_and_sync(temporary, content)
        os.replace(temporary, target)
        sync_folder(target.parent)
    except OSError as error:
        _remove(temporary)
        raise write_error(path, error) from error
    except BaseException:
        _remove(temporary)
        raise


def require_writable(path: Path, *, makes_folders: bool = False) -> None:
    """Refuse, before any work is done, a file that could not be written when it is done; nothing is left there.

    Args:
        path: The file; what it holds is not touched.
        makes_folders: Whether its folder is made where it is missing.

    Raises:
        UsageError: A folder, or what is no file, is there already, or its folder is missing.
        WriteError: No file can be made beside it.
    """
    target = Path(os.path.realpath(path))
    if os.path.isdir(target):
        raise UsageError(f"{path} is a folder: name a file in it")
    if os.path.exists(target) and not os.path.isfile(target):
        raise UsageError(f"{path} is no file that can be replaced: name another")
    folder = target.parent
    if makes_folders:
        folder = next(one for one in (folder, *folder.parents) if os.path.exists(one))
    elif not os.path.isdir(folder):
        raise UsageError(f"there is no folder {path.parent}")
    temporary = _beside(folder / target.name)
    try:
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    except OSError as error:
        raise write_error(path, error) from error
    finally:
        _remove(temporary)


def sha256_of(path: Path) -> str:
    """Give a file's SHA-256 in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_error(path: Path, error: OSError) -> WriteError:
    """The one line for a path that could not be written."""
    return WriteError(f"cannot write {path}: {error.strerror or error}")


def sync_folder(folder: Path) -> None:
    """Make renames and new files in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _FOLDER_SYNC_UNSUPPORTED:
            raise
    finally:
        os.close(descriptor)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def _write_and_sync(path: Path, content: bytes) -> None:
    # os.open rather than tempfile: the user's umask decides who may read the result.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
