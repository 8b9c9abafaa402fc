"""Does another machine see the folder that weights are to be left in?"""

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from effsearch.space.errors import RunError


@dataclass(frozen=True, slots=True)
class PrepareToShare:
    """A worker's preparation that begins with a look at the driver's folder; made by `share_with_workers`."""

    prepare: Callable[[], None]
    witness: Path
    digest: str

    def __call__(self) -> None:
        """Prepare.

        Raises:
            RunError: The folder is not seen from here, is another one of that name, or cannot be written.
        """
        folder = self.witness.parent
        try:
            if _digest(self.witness) != self.digest:
                raise FileNotFoundError(2, "another folder of that name is there")
            trace = folder / f".seen-{uuid.uuid4().hex}"
            trace.touch()
            trace.unlink()
        except OSError as error:
            raise RunError(
                f"a worker cannot use {folder} ({error.strerror}): the run directory must lie on a file system that "
                "all nodes share, for a supernet; give --screen zero-cost otherwise"
            ) from error
        self.prepare()


def share_with_workers(witness: Path, prepare: Callable[[], None]) -> PrepareToShare:
    """Give a preparation that fails on workers which do not see what the driver sees.

    Args:
        witness: A file in the folder, there on the driver's machine, with a content of its own.
        prepare: What workers do otherwise.
    """
    witness = witness.absolute()
    return PrepareToShare(prepare, witness, _digest(witness))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
