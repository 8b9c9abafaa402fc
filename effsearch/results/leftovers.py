"""Which files did a killed process leave half written, that nobody will ever read?

Every file is written under another name first: `.NAME.xxxxxxxx.tmp` or `.NAME.part`, in `checkpoints/` `NAME.part`.
Whoever owns the run's directory may delete them, for nobody else writes there.
"""

import contextlib
import re
from pathlib import Path

_LEFT = re.compile(r"\..+\.[0-9a-f]{8}\.tmp|\..+\.part")
_FOLDERS = ("", "specs", "plots", "family", "checkpoints", "supernet", "supernet-focus")


def find_leftovers(run: Path) -> list[Path]:
    """Give the files in a run's directory that were never finished."""
    found: list[Path] = []
    for name in _FOLDERS:
        with contextlib.suppress(OSError):  # no such folder
            found += [path for path in sorted((run / name).iterdir()) if _is_left(path, name)]
    return found


def sweep_leftovers(run: Path) -> int:
    """Delete them; give how many there were."""
    found = find_leftovers(run)
    for path in found:
        with contextlib.suppress(OSError):  # a read-only directory says so elsewhere
            path.unlink(missing_ok=True)
    return len(found)


def _is_left(path: Path, folder: str) -> bool:
    is_named_so = _LEFT.fullmatch(path.name) or (folder == "checkpoints" and path.suffix == ".part")
    return bool(is_named_so) and path.is_file() and not path.is_symlink()
