"""Which process is it that a lock file names, and is it still that one?

A process number is used again, after a while and after every start of the machine. So a process is named with the
machine, with this start of the machine (Linux's boot id), and with the moment it began.
"""

import os
import socket
from dataclasses import dataclass
from pathlib import Path

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_START_FIELD = (
    19  # of /proc/PID/stat behind the name, which may hold spaces: clock ticks since the machine began
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """A process, as it names itself."""

    process: int
    host: str
    boot: str = ""  # "" where the system does not tell
    started: int = 0  # in clock ticks since the machine began; 0 where the system does not tell

    def __str__(self) -> str:
        boot = f" (boot {self.boot[:8]})" if self.boot else ""
        return f"process {self.process} on {self.host}{boot}"

    def to_text(self) -> str:
        """Give it as a lock file holds it: for people first, then for `read_owner`."""
        return f"process {self.process} on {self.host}\nboot {self.boot or '-'} started {self.started}\n"


def this_process() -> Owner:
    """Give the process that asks."""
    return Owner(
        process=os.getpid(), host=socket.gethostname(), boot=_boot_id(), started=_start_of(os.getpid()) or 0
    )


def read_owner(text: str) -> Owner | None:
    """Give the process that a lock file names; None where it names none.

    Files of older versions have one line, which says neither boot nor start.
    """
    words = text.split()
    if len(words) not in (4, 8) or words[0] != "process" or not words[1].isdecimal():
        return None
    if len(words) == 4:
        return Owner(process=int(words[1]), host=words[3])
    boot = "" if words[5] == "-" else words[5]
    started = int(words[7]) if words[7].isdecimal() else 0
    return Owner(process=int(words[1]), host=words[3], boot=boot, started=started)


def is_alive(owner: Owner) -> bool | None:
    """Tell whether a process still is; None where it is on another machine, so nobody here can tell."""
    if owner.host != socket.gethostname():
        return None
    if owner.boot and _boot_id() and owner.boot != _boot_id():
        return False  # the machine has been started anew since
    try:
        os.kill(owner.process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass  # it is there, and somebody else's
    started = _start_of(owner.process)
    return not (owner.started and started) or started == owner.started


def _boot_id() -> str:
    try:
        return BOOT_ID.read_text().strip()
    except OSError:  # no Linux
        return ""


def _start_of(process: int) -> int | None:
    try:
        return int(Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[_START_FIELD])
    except (OSError, ValueError, IndexError):
        return None
