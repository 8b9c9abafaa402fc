"""Where do the weights of a rung lie until the next one goes on from them?

In `checkpoints/` of the run directory, one safetensors file for each training, named by what was trained and by the
SHA-256 of the file: `<name>.<sha256>.safetensors`. They save time and nothing else: a score is the same without
them. So the folder may be deleted at any time, files that are not as they were written count as missing, and the
oldest go where all together grow too large.
"""

import contextlib
import hashlib
from collections.abc import Callable
from pathlib import Path

FOLDER = "checkpoints"
SUFFIX = ".safetensors"
MOST_BYTES = 2**30  # about 60 networks of B0's size


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
            part.unlink(missing_ok=True)

    def put(self, name: str, content: bytes) -> None:
        """Keep weights under a name, in the place of earlier ones; where that cannot be done, it is said once."""
        if self._is_broken:
            return
        path = self.folder / f"{name}.{_digest(content)}{SUFFIX}"
        part = path.with_suffix(".part")
        try:
            self.folder.mkdir(exist_ok=True)
            part.write_bytes(content)  # not synced: the digest in its name tells whether it is whole
            self.forget(name)
            part.replace(path)
            self._make_room(spared=path)
        except OSError as error:
            self._is_broken = True
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)
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
            if path.name == f"{name}.{_digest(content)}{SUFFIX}":
                return content
            self._say(f"{path} is damaged and passed over: its rung is trained again")
            self._delete(path)
        return None

    def forget(self, name: str) -> None:
        """Delete the weights under a name."""
        for path in self._files(name):
            self._delete(path)

    def _files(self, name: str = "*") -> list[Path]:
        return sorted(self.folder.glob(f"{name}.*{SUFFIX}"))

    def _make_room(self, *, spared: Path) -> None:
        sizes = {path: path.stat() for path in self._files()}
        num_bytes = sum(one.st_size for one in sizes.values())
        for path in sorted(sizes, key=lambda path: sizes[path].st_mtime_ns):
            if num_bytes <= self._most_bytes:
                return
            if path != spared:
                self._delete(path)
                num_bytes -= sizes[path].st_size

    def _delete(self, path: Path) -> None:
        with contextlib.suppress(OSError):  # a folder that was made read-only
            path.unlink(missing_ok=True)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
