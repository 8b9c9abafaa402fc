"""How do decoded images come to a machine that does not have them?

They are sent in pieces and put into that machine's own cache, under their fingerprint; `AtNode` has an evaluator read
them there.
"""

import dataclasses
import json
import shutil
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Self

from effsearch.proxy_train.data.cache import (
    check_free_space,
    default_cache_dir,
    publish_folder,
    remove_abandoned,
    run_error_if_unwritable,
)
from effsearch.proxy_train.data.datasets import ImageData
from effsearch.space.errors import RunError

PIECE_BYTES = 32 * 2**20
FILES = ("images.npy", "meta.json", "rows.npz")  # of a data set


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageShipment:
    """One data set on its way to other machines; pickles as a path and two numbers."""

    handle: Path  # where the images are on the machine that sends them
    fingerprint: str
    num_bytes: int

    @property
    def local_handle(self) -> Path:
        """Where the images are on this machine: at the sender's path if they are seen there, else in the cache.

        That a path is there is not enough; on another machine other images may lie at it.
        """
        if _fingerprint_at(self.handle) == self.fingerprint:
            return self.handle
        return default_cache_dir() / "shipped" / self.fingerprint

    def is_here(self) -> bool:
        """Tell whether this machine has the images."""
        return _fingerprint_at(self.local_handle) == self.fingerprint

    def pack(self) -> Iterator[tuple[str, bytes]]:
        """Give the files' names with their bytes, in pieces."""
        for path in (self.handle / name for name in FILES):
            with path.open("rb") as file:
                while piece := file.read(PIECE_BYTES):
                    yield path.name, piece

    def unpack(self, pieces: Iterable[tuple[str, bytes]]) -> None:
        """Put the images into this machine's cache; whoever is first, whole folders alone are seen.

        Raises:
            RunError: The cache cannot be written, or has no room.
        """
        if self.is_here():
            return
        folder = self.local_handle
        with run_error_if_unwritable(folder):
            folder.parent.mkdir(parents=True, exist_ok=True)
            remove_abandoned(folder.parent)
        check_free_space(folder.parent, self.num_bytes)
        temporary = folder.parent / f".{folder.name}.{uuid.uuid4().hex}.part"
        try:
            with run_error_if_unwritable(folder):
                temporary.mkdir()
                num_bytes = 0
                for name, piece in pieces:
                    num_bytes += len(piece)
                    if name not in FILES or num_bytes > self.num_bytes:
                        raise RunError(
                            f"the driver sent {name!r:.60}, which is no part of the images it announced"
                        )
                    with (temporary / name).open("ab") as file:
                        file.write(piece)
                publish_folder(temporary, folder)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def ship_images(images: ImageData) -> ImageShipment:
    """Give what makes a data set travel."""
    handle = images.handle.absolute()
    num_bytes = sum((handle / name).stat().st_size for name in FILES)
    return ImageShipment(handle=handle, fingerprint=images.fingerprint, num_bytes=num_bytes)


@dataclass(frozen=True, slots=True)
class WorkAtNode:
    """The same work, with the images read where this machine has them.

    `work` is a dataclass that is called on a worker and opens the images at its `handle`, as all evaluators and
    `SupernetWorker` are.
    """

    work: Any  # what it is called with and gives is its own affair
    shipment: ImageShipment

    def __call__(self, *arguments: Any) -> Any:  # as the work's
        """Do the work."""
        return dataclasses.replace(self.work, handle=_local_handle(self.shipment))(*arguments)


@dataclass(frozen=True, slots=True)
class AtNode(WorkAtNode):
    """The same of a training that knows its batch and its weights."""

    def with_batch_share(self, share: float) -> Self:
        """Give one that trains with a share of the batch."""
        return dataclasses.replace(self, work=self.work.with_batch_share(share))

    def with_weights(self, checkpoint: bytes | None, *, keeps_weights: bool) -> Self:
        """Give one that goes on from weights, or leaves them to go on from, or both."""
        return dataclasses.replace(self, work=self.work.with_weights(checkpoint, keeps_weights=keeps_weights))


@lru_cache(maxsize=4)
def _local_handle(shipment: ImageShipment) -> Path:
    return shipment.local_handle


def _fingerprint_at(handle: Path) -> str:
    try:
        return str(json.loads((handle / "meta.json").read_text())["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""
