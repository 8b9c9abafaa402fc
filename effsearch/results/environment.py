"""On what machine, with what versions, by what command was this computed?"""

import os
import platform
import shlex
import subprocess  # nosec B404
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from effsearch.space.passwords import hide_passwords

PACKAGES = (
    *(
        "effsearch",
        "torch",
        "numba",
        "llvmlite",
        "numpy",
        "optuna",
        "pandas",
        "matplotlib",
        "pillow",
        "fvcore",
    ),
)

Environment = dict[str, str | int | dict[str, str]]


def describe_environment(*, now: datetime, command_line: Sequence[str] | None = None) -> Environment:
    """What a number needs beside it to be believed, as JSON.

    Versions come from the installed packages' own records: nothing is imported. Passwords in URLs are hidden.

    Args:
        now: The present, with its time zone.
        command_line: The words of the command, by default this process's own.
    """
    folder = Path.cwd()
    return {
        "time": now.astimezone(UTC).isoformat(),
        "command_line": shlex.join(
            [hide_passwords(word) for word in (sys.argv if command_line is None else command_line)]
        ),
        "working_directory": str(folder),
        "git_commit": git_commit(folder),
        "versions": {"python": platform.python_version()} | {name: version_of(name) for name in PACKAGES},
        "platform": platform.platform(),
        "host": platform.node(),
        "cpu": cpu_model(),
        "cores": os.cpu_count() or 0,
        "usable_cores": num_usable_cores(),
        "memory_bytes": memory_bytes(),
    }


def version_of(package: str) -> str:
    """The installed version of a package, or "not installed"."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"


def num_usable_cores() -> int:
    """How many cores this process may run on."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 0


def memory_bytes() -> int:
    """The machine's memory, 0 where it does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 0


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name as the maker gives it, or else its architecture."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name" and value.strip():
            return value.strip()
    on_macos = _output_of(["sysctl", "-n", "machdep.cpu.brand_string"]) if sys.platform == "darwin" else ""
    return on_macos or platform.processor() or platform.machine()


def git_commit(folder: Path) -> str:
    """The commit checked out around `folder`, with "-dirty" where files differ from it; "" outside of git."""
    # A repository of somebody else's may name programs that git runs to see whether files differ: none does here.
    git = ["git", "-C", str(folder), "-c", "core.fsmonitor=false"]
    has_filters = _output_of(
        [*git, "config", "--local", "--name-only", "--get-regexp", r"^(filter|include.*)\."]
    )
    return _output_of(
        [*git, "describe", "--always", *([] if has_filters else ["--dirty"]), "--abbrev=40", "--exclude=*"]
    )


def _output_of(command: list[str]) -> str:
    try:
        # No shell, and the words are ours but for a folder's name.
        result = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)  # nosec B603
    except (OSError, subprocess.SubprocessError):
        return ""
    return result.stdout.strip()
