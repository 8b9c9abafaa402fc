"""Where do the weights of a rung lie until the next one goes on from them?

In `checkpoints/` of the run directory, one safetensors file for each training, named by what was trained, its score
and the SHA-256 of the file: `<name>.<score>.<sha256>.safetensors`. They save time and nothing else: a score is the
same without them. So the folder may be deleted at any time, files that are not as they were written count as missing,
and where all together grow too large those go that are least likely to be promoted.
"""

import contextlib
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

FOLDER = "checkpoints"
SUFFIX = ".safetensors"
MOST_BYTES = 2**30  # about 65 networks of B0's size


class Checkpoints:
    """The checkpoints of a run that this process owns.

    Args:
        run: Run directory.
        say: Is told, once, where they cannot be written.
        most_bytes: Of all files together.
    """

    def __init__(self, run: Path, *, say: Callable[[str], None], most_bytes: int = MOST_BYTES) -> None:
        self.folder = run / FOLDER
        self._say = say
        self._most_bytes = most_bytes
        self._is_broken = False
        for part in self.folder.glob("*.part"):  # of a driver that was killed
            _delete(part)

    def put(self, name: str, content: bytes, *, score: float) -> None:
        """Keep weights under a name, in the place of earlier ones; where that cannot be done, it is said once.

        Args:
            name: Without a dot.
            content: Of a safetensors file.
            score: Of the network, in [0, 1]; where there is no room for all, those of lower ones go first.
        """
        if self._is_broken:
            return
        path = self.folder / f"{name}.{round(1e6 * score):07}.{_digest(content)}{SUFFIX}"
        part = path.with_suffix(".part")
        try:
            self.folder.mkdir(exist_ok=True)
            part.write_bytes(content)  # not synced: the digest in its name tells whether it is whole
            self.forget(name)
            part.replace(path)
            self._make_room()
        except BaseException as error:
            _delete(part)
            if not isinstance(error, OSError):  # stopped in the middle
                raise
            self._is_broken = True
            shutil.rmtree(self.folder, ignore_errors=True)  # the ledger may need the room
            self._say(
                f"cannot keep checkpoints in {self.folder} ({error.strerror or error}): networks that are promoted "
                "train their lower rungs again"
            )

    def get(self, name: str) -> bytes | None:
        """Give the weights under a name as they were written, or None."""
        for path in self._files(name):
            try:
                content = path.read_bytes()
            except OSError:
                continue
            if _is_named_after(path, content):
                return content
            self._say(f"{path} is damaged and passed over: its rung is trained again")
            _delete(path)
        return None

    def forget(self, name: str) -> None:
        """Delete the weights under a name."""
        for path in self._files(name):
            _delete(path)

    def _files(self, name: str = "*") -> list[Path]:
        return list(self.folder.glob(f"{name}.*{SUFFIX}"))

    def _make_room(self) -> None:
        sizes = {path: path.stat().st_size for path in self._files()}
        num_bytes = sum(sizes.values())
        for path in sorted(sizes, key=lambda path: path.name.split(".")[1]):
            if num_bytes <= self._most_bytes:
                return
            _delete(path)
            num_bytes -= sizes[path]


def is_intact(path: Path) -> bool:
    """Tell whether a checkpoint is as it was written."""
    try:
        return _is_named_after(path, path.read_bytes())
    except OSError:
        return False


def _is_named_after(path: Path, content: bytes) -> bool:
    return path.name.endswith(f".{_digest(content)}{SUFFIX}")


def _delete(path: Path) -> None:
    with contextlib.suppress(OSError):  # a folder that was made read-only
        path.unlink(missing_ok=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
