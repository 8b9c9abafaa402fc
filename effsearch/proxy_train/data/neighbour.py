"""What has a folder of other splits of the same images, so that they need not be decoded again?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from effsearch.proxy_train.data.rows import (
    DAMAGE_ERRORS,
    ROWS_AT_ONCE,
    read_rows,
    require_own,
    unreadable_places,
)
from effsearch.proxy_train.data.verify import find_changes
from effsearch.space.errors import RunError


def copy_neighbour(
    folder: Path, images: NDArray[np.uint8], digests: NDArray[np.uint8]
) -> tuple[int, ...] | None:
    """Copy what a finished folder of another seed has of the same images, in the listing's order.

    Returns:
        Places of images that cannot be read; None where there is no such folder.

    Args:
        folder: The folder to be made, such as `32px-seed1`.
        images: To fill: (num_images, resolution, resolution, 3).
        digests: To fill: (num_images, digest bytes).
    """
    for neighbour in sorted(folder.parent.glob(folder.name.split("-")[0] + "-*")):
        try:
            require_own(neighbour)
            if find_changes(neighbour):
                continue
            decoded = np.load(neighbour / "images.npy", mmap_mode="r", allow_pickle=False)
            rows = read_rows(neighbour)
            unreadable_places(neighbour)
        except (*DAMAGE_ERRORS, RunError):
            continue  # it will be complained of when it is asked for
        places = rows["places"]
        if decoded.shape != images.shape or not len(places) == len(rows["digests"]) == len(images):
            continue
        digests[places] = rows["digests"]
        for start in range(0, len(places), ROWS_AT_ONCE):
            images[places[start : start + ROWS_AT_ONCE]] = decoded[start : start + ROWS_AT_ONCE]
        return unreadable_places(neighbour)
    return None
