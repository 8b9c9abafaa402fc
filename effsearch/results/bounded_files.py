"""How is a file of somebody else's read, without waiting for ever and without filling the memory?"""

import errno
import os
import stat
from pathlib import Path

MIB = 2**20


class NotReadableError(OSError):
    """A file that cannot be what is looked for, such as a pipe or one of gigabytes; `strerror` says why."""


def read_bounded(path: Path, *, most_bytes: int) -> bytes:
    """Give a regular file's content.

    A pipe or a device is refused without waiting for what would never end; links are followed, as they are by whoever
    opens a file.

    Raises:
        OSError: It cannot be opened, is no regular file (`NotReadableError`), or is larger than that (the same).
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(file.fileno())
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(status.st_mode):
            raise NotReadableError(errno.EINVAL, "it is a pipe, a device or a socket and no file", str(path))
        content = b"" if status.st_size > most_bytes else file.read(most_bytes + 1)
        if (not content and status.st_size) or len(content) > most_bytes:
            raise NotReadableError(
                errno.EFBIG,
                f"it has {max(status.st_size, len(content)):,} bytes, and at most {most_bytes:,} are read",
                str(path),
            )
        return content
